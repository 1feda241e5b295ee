//! What runs as one of the ways: its processes, and where it is asked.

use crate::{
    measured::Measured,
    part::Part,
    process::{Core, Started, Where, free_port},
};
use std::path::{Path, PathBuf};

/// The processes of one way.
pub(super) struct Running {
    name: String,
    /// Where it is asked, over HTTP.
    pub(super) at: Where,
    processes: Vec<Started>,
    /// What it keeps.
    folder: Option<Folder>,
}

impl AsRef<str> for Running {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Running {
    /// Starts its parts, each when the one before it serves.
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

    /// With a folder that goes when it ends.
    pub(super) fn keeping(mut self, folder: Folder) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Where it keeps what it keeps.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|folder| folder.0.as_path())
    }

    /// The numbers of its processes.
    pub(super) fn ids(&self) -> anyhow::Result<Vec<u32>> {
        self.processes.iter().map(Started::id).collect()
    }
}

/// Who answers the most, of those who start with 1, 2 and 4 connections to each of their services.
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

/// An application of Monolift: its manifest, its processes (those that are called first), and where
/// it is asked.
pub(super) struct Application {
    pub(super) manifest: String,
    pub(super) processes: Vec<String>,
    pub(super) at: Where,
}

impl Application {
    /// With each module where `process_of` says, and HTTP at `front`.
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

/// A folder of this run's own, which goes when this does.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> std::io::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("monolift-bench-{}-{name}", std::process::id()));
        // One of a run that was killed, whose number this run has by now.
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
