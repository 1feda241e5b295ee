//! What a deployment manifest says, as plain data. How it is read is in `parse`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Address;
use crate::connect::Connect;
use crate::parse;
use crate::problem::Problems;

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
    /// `[limits]`.
    pub limits: Limits,
    /// `[tls]`.
    pub tls: Option<TlsFiles>,
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
    /// How often others try when a call to it fails.
    pub retries: Retries,
    /// How many of it run. The first listens where the manifest says, each further one a port higher.
    pub replicas: Replicas,
    /// The line of its table in the manifest, from 1.
    pub line: usize,
    /// The column at which its name begins, from 1.
    pub column: usize,
    pub(crate) http_position: (usize, usize),
    pub(crate) listen_position: (usize, usize),
}

/// `[calls]`: how modules call each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// The deadline of a call that sets none of its own.
    pub deadline: Duration,
    /// What happens when the default deadline passes.
    pub deadline_mode: DeadlineMode,
    /// The most connections to each peer process; `None` is one for each worker thread, and at least 8.
    pub connections: Option<usize>,
    /// How long a stop waits for calls in flight.
    pub drain: Duration,
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

/// `[process.*.retries]`: how often others try when a call to a process fails. Only calls that were not
/// begun there are made again, and calls of methods that are `#[idempotent]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Attempts at one call, the first one among them.
    pub attempts: u32,
    /// Of a hundred calls, so many may be made again.
    pub percent: u32,
    /// So many may in each second, however few calls there are.
    pub per_second: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 3, percent: 20, per_second: 10 }
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
        let first = self.http.clone().map(Address::Tcp);
        let all =
            |first: Address| (0..self.replicas.0).filter_map(|at| first.further(at)).collect();
        first.map_or_else(Vec::new, all)
    }
}

impl Default for Calls {
    fn default() -> Self {
        Calls {
            deadline: Duration::from_secs(5),
            deadline_mode: DeadlineMode::Enforce,
            connections: None,
            drain: Duration::from_secs(20),
        }
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

/// `[limits]`: what a peer may ask of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame, in bytes.
    pub frame: usize,
    /// How deep a value may be nested.
    pub nesting: usize,
    /// Calls in flight on one connection.
    pub in_flight: usize,
    /// Calls that run at once, whichever connections they came over.
    pub running: usize,
    /// Calls that may wait until others have ended; those beyond them are refused at once.
    pub waiting: usize,
    /// The longest that one of them waits.
    pub wait: Duration,
    /// Connections accepted at one time.
    pub connections: usize,
    /// How long a new connection has to introduce itself.
    pub hello: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            frame: 4 << 20,
            nesting: 64,
            in_flight: 1024,
            running: 4096,
            waiting: 1024,
            wait: Duration::from_millis(100),
            connections: 1024,
            hello: Duration::from_secs(5),
        }
    }
}

impl Manifest {
    /// Reads a manifest. `file` is where the text came from: it is what problems point into, and is not opened.
    ///
    /// Unknown keys, wrong types, bad names, addresses and quantities are refused, all of them at once. Whether the
    /// modules exist and who calls whom is [`Graph::check`](crate::Graph::check)'s to say.
    pub fn parse(text: &str, file: &Path) -> Result<Manifest, Problems> {
        parse::manifest(text, file)
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
