//! One of the two that are compared: its programs, its processes, and what they say of themselves.

use super::manifests::{self, Chosen};
use crate::up::{
    build,
    child::{Reports, command},
    plan::Plan,
    supervise::Socket,
};
use monolift::{app::launcher::Report, call::Stages};
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

/// A process is ready by then, and has stopped by then.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Side {
    name: String,
    plan: Plan,
    programs: BTreeMap<String, PathBuf>,
    /// Databases and logs, which go with it.
    folder: Folder,
    /// In the order in which they were started.
    running: Vec<Process>,
}

/// One of its processes.
struct Process {
    name: String,
    child: Child,
    says: Lines<BufReader<OwnedReadHalf>>,
    /// While this is open, it runs.
    life_line: OwnedWriteHalf,
    /// How often.
    asked: usize,
}

impl Side {
    /// Builds its programs.
    pub(super) fn build(
        chosen: Chosen,
        folder: &Path,
        release: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let mut plan = Plan::of(&chosen.file)?;
        let short: String = chosen.name.chars().filter(|c| c.is_alphanumeric()).collect();
        // The next side's build replaces what is not kept.
        plan.kept_as = format!("{}-compared-{short}", plan.app);
        let programs = build::all(&plan, crate::up::Options { release })?;
        let folder = Folder::new(folder.join(format!("{RUNNING}{}-{short}", std::process::id())))?;
        plan.manifest = folder.0.join("deployment.toml");
        fs::write(&plan.manifest, manifests::with_free_ports(&chosen.file)?)?;
        Ok(Self { name: chosen.name, plan, programs, folder, running: Vec::new() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn processes(&self) -> usize {
        self.plan.processes.len()
    }

    pub(super) fn ids(&self) -> Result<Vec<u32>, String> {
        let id = |process: &Process| {
            process.child.id().ok_or_else(|| format!("{}: {} has ended", self.name, process.name))
        };
        self.running.iter().map(id).collect()
    }

    /// Starts its processes. The result is where it is asked.
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

    /// What is said when a process does not come up.
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
            // What a process logs of each request is not what is compared.
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

    /// How a process stands, by its own word.
    async fn report(&mut self, at: usize) -> Result<Report, String> {
        let Process { name, says, life_line, asked, .. } = &mut self.running[at];
        let gone = || format!("{}: the process `{name}` has ended", self.name);
        life_line.write_all(b"\n").await.map_err(|_| gone())?;
        *asked += 1;
        loop {
            let report = hear(says).await.ok_or_else(gone)?;
            // What it said of itself meanwhile comes before that.
            if report.asked >= *asked {
                return Ok(report);
            }
        }
    }

    /// What all its calls between processes have cost so far.
    pub(super) async fn stages(&mut self) -> Result<Stages, String> {
        let mut sum = Stages::default();
        for at in 0..self.running.len() {
            sum = sum + self.report(at).await?.stages;
        }
        Ok(sum)
    }

    /// Stops them, those that call first.
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

/// Removes what comparisons have left behind that were killed.
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

/// What the folders of sides that run are called, with this process's number behind it.
const RUNNING: &str = "running-";

/// A folder that goes when this does.
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
