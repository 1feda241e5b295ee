//! A process that was started by a launcher: it tells how it stands, and goes when the launcher goes.
//!
//! `MONOLIFT_LAUNCHER` names a socket. The process connects to it, writes a line of JSON whenever
//! its state changes, and stops when the connection ends: also when the launcher was killed, so that
//! none of its processes is left behind.

use super::RunningApp;
use crate::module::StartError;
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
    /// What it waits for. It is ready when this is empty.
    pub waiting_for: Vec<String>,
}

/// The way to the launcher, if there is one.
pub(super) struct Launcher {
    socket: Option<UnixStream>,
}

impl Launcher {
    pub(super) async fn connect() -> Result<Self, StartError> {
        let Some(path) = env::var_os(SOCKET).map(PathBuf::from) else {
            return Ok(Self { socket: None });
        };
        let failed = |error| {
            StartError::new(format!("the launcher at {} is not there", path.display()))
                .because(error)
        };
        Ok(Self { socket: Some(UnixStream::connect(&path).await.map_err(failed)?) })
    }

    /// Says how the process stands. A launcher that has gone is noticed by [`Launcher::gone`].
    pub(super) async fn tell(&mut self, running: &RunningApp) {
        let Some(socket) = &mut self.socket else { return };
        let report = Report {
            token: env::var(TOKEN).unwrap_or_default(),
            modules: running.modules().map(str::to_owned).collect(),
            listen: running.address().map(ToString::to_string),
            http: running.http_address().map(|address| address.to_string()),
            waiting_for: running.readiness().borrow().waiting_for.clone(),
        };
        let Ok(mut line) = serde_json::to_vec(&report) else { return };
        line.push(b'\n');
        let _ = socket.write_all(&line).await;
    }

    /// Ready when the launcher wants the process to stop, or is not there any more.
    pub(super) async fn gone(&mut self) {
        let Some(socket) = &mut self.socket else { return std::future::pending().await };
        let mut ignored = [0; 64];
        while matches!(socket.read(&mut ignored).await, Ok(1..)) {}
    }
}
