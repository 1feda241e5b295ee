//! What the build fixed about a program, and the manifest that is in force when it starts.

use crate::{
    module::StartError,
    wire::{Bounds, Tls},
};
use monolift_manifest::{Graph, LocalCalls, Manifest};
use std::{
    env,
    path::{Path, PathBuf},
};

/// What the build fixed about a program. The macros write it.
#[derive(Debug, Clone, Copy)]
pub struct Linked {
    /// The manifest's text when the program was built.
    pub manifest: &'static str,
    /// Its file, as messages call it.
    pub file: &'static str,
    /// The workspace's root, where the embedded databases are.
    pub root: &'static str,
    /// What the program is.
    pub kind: Program,
    /// The modules that are linked into it.
    pub modules: &'static [&'static str],
    /// Who may call whom: each module, and the modules that it depends on.
    pub calls: &'static [(&'static str, &'static [&'static str])],
    /// The modules that the host's own code depends on.
    pub host_calls: &'static [&'static str],
    /// Circles of calls that go through the host, such as `host -> profiles -> accounts -> host`:
    /// allowed, and said at the start.
    pub circles: &'static [&'static str],
    /// Which callers share their transactions with which modules. They are placed together.
    pub local_calls: &'static [LocalCall],
}

/// A caller (`None` is the host), a module, and the module's methods that take the caller's transaction.
pub type LocalCall = (Option<&'static str>, &'static str, &'static [&'static str]);

/// What a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// A process of the manifest.
    Process(&'static str),
    /// One module, wherever the manifest has it.
    Service(&'static str),
    /// The process that an existing program's own `main` runs in.
    Host,
}

/// The manifest in force, and this process in it.
#[derive(Debug, Clone)]
pub(crate) struct ThisProcess {
    pub(crate) manifest: Manifest,
    pub(crate) graph: Graph,
    /// This process's name.
    pub(crate) process: String,
    /// The modules that run here.
    pub(crate) modules: Vec<String>,
    /// Set when the manifest has this module elsewhere, and callers use that copy: the process that
    /// it is in.
    pub(crate) aside_of: Option<String>,
}

impl Linked {
    /// Reads the manifest in force: the embedded one, or the one that `MONOLIFT_MANIFEST` names.
    pub(crate) fn place(&self) -> Result<ThisProcess, StartError> {
        let unreadable =
            |problems: monolift_manifest::Problems| StartError::new(problems.to_string());
        let manifest = match env::var_os("MONOLIFT_MANIFEST") {
            None => Manifest::parse(self.manifest, Path::new(self.file)).map_err(unreadable)?,
            Some(file) => {
                let file = PathBuf::from(file);
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    StartError::new(format!("the manifest {} cannot be read", file.display()))
                        .because(error)
                })?;
                Manifest::parse(&text, &file).map_err(unreadable)?
            }
        };
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let calls = self.calls.iter().map(|(module, calls)| (String::from(*module), owned(calls)));
        let local_calls = self.local_calls.iter().map(|(caller, module, methods)| LocalCalls {
            caller: caller.map(str::to_owned),
            module: (*module).to_owned(),
            methods: owned(methods),
        });
        let local_calls = local_calls.collect();
        let graph = Graph { local_calls, ..Graph::new(calls, owned(self.host_calls)) };
        // The build refuses that too, of the manifest that it reads.
        let apart = graph.local_calls_apart(&manifest);
        if !apart.is_empty() {
            return Err(StartError::new(apart.to_string()));
        }
        let place = self.kind.place(manifest, graph)?;
        let missing = |module: &&String| !self.modules.contains(&module.as_str());
        if self.kind != Program::Host
            && let Some(module) = place.modules.iter().find(missing)
        {
            return Err(StartError::new(format!(
                "{} places `{module}` in the process `{}`, and it is not linked into this \
                 program: build it with that manifest",
                place.manifest.file.display(),
                place.process
            )));
        }
        Ok(place)
    }
}

impl Program {
    fn place(self, manifest: Manifest, graph: Graph) -> Result<ThisProcess, StartError> {
        let of_process = |manifest: Manifest, process: String| {
            let modules = manifest.modules_of(&process).map(str::to_owned).collect();
            ThisProcess { manifest, graph: graph.clone(), process, modules, aside_of: None }
        };
        match self {
            Self::Process(process) => {
                if !manifest.all_processes().any(|known| known == process) {
                    return Err(StartError::new(format!(
                        "{} has no process `{process}`",
                        manifest.file.display()
                    )));
                }
                Ok(of_process(manifest, process.to_owned()))
            }
            Self::Host => {
                let process = manifest.host.clone().ok_or_else(|| {
                    StartError::new(format!(
                        "{} names no host: add `host = \"…\"`, the process that this program is",
                        manifest.file.display()
                    ))
                })?;
                Ok(of_process(manifest, process))
            }
            Self::Service(module) => {
                let Some(process) = manifest.process_of(module).map(str::to_owned) else {
                    return Err(StartError::new(format!(
                        "{} places `{module}` nowhere",
                        manifest.file.display()
                    )));
                };
                let alone = manifest.modules_of(&process).count() == 1
                    && manifest.host.as_deref() != Some(process.as_str());
                if alone {
                    return Ok(of_process(manifest, process));
                }
                Ok(ThisProcess {
                    manifest,
                    graph,
                    process: module.to_owned(),
                    modules: vec![module.to_owned()],
                    aside_of: Some(process),
                })
            }
        }
    }
}

impl ThisProcess {
    /// Whether requests come in here: at a gateway, or at the program of the host.
    pub(crate) fn takes_requests(&self) -> bool {
        self.manifest.vouches(&self.process)
    }

    /// The modules that this process calls.
    pub(crate) fn calls(&self) -> Vec<&str> {
        let of_modules = self.modules.iter().filter_map(|module| self.graph.modules.get(module));
        let mut calls: Vec<&str> =
            of_modules.flat_map(|node| node.calls.iter().map(String::as_str)).collect();
        if self.manifest.host.as_deref() == Some(self.process.as_str()) {
            calls.extend(self.graph.host_calls.iter().map(String::as_str));
        }
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    /// How this process proves who it is, if the manifest says.
    pub(crate) fn tls(&self) -> Result<Option<Tls>, StartError> {
        let files = self.manifest.tls.as_ref();
        let read =
            files.map(|files| Tls::read(files, &self.manifest.app, &self.process)).transpose();
        read.map_err(|error| StartError::new(format!("[tls]: {error}")))
    }

    /// What calls and answers are held to.
    pub(crate) fn bounds(&self) -> Bounds {
        let limits = &self.manifest.limits;
        Bounds { bytes: limits.frame, nesting: limits.nesting }
    }

    pub(crate) fn runs_here(&self, module: &str) -> bool {
        self.modules.iter().any(|here| here == module)
    }

    /// The address that the gateway listens on here.
    pub(crate) fn http(&self) -> Option<&str> {
        self.manifest.processes.get(&self.process)?.http.as_deref()
    }
}
