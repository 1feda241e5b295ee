//! The running processes of one contestant, and its HTTP address.

use crate::{
    measured::Measured,
    part::Part,
    process::{Core, Started, Where, free_port},
};
use std::path::{Path, PathBuf};

/// The processes of one contestant.
pub(super) struct Running {
    name: String,
    /// The HTTP address.
    pub(super) at: Where,
    processes: Vec<Started>,
    /// The folder of its databases.
    folder: Option<Folder>,
}

impl AsRef<str> for Running {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Running {
    /// Starts the processes, each after the one before it serves.
    pub(super) async fn start(
        name: impl Into<String>,
        at: Where,
        parts: impl IntoIterator<Item = Part>,
    ) -> anyhow::Result<Self> {
        let mut processes = Vec::new();
        for part in parts {
            processes.push(Started::serving(&part, Core::Any).await?);
        }
        Ok(Self { name: name.into(), at, processes, folder: None })
    }

    /// Adds a folder that is removed with the processes.
    pub(super) fn keeping(mut self, folder: Folder) -> Self {
        self.folder = Some(folder);
        self
    }

    /// The folder of its databases.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|folder| folder.0.as_path())
    }

    /// The process ids.
    pub(super) fn ids(&self) -> anyhow::Result<Vec<u32>> {
        self.processes.iter().map(Started::id).collect()
    }
}

/// The fastest of three variants, with 1, 2 and 4 connections to each service.
pub(super) async fn best(
    start: impl AsyncFn(usize) -> anyhow::Result<Running>,
    measure: impl AsyncFn(&Running) -> anyhow::Result<Measured>,
) -> anyhow::Result<Option<Running>> {
    let mut best: Option<(f64, Running)> = None;
    for connections in [1, 2, 4] {
        let running = start(connections).await?;
        let throughput = measure(&running).await?.throughput;
        if best.as_ref().is_none_or(|(most, _)| throughput > *most) {
            best = Some((throughput, running));
        }
    }
    Ok(best.map(|(_, running)| running))
}

/// A Monolift application: its manifest, its processes in the order of their start, and its HTTP
/// address.
pub(super) struct Application {
    pub(super) manifest: String,
    pub(super) processes: Vec<String>,
    pub(super) at: Where,
}

impl Application {
    /// `process_of` places each module, and the gateway listens at `front`.
    pub(super) fn new<'a>(
        app: &str,
        front: &'a str,
        modules: &[&'a str],
        process_of: impl Fn(&'a str) -> &'a str,
    ) -> anyhow::Result<Self> {
        let at = Where(free_port()?);
        let mut manifest = format!("app = \"{app}\"\n[modules]\n");
        let mut processes = Vec::new();
        for module in modules {
            let process = process_of(module);
            manifest += &format!("{module} = \"{process}\"\n");
            if process != front && !processes.contains(&process.to_owned()) {
                processes.push(process.to_owned());
            }
        }
        for process in &processes {
            manifest += &format!("[process.{process}]\nlisten = \"{}\"\n", free_port()?);
        }
        manifest += &format!("[process.{front}]\nhttp = \"{}\"\n", at.0);
        processes.push(front.to_owned());
        Ok(Self { manifest, processes, at })
    }
}

/// A folder of this run. It is removed when this is dropped.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> std::io::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("monolift-bench-{}-{name}", std::process::id()));
        // An earlier process with this process's id may have left the folder behind.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
