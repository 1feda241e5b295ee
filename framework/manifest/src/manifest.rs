//! What a deployment manifest says, as plain data. How it is read is in `parse`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::address::Address;
use crate::connect::Connect;
use crate::graph::Graph;
use crate::identity::Identity;
use crate::parse::{self, Parsed};
use crate::problem::Problems;
use crate::sections::{Calls, Databases, Http, Limits, Log, OFF, Observe, Otlp, Retries};
use crate::workspace::Workspace;

/// A deployment manifest: which module lives in which process, and how processes reach each other.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The application's name.
    pub app: String,
    /// The process in which an existing program's own `main` runs.
    pub host: Option<String>,
    /// `[modules]`, in the order of the file.
    pub modules: Vec<Placement>,
    /// `[process.*]`, by name.
    pub processes: BTreeMap<String, Process>,
    /// `[calls]`.
    pub calls: Calls,
    /// `[http]`.
    pub http: Http,
    /// `[identity]`.
    pub identity: Identity,
    /// `[observe]`.
    pub observe: Observe,
    /// `[observe.otlp]`.
    pub otlp: Otlp,
    /// `[log]`.
    pub log: Log,
    /// `[limits]`.
    pub limits: Limits,
    /// `[db]`.
    pub db: Databases,
    /// `[tls]`.
    pub tls: Option<TlsFiles>,
    /// `tls = "mesh"`: the network encrypts what processes say to each other, and proves who they are.
    pub mesh: bool,
    /// `insecure = true`: processes may listen off loopback, unencrypted.
    pub insecure: bool,
    /// The file that it was read from.
    pub file: PathBuf,
    pub(crate) host_position: (usize, usize),
    pub(crate) modules_position: (usize, usize),
}

/// One line of `[modules]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The module.
    pub module: String,
    /// The process that it lives in.
    pub process: String,
    /// The line of the manifest, from 1.
    pub line: usize,
    /// The column at which the module's name begins, from 1.
    pub column: usize,
}

/// One `[process.*]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Where its gateway listens, `host:port`.
    pub http: Option<String>,
    /// Where other processes call the modules that live in it.
    pub listen: Option<Address>,
    /// Where others find its replicas, when that is not where they listen.
    pub connect: Option<Connect>,
    /// Where it shows its metrics and traces: `host:port`, or `off`. If it states none, a free port of loopback.
    pub admin: Option<String>,
    /// Whether it may ask all other processes what they do. A gateway always may.
    pub observe: Option<bool>,
    /// How often others try when a call to it fails.
    pub retries: Retries,
    /// How many of it run on one machine. The first listens where the manifest says, each further one a port higher.
    pub replicas: Replicas,
    /// The line of its table in the manifest, from 1.
    pub line: usize,
    /// The column at which its name begins, from 1.
    pub column: usize,
    pub(crate) http_position: (usize, usize),
    pub(crate) listen_position: (usize, usize),
    pub(crate) admin_position: (usize, usize),
}

/// `[tls]`: the files by which processes prove to each other who they are. In the paths of the last two
/// `{process}` stands for a process's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of whoever signs those of the processes.
    pub authority: PathBuf,
    /// A process's certificate, which is for its name.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl TlsFiles {
    /// The certificate of a process.
    pub fn certificate_of(&self, process: &str) -> PathBuf {
        self.certificate.replace("{process}", process).into()
    }

    /// The key of a process.
    pub fn key_of(&self, process: &str) -> PathBuf {
        self.key.replace("{process}", process).into()
    }
}

/// How many of a process run: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas(pub usize);

impl Replicas {
    /// The most that the manifest takes.
    pub const MOST: usize = 64;
}

impl Default for Replicas {
    fn default() -> Self {
        Self(1)
    }
}

impl Process {
    /// Where its replicas are called, the first one first. Empty when it listens nowhere.
    pub fn listens(&self) -> Vec<Address> {
        let all =
            |first: &Address| (0..self.replicas.0).filter_map(|at| first.further(at)).collect();
        self.listen.as_ref().map_or_else(Vec::new, all)
    }

    /// Where the gateways of its replicas listen, the first one first. Empty when it has none.
    pub fn https(&self) -> Vec<Address> {
        self.of_replicas(self.http.as_ref())
    }

