//! Starts this program again as the processes of a measurement.

use anyhow::Context as _;
use load::Plan;
use monolift_manifest::Address;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, path::PathBuf, process::Stdio, sync::LazyLock, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// An address, as text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Where(pub Address);

impl From<Where> for String {
    fn from(address: Where) -> Self {
        address.0.to_string()
    }
}

impl TryFrom<String> for Where {
    type Error = monolift_manifest::AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// The command line argument before a process's role.
pub const ROLE: &str = "part";

/// How long a process may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a message to the process that started this one.
///
/// # Errors
///
/// If that process is gone.
pub fn say(what: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(what)?);
    Ok(())
}

/// Tells the parent process that this one serves now.
///
/// # Errors
///
/// If the parent process is gone.
pub fn ready() -> anyhow::Result<()> {
    say(&"ready")
}

/// The CPU on which a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Core {
    /// Any CPU.
    Any,
    /// Only this CPU, if `taskset` is installed.
    Only(usize),
}

impl Core {
    fn command(self, program: PathBuf) -> Command {
        match self {
            Self::Only(core) if Self::can_choose() => {
                let mut command = Command::new("taskset");
                command.arg("--cpu-list").arg(core.to_string()).arg(program);
                command
            }
            _ => Command::new(program),
        }
    }

    /// Whether a process can be pinned to a CPU.
    pub fn can_choose() -> bool {
        static CAN: LazyLock<bool> = LazyLock::new(|| {
            let mut tried = std::process::Command::new("taskset");
            let tried = tried.args(["--cpu-list", "0,1", "true"]).output();
            tried.is_ok_and(|output| output.status.success())
        });
        *CAN
    }
}

/// A started process. It is ended when this is dropped.
pub struct Started {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Started {
    /// Starts a process.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn new(part: &impl Serialize, core: Core) -> anyhow::Result<Self> {
        let mut command = core.command(std::env::current_exe()?);
        let mut child = command
            .args([ROLE, &serde_json::to_string(part)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().context("its output is piped")?;
        Ok(Self { child, said: BufReader::new(out).lines() })
    }

    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub async fn serving(part: &(impl Serialize + fmt::Debug), core: Core) -> anyhow::Result<Self> {
        let mut started = Self::new(part, core)?;
        let first = timeout(PATIENCE, started.hear::<String>()).await;
        let first = first.context("it is not ready in time").flatten();
        let first = first.with_context(|| format!("{part:?}"))?;
        anyhow::ensure!(first == "ready", "{part:?} said {first}");
        Ok(started)
    }

    /// The process id.
    ///
    /// # Errors
    ///
    /// If the process has ended.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("the process has ended")
    }

    /// Receives the next message of the process.
    ///
    /// # Errors
    ///
    /// If the process ends, or sends something else.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.said.next_line().await?.context("it ended and said nothing")?;
        serde_json::from_str(&line).with_context(|| format!("it said: {line}"))
    }
}

/// A port that is not in use.
///
/// # Errors
///
/// If there is none.
pub fn free_port() -> std::io::Result<Address> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(Address::Tcp(listener.local_addr()?.to_string()))
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often each row is measured.
    pub rounds: usize,
    /// The plan of each measurement, without its load.
    pub plan: Plan,
}
