//! One started process: its connection to the launcher and its log.

use super::plan::{Plan, Replica};
use monolift::{
    app::{FAKES, launcher},
    config::Settings,
};
use std::{
    io::IsTerminal,
    path::Path,
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

/// Terminal colours, one for each process.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// The command that starts a process of the plan. It gets all environment variables of the
/// launcher. A further replica gets an address of its own.
pub(crate) fn command(
    plan: &Plan,
    process: &str,
    replica: Option<&Replica>,
    program: &Path,
    reports: Reports<'_>,
) -> Command {
    let mut command = Command::new(program);
    let key = |what: &str| {
        format!("{}PROCESS__{}__{what}", Settings::prefix(&plan.app), process.to_uppercase())
    };
    if let Some(Replica { listen, http }) = replica {
        command.envs(listen.as_ref().map(|listen| (key("LISTEN"), listen)));
        command.envs(http.as_ref().map(|http| (key("HTTP"), http)));
    }
    if !plan.fakes.is_empty() {
        command.env(FAKES, plan.fakes.join(","));
    }
    command
        .env("MONOLIFT_MANIFEST", &plan.manifest)
        .env(launcher::SOCKET, reports.socket)
        .env(launcher::TOKEN, reports.token)
        .current_dir(&plan.root)
        .stdin(Stdio::null())
        // Ctrl-C must reach the launcher only, which stops its processes in order.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// A process, and the tasks that read its log.
pub(super) struct Started {
    child: Child,
    logs: Vec<JoinHandle<()>>,
}

/// The text before each log line of a process.
#[derive(Debug, Clone)]
pub(super) struct Prefix(String);

impl Prefix {
    pub(super) fn new(name: &str, number: usize, widest: usize) -> Self {
        if std::io::stdout().is_terminal() {
            let colour = COLOURS[number % COLOURS.len()];
            return Self(format!("\x1b[{colour}m{name:widest$} |\x1b[0m "));
        }
        Self(format!("{name:widest$} | "))
    }
}

/// The launcher's socket, and the name under which a process reports to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reports<'a> {
    pub(crate) socket: &'a Path,
    pub(crate) token: &'a str,
}

impl Started {
    /// Starts a process.
    pub(super) fn new(mut command: Command, prefix: &Prefix) -> std::io::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if std::io::stdout().is_terminal() {
            // Its lines are shown there.
            command.env("CLICOLOR_FORCE", "1");
        }
        let mut child = command.spawn()?;
        let logs = [
            child.stdout.take().map(|out| read(out, prefix.clone())),
            child.stderr.take().map(|err| read(err, prefix.clone())),
        ];
        Ok(Self { child, logs: logs.into_iter().flatten().collect() })
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the process has ended and its log is read.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        for log in &mut self.logs {
            if !log.is_finished() {
                let _ = log.await;
            }
        }
        Ok(status)
    }
}

fn read(output: impl AsyncRead + Send + Unpin + 'static, prefix: Prefix) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).split(b'\n');
        // A line that is not UTF-8 is printed too.
        while let Ok(Some(line)) = lines.next_segment().await {
            println!("{}{}", prefix.0, String::from_utf8_lossy(&line));
        }
    })
}