    /// The admin addresses of its replicas, the first one first. Empty when it states none.
    pub fn admins(&self) -> Vec<Address> {
        self.of_replicas(self.admin.as_ref().filter(|stated| *stated != OFF))
    }

    fn of_replicas(&self, first: Option<&String>) -> Vec<Address> {
        let all =
            |first: Address| (0..self.replicas.0).filter_map(|at| first.further(at)).collect();
        first.cloned().map(Address::Tcp).map_or_else(Vec::new, all)
    }
}

/// What happens when the default deadline passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeadlineMode {
    /// The call ends with an error.
    #[default]
    Enforce,
    /// It is logged, and the call goes on.
    Observe,
}

impl Manifest {
    /// Reads a manifest. `file` is where the text came from: it is what problems point into, and is not opened.
    ///
    /// Unknown keys, wrong types, bad names, addresses and quantities are refused, all of them at once. Whether the
    /// modules exist and who calls whom is [`Graph::check`](crate::Graph::check)'s to say.
    pub fn parse(text: &str, file: &Path) -> Result<Manifest, Problems> {
        let parsed = parse::manifest(text, file)?;
        parsed.problems.unless_empty(parsed.manifest)
    }

    /// As [`Manifest::parse`], of a manifest that [`Graph::check`](crate::Graph::check) is to check next. If the text
    /// has mistakes that leave the modules and processes known, what that check finds is reported with them.
    pub fn parse_in(
        text: &str,
        file: &Path,
        workspace: &Workspace,
        host_package: Option<&str>,
    ) -> Result<Manifest, Problems> {
        let Parsed { manifest, mut problems, graph_is_known } = parse::manifest(text, file)?;
        if graph_is_known
            && !problems.is_empty()
            && let Err(more) = Graph::check(&manifest, workspace, host_package)
        {
            problems.extend(more);
        }
        problems.unless_empty(manifest)
    }

    /// The modules that live in a process, in the order of the file.
    pub fn modules_of(&self, process: &str) -> impl Iterator<Item = &str> {
        self.modules
            .iter()
            .filter(move |placement| placement.process == process)
            .map(|placement| placement.module.as_str())
    }

    /// The process that a module lives in.
    pub fn process_of(&self, module: &str) -> Option<&str> {
        self.placement(module).map(|placement| placement.process.as_str())
    }

    /// Every process, in the order of the alphabet: those with a table, those only named in `[modules]`, the host's.
    pub fn all_processes(&self) -> impl Iterator<Item = &str> {
        let mut names: BTreeSet<&str> = self.processes.keys().map(String::as_str).collect();
        names.extend(self.modules.iter().map(|placement| placement.process.as_str()));
        names.extend(self.host.as_deref());
        names.into_iter()
    }

    /// Whether a process says who the users of requests are: it is a gateway, or the host, whose program answers requests of
    /// its own.
    pub fn vouches(&self, process: &str) -> bool {
        self.host.as_deref() == Some(process)
            || self.processes.get(process).is_some_and(|process| process.http.is_some())
    }

    /// Whether a process shows the whole application: it may ask every other process for what that records, and how it
    /// stands. A gateway may, and so may a process that says `observe = true`.
    pub fn observes(&self, process: &str) -> bool {
        let process = self.processes.get(process);
        process.is_some_and(|process| process.http.is_some() || process.observe == Some(true))
    }

    /// Whether something runs in a process: a module, the host, a gateway, or what observes the others. A table can also be
    /// there for a module that is served on its own.
    pub fn is_run(&self, process: &str) -> bool {
        self.host.as_deref() == Some(process)
            || self.modules_of(process).next().is_some()
            || self.observes(process)
    }

    /// Where other processes find the replicas of this one: as its `connect` says, else where they
    /// listen.
    pub fn connect_to(&self, process: &str) -> Option<Connect> {
        let process = self.processes.get(process)?;
        let listens = || process.listen.is_some().then(|| Connect::Addresses(process.listens()));
        process.connect.clone().or_else(listens)
    }

    pub(crate) fn placement(&self, module: &str) -> Option<&Placement> {
        self.modules.iter().find(|placement| placement.module == module)
    }
}
