//! One process that was started: its life line, and its log, line by line.

use super::plan::{Plan, Replica};
use monolift::app::launcher;
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

/// Colours that tell processes apart on a terminal.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// What starts a process of a plan. What it is told by settings stays, but for where a further replica
/// listens.
pub(crate) fn command(
    plan: &Plan,
    process: &str,
    replica: Option<&Replica>,
    program: &Path,
    reports: Reports<'_>,
) -> Command {
    let mut command = Command::new(program);
    let key = |what: &str| {
        let name = |text: &str| text.to_uppercase().replace('-', "_");
        format!("{}_PROCESS__{}__{what}", name(&plan.app), process.to_uppercase())
    };
    if let Some(Replica { listen, http }) = replica {
        command.envs(listen.as_ref().map(|listen| (key("LISTEN"), listen)));
        command.envs(http.as_ref().map(|http| (key("HTTP"), http)));
    }
    command
        .env("MONOLIFT_MANIFEST", &plan.manifest)
        .env(launcher::SOCKET, reports.socket)
        .env(launcher::TOKEN, reports.token)
        .current_dir(&plan.root)
        .stdin(Stdio::null())
        // Ctrl-C is the launcher's: it stops its processes in order.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// A process, and the tasks that read its log.
pub(super) struct Started {
    child: Child,
    logs: Vec<JoinHandle<()>>,
}

/// How the lines of one process's log begin.
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

/// Where a process reports to, and as whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reports<'a> {
    pub(crate) socket: &'a Path,
    pub(crate) token: &'a str,
}

impl Started {
    /// Starts a process.
    pub(super) fn new(mut command: Command, prefix: &Prefix) -> std::io::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
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

    /// Waits for its end, and for the last line of its log.
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
        // Whatever it writes: a line that is no text is a line too.
        while let Ok(Some(line)) = lines.next_segment().await {
            println!("{}{}", prefix.0, String::from_utf8_lossy(&line));
        }
    })
}
