//! A process that was started by a launcher: it tells how it stands, and goes when the launcher goes.
//!
//! `MONOLIFT_LAUNCHER` names a socket. The process connects to it, writes a line of JSON whenever
//! its state changes or it is asked, and stops when the connection ends: also when the launcher was
//! killed, so that none of its processes is left behind.

use super::RunningApp;
use crate::{call::Stages, module::StartError, wire::MemoryInUse};
use serde::{Deserialize, Serialize};
use std::{env, path::PathBuf};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// The variable that names the launcher's socket.
pub const SOCKET: &str = "MONOLIFT_LAUNCHER";
/// The variable by which a launcher tells its processes apart.
pub const TOKEN: &str = "MONOLIFT_LAUNCHED_AS";

/// How a process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the launcher called it.
    pub token: String,
    /// The modules that run in it.
    pub modules: Vec<String>,
    /// Where other processes call it.
    pub listen: Option<String>,
    /// Where its gateway listens.
    pub http: Option<String>,
    /// Where it shows its metrics and traces.
    #[serde(default)]
    pub admin: Option<String>,
    /// What it waits for. It is ready when this is empty.
    pub waiting_for: Vec<String>,
    /// How often it was asked before it said this.
    #[serde(default)]
    pub asked: usize,
    /// What its calls to other processes, and theirs to it, have cost so far.
    #[serde(default)]
    pub stages: Stages,
    /// The bytes that its calls and requests take before they are decoded.
    #[serde(default)]
    pub memory: MemoryInUse,
}

/// The way to the launcher, if there is one.
pub(super) struct Launcher {
    socket: Option<UnixStream>,
    /// Lines that the launcher has written, each of which asks how the process stands.
    asked: usize,
}

impl Launcher {
    pub(super) async fn connect() -> Result<Self, StartError> {
        let Some(path) = env::var_os(SOCKET).map(PathBuf::from) else {
            return Ok(Self { socket: None, asked: 0 });
        };
        let failed = |error| {
            StartError::new(format!("the launcher at {} is not there", path.display()))
                .because(error)
        };
        let socket = Some(UnixStream::connect(&path).await.map_err(failed)?);
        Ok(Self { socket, asked: 0 })
    }

    /// Says how the process stands. A launcher that has gone is noticed by [`Launcher::gone`].
    pub(super) async fn tell(&mut self, running: &RunningApp) {
        if let Some(socket) = &mut self.socket {
            tell(socket, running, self.asked).await;
        }
    }

    /// Ready when the launcher wants the process to stop, or is not there any more. Until then it is
    /// told again how the process stands whenever it asks.
    pub(super) async fn gone(&mut self, running: &RunningApp) {
        let Some(socket) = &mut self.socket else { return std::future::pending().await };
        let mut questions = [0; 64];
        while let Ok(length @ 1..) = socket.read(&mut questions).await {
            self.asked += questions[..length].iter().filter(|&&byte| byte == b'\n').count();
            tell(socket, running, self.asked).await;
        }
    }
}

async fn tell(socket: &mut UnixStream, running: &RunningApp, asked: usize) {
    let report = Report {
        token: env::var(TOKEN).unwrap_or_default(),
        modules: running.modules().map(str::to_owned).collect(),
        listen: running.address().map(ToString::to_string),
        http: running.http_address().map(|address| address.to_string()),
        admin: running.admin_address().map(|address| address.to_string()),
        waiting_for: running.readiness().borrow().waiting_for.clone(),
        asked,
        stages: Stages::so_far(),
        memory: running.memory(),
    };
    let Ok(mut line) = serde_json::to_vec(&report) else { return };
    line.push(b'\n');
    let _ = socket.write_all(&line).await;
}
