//! What the processes say of themselves: to each, this is its launcher.

use anyhow::Context as _;
use monolift::app::launcher::{SOCKET, TOKEN};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
    time::timeout,
};

/// A process that does not answer by then is busy, or stopped, and is asked again later.
const PATIENCE: Duration = Duration::from_millis(100);
/// Where a report has the bytes of buffers in use: of calls of the process, and of what others sent.
const BUFFERS: [&str; 2] = ["/memory/own", "/memory/others"];

/// The life lines of the processes. They stop when it goes.
pub(super) struct Reports {
    socket: PathBuf,
    lines: Lines,
    accepting: JoinHandle<()>,
}

type Lines = Arc<Mutex<BTreeMap<String, Line>>>;

/// One process's life line.
struct Line {
    says: BufReader<OwnedReadHalf>,
    asks: OwnedWriteHalf,
    /// A part of a line, when the rest had not come in time.
    said: String,
}

impl Reports {
    /// Listens in `folder` for the processes that are started next.
    pub(super) fn listen(folder: &Path) -> anyhow::Result<Self> {
        let socket = folder.join("launcher.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).with_context(|| socket.display().to_string())?;
        let lines = Lines::default();
        let entered = Arc::clone(&lines);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let entered = Arc::clone(&entered);
                tokio::spawn(async move {
                    let (read, asks) = stream.into_split();
                    let mut says = BufReader::new(read);
                    let mut first = String::new();
                    if says.read_line(&mut first).await.is_ok()
                        && let Ok(report) = serde_json::from_str::<serde_json::Value>(&first)
                        && let Some(token) = report["token"].as_str()
                    {
                        let line = Line { says, asks, said: String::new() };
                        lock(&entered).insert(token.to_owned(), line);
                    }
                });
            }
        });
        Ok(Self { socket, lines, accepting })
    }

    /// What tells a process about it.
    pub(super) fn environment(&self, process: &str) -> [(String, String); 2] {
        let socket = self.socket.display().to_string();
        [(SOCKET.to_owned(), socket), (TOKEN.to_owned(), process.to_owned())]
    }

    /// The bytes of buffers in use that a process counts itself. `None` if it counts none, or does not
    /// answer at once.
    pub(super) async fn buffers(&self, process: &str) -> Option<u64> {
        let mut line = lock(&self.lines).remove(process)?;
        let asked = timeout(PATIENCE, async {
            line.asks.write_all(b"\n").await.ok()?;
            line.says.read_line(&mut line.said).await.ok()
        });
        let answered = asked.await.ok().flatten().is_some();
        let report = answered.then(|| std::mem::take(&mut line.said));
        lock(&self.lines).insert(process.to_owned(), line);
        let report: serde_json::Value = serde_json::from_str(&report?).ok()?;
        BUFFERS.iter().map(|at| report.pointer(at)?.as_u64()).sum()
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(lines: &Lines) -> std::sync::MutexGuard<'_, BTreeMap<String, Line>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
