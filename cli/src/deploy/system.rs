//! What the files are written from: the manifest, the graph of its modules, and what sources say about calls.

use super::databases::{self, Kind};
use crate::{
    sources::{files_of_rust, table, without_comments},
    topology::{may_connect, release_order},
};
use monolift_cli::up::Program;
use monolift_manifest::{Graph, Manifest, Workspace, quantity};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs,
    path::Path,
    time::Duration,
};
use toml::Value;

/// The ports of every process. Each has a network address of its own, so they are the same for all.
pub(super) const HTTP: u16 = 8080;
pub(super) const CALLS: u16 = 7100;
pub(super) const ADMIN: u16 = 7200;

/// The user that programs run as: `nonroot` of the image.
pub(super) const USER: u32 = 65532;

/// How long a proxy may take until it sends a gateway that stops no more requests.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// What follows the drain when a process stops: its modules' own `stop` (5 s), traces that are sent (2 s), and a margin.
const AFTER_DRAIN: Duration = Duration::from_secs(10);
/// How much longer a proxy waits than the longest call, so that the answer says what went wrong.
const LONGER: Duration = Duration::from_secs(5);

/// The longest name of an application and a process together. Objects of Kubernetes have it with a suffix, in 63 letters.
const LONGEST_NAME: usize = 45;

/// An application, as it is deployed.
#[derive(Debug)]
pub(crate) struct System {
    pub(super) app: String,
    /// The application's name as Kubernetes takes it.
    pub(super) name: String,
    /// What the variables of settings begin with.
    pub(super) prefix: String,
    /// The manifest's file, from the root of the workspace.
    pub(super) file: String,
    pub(super) manifest: Manifest,
    pub(super) workspace: Workspace,
    /// Those that are called before those that call.
    pub(super) processes: Vec<Process>,
    /// The longest deadline of a call.
    pub(super) longest_call: Duration,
    /// The paths below which modules have routes of their own, which may stream.
    pub(super) streams: Vec<String>,
    /// The version of Rust that the workspace asks for.
    pub(super) rust: String,
}

/// A process, as it is deployed.
#[derive(Debug)]
pub(super) struct Process {
    /// Its name in the manifest.
    pub(super) name: String,
    /// Its name as hosts and objects of Kubernetes have it: `gift-cards`.
    pub(super) host: String,
    /// The same behind the application's name: `shop-gift-cards`. Also the name of its image.
    pub(super) unit: String,
    pub(super) modules: Vec<String>,
    pub(super) program: Program,
    pub(super) has_gateway: bool,
    pub(super) listens: bool,
    pub(super) replicas: usize,
    /// The modules with a database.
    pub(super) databases: Vec<(String, Kind)>,
    /// The processes that it connects to.
    pub(super) calls: Vec<String>,
    /// The processes that connect to it.
    pub(super) called_by: Vec<String>,
}

impl Process {
    /// Whether it keeps files, so that it is one pod with a volume.
    pub(super) fn keeps_files(&self) -> bool {
        self.databases.iter().any(|(_, kind)| *kind == Kind::Sqlite)
    }

    /// Whether a job applies its migrations before it starts. One that keeps files applies them itself: no other pod has
    /// its volume.
    pub(super) fn has_job(&self) -> bool {
        !self.databases.is_empty() && !self.keeps_files()
    }

    pub(super) fn on_postgres(&self) -> impl Iterator<Item = &str> {
        let is_postgres = |(_, kind): &&(String, Kind)| *kind == Kind::Postgres;
        self.databases.iter().filter(is_postgres).map(|(module, _)| module.as_str())
    }

    /// What runs in it, for a comment.
    pub(super) fn runs(&self) -> String {
        match (self.modules.is_empty(), self.has_gateway) {
            (false, _) => format!("Runs {}.", self.modules.join(", ")),
            (true, true) => "The gateway, without modules.".to_owned(),
            (true, false) => "Shows what the other processes do.".to_owned(),
        }
    }
}

