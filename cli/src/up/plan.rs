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
    /// The names of processes that are not started. The others do not wait for them.
    pub(crate) left_out: Vec<String>,
    /// The modules of these, if fakes answer for them.
    pub(crate) fakes: Vec<String>,
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
pub enum Program {
    /// A module's own package, whose program has its name.
    Service(String),
    /// A `process!(env, …)` program that is built for this process.
    Process {
        /// The package of the program.
        package: String,
        /// The program.
        bin: String,
    },
}

impl Program {
    /// The program that `cargo monolift up` and the files of `cargo monolift deploy` run as a process.
    pub fn of(
        process: &str,
        manifest: &Manifest,
        workspace: &Workspace,
    ) -> Result<Self, Box<dyn Error>> {
        let modules: Vec<&str> = manifest.modules_of(process).collect();
        let has_gateway = manifest.processes.get(process).is_some_and(|one| one.http.is_some());
        match modules[..] {
            [module] if !has_gateway => Ok(Self::Service(module.to_owned())),
            _ => process_program(process, workspace),
        }
    }
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
            // A gateway comes last, because it calls all modules, and so does a process that only observes.
            ranks.max().unwrap_or(usize::MAX)
        };
        let mut names: Vec<&str> = manifest.all_processes().collect();
        names.retain(|name| manifest.is_run(name));
        names.sort_by_key(|name| rank(name));
        let processes = names.iter().map(|name| process(name, &manifest, &workspace));
        Ok(Self {
            app: manifest.app.clone(),
            kept_as: manifest.app.clone(),
            processes: processes.collect::<Result<_, _>>()?,
            left_out: Vec::new(),
            fakes: Vec::new(),
            root: workspace.root.clone(),
            drain: manifest.calls.drain,
            manifest: file,
        })
    }

    /// Leaves out all processes but these, which are named by themselves or by one of their modules. No names mean all.
    /// With `fakes`, those that run answer for the others.
    pub(crate) fn only(mut self, names: &[String], fakes: bool) -> Result<Self, String> {
        let is_named = |process: &Process, name: &String| {
            process.name == *name || process.modules.contains(name)
        };
        if let Some(unknown) =
            names.iter().find(|name| !self.processes.iter().any(|process| is_named(process, name)))
        {
            let known: Vec<&str> =
                self.processes.iter().map(|process| process.name.as_str()).collect();
            return Err(format!(
                "--only: {} has no process or module `{unknown}`; its processes are {}",
                self.manifest.display(),
                known.join(", ")
            ));
        }
        if !names.is_empty() {
            let (kept, left_out): (Vec<_>, Vec<_>) = self
                .processes
                .into_iter()
                .partition(|process| names.iter().any(|name| is_named(process, name)));
            self.processes = kept;
            if fakes {
                self.fakes = left_out.iter().flat_map(|process| process.modules.clone()).collect();
            }
            self.left_out = left_out.into_iter().map(|process| process.name).collect();
        }
        Ok(self)
    }

    /// Whether a process that reports to wait for this, as `stock at 127.0.0.1:7102`, waits for one that is left out.
    pub(crate) fn is_left_out(&self, waited_for: &str) -> bool {
        let process = waited_for.split_once(" at ").map_or(waited_for, |(process, _)| process);
        self.left_out.iter().any(|name| name == process)
    }
}

fn process(
    name: &str,
    manifest: &Manifest,
    workspace: &Workspace,
) -> Result<Process, Box<dyn Error>> {
    let modules: Vec<String> = manifest.modules_of(name).map(str::to_owned).collect();
    let stated = manifest.processes.get(name).cloned().unwrap_or_default();
    let program = Program::of(name, manifest, workspace)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let process = |(name, modules): (&str, &[&str])| Process {
            name: name.to_owned(),
            modules: modules.iter().map(ToString::to_string).collect(),
            program: Program::Service(name.to_owned()),
            replicas: Vec::new(),
        };
        let processes: [(&str, &[&str]); 3] =
            [("stock", &["stock"]), ("sales", &["orders", "payments"]), ("gateway", &[])];
        Plan {
            app: "shop".to_owned(),
            kept_as: "shop".to_owned(),
            manifest: PathBuf::from("deployment.toml"),
            root: PathBuf::new(),
            processes: processes.into_iter().map(process).collect(),
            left_out: Vec::new(),
            fakes: Vec::new(),
            drain: std::time::Duration::ZERO,
        }
    }

    fn only(names: &[&str]) -> Result<Plan, String> {
        plan().only(&names.iter().map(ToString::to_string).collect::<Vec<_>>(), true)
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.processes.iter().map(|process| process.name.as_str()).collect()
    }

    #[test]
    fn processes_are_named_by_themselves_or_by_a_module() {
        let some = only(&["gateway", "orders", "payments"]).unwrap();
        assert_eq!(names(&some), ["sales", "gateway"]);
        assert_eq!(
            (&some.left_out[..], &some.fakes[..]),
            (&["stock".to_owned()][..], &["stock".to_owned()][..])
        );
        assert!(some.is_left_out("stock at 127.0.0.1:7102"));
        assert!(!some.is_left_out("sales at 127.0.0.1:7103"));
        assert!(!some.is_left_out("stocks at 127.0.0.1:7104"));
        let all = only(&[]).unwrap();
        assert_eq!((names(&all).len(), all.left_out.len()), (3, 0));
    }

    #[test]
    fn an_unknown_name_is_told_with_those_that_there_are() {
        let error = only(&["stock", "stok"]).unwrap_err();
        assert!(error.contains("no process or module `stok`"), "{error}");
        assert!(error.ends_with("stock, sales, gateway"), "{error}");
    }
}
