//! The programs and processes of a manifest.

use monolift_manifest::{Graph, Manifest, Workspace};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// Every process of a manifest. A process comes after those that it calls.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) app: String,
    /// The name of the folder for copies of programs that the next build replaces.
    pub(crate) kept_as: String,
    /// The absolute path of the manifest.
    pub(crate) manifest: PathBuf,
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    pub(crate) processes: Vec<Process>,
    /// How long calls in flight may take when the processes stop.
    pub(crate) drain: std::time::Duration,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) modules: Vec<String>,
    pub(crate) program: Program,
    pub(crate) replicas: Vec<Replica>,
}

/// The program of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// A module's own package.
    Service(String),
    /// A `process!(env, …)` program that is built for this process.
    Process { package: String, bin: String },
}

/// The addresses of one replica.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) listen: Option<String>,
    pub(crate) http: Option<String>,
}

impl Plan {
    pub(crate) fn of(file: &Path) -> Result<Self, Box<dyn Error>> {
        let file = fs::canonicalize(file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let manifest = Manifest::parse(&fs::read_to_string(&file)?, &file)?;
        let workspace = Workspace::find(&env::current_dir()?)?;
        let graph = Graph::check(&manifest, &workspace, None)?;
        if let Some(host) = &manifest.host {
            return Err(format!(
                "{}: the process `{host}` is your own program: start that, and the others by \
                 `cargo run -p …`",
                file.display()
            )
            .into());
        }
        let order = graph.start_order();
        let rank = |name: &str| {
            let ranks = manifest
                .modules_of(name)
                .filter_map(|module| order.iter().position(|known| known == module));
            // A gateway comes last, because it calls all modules.
            ranks.max().unwrap_or(usize::MAX)
        };
        let mut names: Vec<&str> = manifest.all_processes().collect();
        names.retain(|name| {
            let gateway = manifest.processes.get(*name).is_some_and(|one| one.http.is_some());
            gateway || manifest.modules_of(name).next().is_some()
        });
        names.sort_by_key(|name| rank(name));
        let processes = names.iter().map(|name| process(name, &manifest, &workspace));
        Ok(Self {
            app: manifest.app.clone(),
            kept_as: manifest.app.clone(),
            processes: processes.collect::<Result<_, _>>()?,
            root: workspace.root.clone(),
            drain: manifest.calls.drain,
            manifest: file,
        })
    }
}

fn process(
    name: &str,
    manifest: &Manifest,
    workspace: &Workspace,
) -> Result<Process, Box<dyn Error>> {
    let modules: Vec<String> = manifest.modules_of(name).map(str::to_owned).collect();
    let stated = manifest.processes.get(name).cloned().unwrap_or_default();
    let program = match &modules[..] {
        [module] if stated.http.is_none() => Program::Service(module.clone()),
        _ => process_program(name, workspace)?,
    };
    let (listens, https) = (stated.listens(), stated.https());
    let replicas = (0..stated.replicas.0).map(|at| Replica {
        listen: listens.get(at).map(ToString::to_string),
        http: https.get(at).map(ToString::to_string),
    });
    Ok(Process { name: name.to_owned(), modules, program, replicas: replicas.collect() })
}

fn process_program(name: &str, workspace: &Workspace) -> Result<Program, Box<dyn Error>> {
    let marked = workspace.packages.values().find_map(|package| {
        let bin = package.process.clone()?;
        Some(Program::Process { package: package.name.clone(), bin })
    });
    marked.ok_or_else(|| {
        format!(
            "the process `{name}` is not exactly one module, so it needs a program that can be any \
             process: a package with a bin of one line, `monolift::process!(env, \
             \"deployment.toml\", \"{name}\");`, and in its Cargo.toml \
             `[package.metadata.monolift] process = \"<the bin's name>\"`"
        )
        .into()
    })
}