impl System {
    pub(crate) fn read(file: &Path, sqlite: &[String]) -> Result<Self, Box<dyn Error>> {
        let path = fs::canonicalize(file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let workspace = Workspace::find(&env::current_dir()?)?;
        let root = fs::canonicalize(&workspace.root)?;
        let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        let manifest = Manifest::parse_in(&fs::read_to_string(&path)?, file, &workspace, None)?;
        Self::of(manifest, workspace, name, sqlite)
    }

    pub(super) fn of(
        manifest: Manifest,
        workspace: Workspace,
        file: String,
        sqlite: &[String],
    ) -> Result<Self, Box<dyn Error>> {
        let graph = Graph::check(&manifest, &workspace, None)?;
        if let Some(host) = &manifest.host {
            return Err(format!(
                "{file}: the process `{host}` is your own program, whose image and ports only you know: write its \
                 files by hand, and have `host` left out of a manifest for the others"
            )
            .into());
        }
        if let Some(unknown) = sqlite.iter().find(|one| manifest.process_of(one).is_none()) {
            return Err(format!("--sqlite: {file} has no module `{unknown}`").into());
        }
        let name = manifest.app.replace('_', "-");
        let order = release_order(&manifest, &graph);
        let mut processes = Vec::new();
        for process in &order {
            let stated = manifest.processes.get(*process).cloned().unwrap_or_default();
            let host = process.replace('_', "-");
            let unit = format!("{name}-{host}");
            if unit.len() > LONGEST_NAME {
                return Err(format!("`{unit}` has more than {LONGEST_NAME} letters, and names of Kubernetes are made from it").into());
            }
            let modules: Vec<String> = manifest.modules_of(process).map(str::to_owned).collect();
            let databases = modules.iter().filter_map(|module| {
                let package = graph.modules.get(module)?.package.as_deref();
                let kind = databases::kind(&manifest.file, &workspace, module, package, sqlite)?;
                Some((module.clone(), kind))
            });
            let others = || order.iter().filter(|other| **other != *process);
            let connects = |from: &str, to: &str| may_connect(&manifest, &graph, from, to);
            processes.push(Process {
                name: (*process).to_owned(),
                databases: databases.collect(),
                calls: others()
                    .filter(|other| connects(process, other))
                    .map(|one| (*one).to_owned())
                    .collect(),
                called_by: others()
                    .filter(|other| connects(other, process))
                    .map(|one| (*one).to_owned())
                    .collect(),
                program: Program::of(process, &manifest, &workspace)?,
                has_gateway: stated.http.is_some(),
                listens: stated.listen.is_some(),
                replicas: stated.replicas.0,
                host,
                unit,
                modules,
            });
        }
        let mut names = BTreeMap::new();
        for process in &processes {
            if let Some(other) = names.insert(process.host.clone(), process.name.clone()) {
                return Err(format!(
                    "{file}: `{other}` and `{}` are the same name for a host",
                    process.name
                )
                .into());
            }
        }
        let found = Found::in_interfaces(&graph, &workspace);
        Ok(Self {
            app: manifest.app.clone(),
            prefix: format!("{}_", manifest.app.to_uppercase().replace('-', "_")),
            longest_call: found.deadlines.into_iter().fold(manifest.calls.deadline, Duration::max),
            streams: found.streams.into_iter().collect(),
            rust: rust_version(&workspace)?,
            name,
            file,
            processes,
            manifest,
            workspace,
        })
    }

    /// The first line of a file, behind what begins a comment there.
    pub(super) fn head(&self, command: &str) -> String {
        format!(
            "Written by `cargo monolift deploy {command}` from {}. Change that file, and run the command again.",
            self.file
        )
    }

    /// The same of a file that is no part of `deploy`.
    pub(crate) fn head_of(&self, command: &str) -> String {
        format!(
            "Written by `cargo monolift {command}` from {}. Change that file, and run the command again.",
            self.file
        )
    }

    /// The application's name, as hosts have it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The manifest's file, from the root of the workspace.
    pub(crate) fn manifest_file(&self) -> &str {
        &self.file
    }

    /// The processes, in the order of a release.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.processes.iter().map(|process| process.name.as_str()).collect()
    }

