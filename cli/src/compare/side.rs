//! One side of the comparison: its programs, its processes and their reports.

use super::{
    figures::Shape,
    manifests::{self, Chosen},
};
use crate::up::{
    build,
    child::{Reports, command},
    encrypt,
    plan::Plan,
    supervise::Socket,
};
use monolift::app::launcher::Report;
use monolift_call::call::Stages;
use monolift_manifest::Address;
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    process::Child,
    time::timeout,
};

/// How long a process may take to become ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Side {
    name: String,
    plan: Plan,
    programs: BTreeMap<String, PathBuf>,
    encrypted: bool,
    /// Databases and logs. The folder is removed with the side.
    folder: Folder,
    /// The processes in the order of their start.
    running: Vec<Process>,
}

/// A running process of this side.
struct Process {
    name: String,
    child: Child,
    says: Lines<BufReader<OwnedReadHalf>>,
    /// The connection to the process. It stops when this is closed.
    life_line: OwnedWriteHalf,
    /// How many reports were requested.
    asked: usize,
}

impl Side {
    /// Builds the programs of this side.
    pub(super) fn build(
        chosen: Chosen,
        folder: &Path,
        release: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let mut plan = Plan::of(&chosen.file)?;
        let short: String = chosen.name.chars().filter(|c| c.is_alphanumeric()).collect();
        // A folder of its own, because the next side's build replaces programs of the same name.
        plan.kept_as = format!("{}-compared-{short}", plan.app);
        let programs = build::all(&plan, &crate::up::Options { release, ..Default::default() })?;
        let folder = Folder::new(folder.join(format!("{RUNNING}{}-{short}", std::process::id())))?;
        plan.manifest = folder.0.join("deployment.toml");
        fs::write(&plan.manifest, manifests::with_free_ports(&chosen.file)?)?;
        let in_force = encrypt::in_force(&plan)?;
        let encrypted = in_force.is_some_and(|(manifest, _)| manifest.tls.is_some());
        Ok(Self { name: chosen.name, plan, programs, encrypted, folder, running: Vec::new() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is told of it beside its figures.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: self.name.clone(),
            processes: self.plan.processes.len(),
            encrypted: self.encrypted,
        }
    }

    pub(super) fn ids(&self) -> Result<Vec<u32>, String> {
        let id = |process: &Process| {
            process.child.id().ok_or_else(|| format!("{}: {} has ended", self.name, process.name))
        };
        self.running.iter().map(id).collect()
    }

    /// Starts the processes. Returns the address of the gateway.
    pub(super) async fn start(&mut self) -> Result<Address, Box<dyn Error>> {
        let socket = Socket::bind(&self.name)?;
        let mut gateway = None;
        for at in 0..self.plan.processes.len() {
            let name = self.plan.processes[at].name.clone();
            let (process, http) = self.start_one(&name, &socket).await?;
            gateway = http.or(gateway);
            self.running.push(process);
        }
        for at in 0..self.running.len() {
            self.wait_for(at).await?;
        }
        let http = gateway.ok_or_else(|| {
            format!("{}: no process of its manifest has `http`, so nobody can ask it", self.name)
        })?;
        Ok(http.parse()?)
    }

    fn log_of(&self, process: &str) -> PathBuf {
        self.folder.0.join(format!("{process}.log"))
    }

    /// The error for a process that does not become ready.
    fn did_not(&self, process: &str) -> Box<dyn Error> {
        let log = fs::read_to_string(self.log_of(process)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n");
        format!("{}: the process `{process}` did not start:\n{last}", self.name).into()
    }

    async fn start_one(
        &self,
        name: &str,
        socket: &Socket,
    ) -> Result<(Process, Option<String>), Box<dyn Error>> {
        let reports = Reports { socket: &socket.path, token: name };
        let mut command = command(&self.plan, name, None, &self.programs[name], reports);
        let log = File::create(self.log_of(name))?;
        let data = format!("{}_DATA", self.plan.app.to_uppercase().replace('-', "_"));
        command.stdout(log.try_clone()?).stderr(log).env(data, self.folder.0.join("data"));
        if env::var_os("RUST_LOG").is_none() {
            // Logging of each request would distort the comparison.
            command.env("RUST_LOG", "warn");
        }
        let mut child = command.spawn()?;
        let connected = tokio::select! {
            connected = socket.listener.accept() => connected?.0,
            _ = child.wait() => return Err(self.did_not(name)),
        };
        let (read, life_line) = connected.into_split();
        let mut says = BufReader::new(read).lines();
        let Some(report) = hear(&mut says).await else { return Err(self.did_not(name)) };
        Ok((Process { name: name.to_owned(), child, says, life_line, asked: 0 }, report.http))
    }

    /// Waits until a process is ready.
    async fn wait_for(&mut self, at: usize) -> Result<(), Box<dyn Error>> {
        let name = self.running[at].name.clone();
        let mut last = None;
        for _ in 0..100 {
            match self.report(at).await {
                Ok(report) if report.waiting_for.is_empty() => return Ok(()),
                Ok(report) => last = Some(report.waiting_for.join(", ")),
                Err(_) => return Err(self.did_not(&name)),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let waiting = last.unwrap_or_default();
        Err(format!("{}: `{name}` is not ready: it waits for {waiting}", self.name).into())
    }

    /// Requests a report from a process.
    async fn report(&mut self, at: usize) -> Result<Report, String> {
        let Process { name, says, life_line, asked, .. } = &mut self.running[at];
        let gone = || format!("{}: the process `{name}` has ended", self.name);
        life_line.write_all(b"\n").await.map_err(|_| gone())?;
        *asked += 1;
        loop {
            let report = hear(says).await.ok_or_else(gone)?;
            // Skips reports that were sent before the request.
            if report.asked >= *asked {
                return Ok(report);
            }
        }
    }

    /// The cost of all calls between processes so far.
    pub(super) async fn stages(&mut self) -> Result<Stages, String> {
        let mut sum = Stages::default();
        for at in 0..self.running.len() {
            sum = sum + self.report(at).await?.stages;
        }
        Ok(sum)
    }

    /// Stops the processes, callers first.
    pub(super) async fn stop(&mut self) {
        while let Some(mut process) = self.running.pop() {
            drop(process.life_line);
            if timeout(PATIENCE, process.child.wait()).await.is_err() {
                eprintln!("{}: {} has not stopped: it is killed", self.name, process.name);
            }
        }
    }
}

async fn hear(says: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Report> {
    let line = timeout(PATIENCE, says.next_line()).await.ok()?.ok()??;
    serde_json::from_str(&line).ok()
}

/// Removes folders of earlier comparisons that were killed.
pub(super) fn tidy(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(RUNNING)?.split('-').next());
        if let Some(id) = id
            && !Path::new("/proc").join(id).exists()
        {
            fs::remove_dir_all(folder.join(&name))?;
        }
    }
    Ok(())
}

/// The prefix of a running side's folder. This process's id follows.
const RUNNING: &str = "running-";

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(path: PathBuf) -> std::io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