    /// Those whose migrations a job applies.
    pub(crate) fn with_jobs(&self) -> Vec<&str> {
        let with_job = self.processes.iter().filter(|process| process.has_job());
        with_job.map(|process| process.name.as_str()).collect()
    }

    /// Those that keep files.
    pub(crate) fn stateful(&self) -> Vec<&str> {
        let stateful = self.processes.iter().filter(|process| process.keeps_files());
        stateful.map(|process| process.name.as_str()).collect()
    }

    pub(super) fn process(&self, name: &str) -> &Process {
        let found = self.processes.iter().find(|process| process.name == name);
        found.expect("the processes that are called are among those that run")
    }

    pub(super) fn gateways(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.has_gateway)
    }

    /// The variable of a setting: `SHOP_ORDERS__DB__URL`.
    pub(super) fn variable(&self, key: &str) -> String {
        format!("{}{}", self.prefix, key.replace('-', "_").replace('.', "__").to_uppercase())
    }

    /// How long a process may take to stop, in seconds.
    pub(super) fn grace(&self, farewell: Duration) -> u64 {
        (farewell + self.manifest.calls.drain + AFTER_DRAIN).as_secs()
    }

    /// How long a proxy waits for an answer, in seconds.
    pub(super) fn patience(&self) -> u64 {
        (self.longest_call + LONGER).as_secs()
    }

    /// The most memory that a process may have, in MiB.
    pub(super) fn memory(&self) -> usize {
        (self.manifest.limits.memory >> 20) + 256
    }
}

/// What the sources of interfaces say.
#[derive(Default)]
struct Found {
    deadlines: BTreeSet<Duration>,
    streams: BTreeSet<String>,
}

impl Found {
    /// In the api packages of placed modules. A module without one is in the host's crate.
    fn in_interfaces(graph: &Graph, workspace: &Workspace) -> Self {
        let mut found = Self::default();
        let packages = graph
            .modules
            .values()
            .filter_map(|node| node.api.as_deref().or(node.package.as_deref()));
        for package in packages.filter_map(|name| workspace.package(name)) {
            for file in files_of_rust(&package.directory) {
                if let Ok(text) = fs::read_to_string(file) {
                    found.read(&without_comments(&text));
                }
            }
        }
        found
    }

    fn read(&mut self, text: &str) {
        let quoted = |before: &str| -> Vec<String> {
            let rest = text.match_indices(before).map(|(at, _)| &text[at + before.len()..]);
            rest.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        self.deadlines.extend(
            quoted("#[deadline(\"").iter().filter_map(|text| quantity::duration(text).ok()),
        );
        let paths = quoted("routes = \"");
        self.streams.extend(paths.into_iter().filter(|path| path.starts_with('/')));
    }
}

fn rust_version(workspace: &Workspace) -> Result<String, Box<dyn Error>> {
    let root = table(&workspace.root.join("Cargo.toml"))?;
    let of = |section: Option<&Value>| {
        Some(section?.get("package")?.get("rust-version")?.as_str()?.to_owned())
    };
    let own = root.get("package").and_then(|package| package.get("rust-version"));
    let own = own.and_then(Value::as_str).map(str::to_owned);
    // What Monolift itself needs.
    Ok(of(root.get("workspace"))
        .or(own)
        .unwrap_or_else(|| env!("CARGO_PKG_RUST_VERSION").to_owned()))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn deadlines_and_paths_are_read_from_interfaces() {
        let mut found = Found::default();
        found.read("#[monolift::interface(routes = \"/pictures\")]\n#[deadline(\"30s\")]\nasync fn a();\n#[deadline(\"1m\")]");
        assert_eq!(found.deadlines.last(), Some(&Duration::from_secs(60)));
        assert_eq!(found.streams.into_iter().collect::<Vec<_>>(), ["/pictures"]);
    }
}
