//! The other processes that this one calls, and whether they have been reached.

use super::linked::ThisProcess;
use crate::{
    call::Backoff,
    interface::InterfaceDescriptor,
    link::Undeclared,
    module::StartError,
    remote::{Readiness, Remote, Whereabouts},
    wire::{Carrier, Machine, Memory, Peer, Statements, Tls},
};
use monolift_manifest::Connect;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

/// When a process that is not there yet is looked for again.
const LOOKS: Backoff = Backoff::fifth(Duration::from_millis(10), Duration::from_secs(1));
/// How often its absence is logged. The log of its replicas tells of the first seconds.
const REMIND: Duration = Duration::from_secs(30);

/// The other processes that this one calls.
#[derive(Debug)]
pub(super) struct Peers {
    interfaces: Vec<&'static InterfaceDescriptor>,
    memory: Arc<Memory>,
    tls: Option<Tls>,
    statements: Option<Arc<Statements>>,
    remotes: BTreeMap<String, Arc<Remote>>,
    /// The modules that each of them has.
    modules: BTreeMap<String, BTreeSet<String>>,
    /// The processes that this one does not call, and observes. Nothing waits for them.
    observed: BTreeMap<String, Arc<Remote>>,
}

impl Peers {
    pub(super) fn new(
        interfaces: impl Iterator<Item = &'static InterfaceDescriptor>,
        memory: Arc<Memory>,
        tls: Option<Tls>,
        statements: Option<Arc<Statements>>,
    ) -> Self {
        Self {
            interfaces: interfaces.collect(),
            memory,
            tls,
            statements,
            remotes: BTreeMap::new(),
            modules: BTreeMap::new(),
            observed: BTreeMap::new(),
        }
    }

    /// The way to the process that `module` lives in; `None` when it belongs to another application.
    pub(super) fn to(
        &mut self,
        place: &ThisProcess,
        module: &str,
    ) -> Result<Option<Arc<dyn Carrier>>, StartError> {
        let manifest = &place.manifest;
        let Some(process) = manifest.process_of(module) else { return Ok(None) };
        let declared = place.calls().contains(&module) || place.http().is_some();
        if !declared {
            return Ok(Some(Arc::new(Undeclared::of(&place.process, place.bounds()))));
        }
        self.modules.entry(process.to_owned()).or_default().insert(module.to_owned());
        if let Some(remote) = self.remotes.get(process) {
            return Ok(Some(Arc::<Remote>::clone(remote)));
        }
        let Some(connect) = manifest.connect_to(process) else {
            return Err(StartError::new(format!(
                "`{module}` lives in the process `{process}`, which listens nowhere: give \
                 [process.{process}] in {} a `listen`",
                manifest.file.display()
            )));
        };
        let remote = self.remote(place, process, connect);
        self.remotes.insert(process.to_owned(), Arc::<Remote>::clone(&remote));
        Ok(Some(remote))
    }

    /// Finds the processes that this one is to observe and does not call, if the manifest says that it observes. One that
    /// listens nowhere cannot be asked.
    pub(super) fn observe(&mut self, place: &ThisProcess) {
        let manifest = &place.manifest;
        if !cfg!(feature = "observe") || !manifest.observes(&place.process) {
            return;
        }
        for process in manifest.all_processes().filter(|process| manifest.is_run(process)) {
            if process == place.process || self.remotes.contains_key(process) {
                continue;
            }
            if let Some(connect) = manifest.connect_to(process) {
                let remote = self.remote(place, process, connect);
                self.observed.insert(process.to_owned(), remote);
            }
        }
    }

    fn remote(&self, place: &ThisProcess, process: &str, connect: Connect) -> Arc<Remote> {
        let manifest = &place.manifest;
        let connections = manifest.calls.connections.unwrap_or_else(default_connections);
        let whereabouts = Whereabouts {
            process: process.to_owned(),
            connect,
            network: Arc::new(Machine),
            us: Peer::new(&manifest.app, &place.process, place.bounds()),
            interfaces: self.interfaces.clone(),
            tls: self.tls.clone(),
            bounds: place.bounds(),
            hello: manifest.limits.hello,
            in_flight: manifest.limits.in_flight,
            memory: Arc::clone(&self.memory),
            retries: manifest
                .processes
                .get(process)
                .map(|stated| stated.retries)
                .unwrap_or_default(),
            thresholds: Default::default(),
        };
        Arc::new(Remote::new(whereabouts, connections).vouching(self.statements.clone()))
    }

    /// Those that are called, by the names of their processes.
    pub(super) fn remotes(&self) -> &BTreeMap<String, Arc<Remote>> {
        &self.remotes
    }

    /// Those that are only observed.
    #[cfg(feature = "observe")]
    pub(super) fn observed(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.observed.values()
    }

    /// The modules of one of them.
    #[cfg(feature = "observe")]
    pub(super) fn modules_of(&self, process: &str) -> BTreeSet<String> {
        self.modules.get(process).cloned().unwrap_or_default()
    }

    /// Looks for all of them, and for those that are only observed, until each has been reached once.
    pub(super) fn watch(&self, readiness: &watch::Sender<Readiness>) -> JoinSet<()> {
        let mut looking = JoinSet::new();
        for remote in self.remotes.values() {
            let modules = self.modules.get(remote.process()).cloned().unwrap_or_default();
            looking.spawn(look_for(Arc::clone(remote), modules, readiness.clone()));
        }
        for remote in self.observed.values() {
            looking.spawn(look_for(Arc::clone(remote), BTreeSet::new(), readiness.clone()));
        }
        looking
    }

    /// What is waited for at first: all of them.
    pub(super) fn readiness(&self) -> Readiness {
        let waiting_for = self.remotes.values().map(|remote| describe(remote)).collect();
        let missing = self.modules.values().flatten().cloned().collect();
        Readiness { waiting_for, missing, stopping: false }
    }
}

fn describe(remote: &Remote) -> String {
    format!("{} at {}", remote.process(), remote.connect())
}

async fn look_for(
    remote: Arc<Remote>,
    modules: BTreeSet<String>,
    readiness: watch::Sender<Readiness>,
) {
    let described = describe(&remote);
    let mut said = Instant::now();
    let mut looked = 0;
    while let Err(error) = remote.reach().await {
        if said.elapsed() >= REMIND {
            tracing::info!("waiting for {described}: {}", error.message());
            said = Instant::now();
        }
        sleep(LOOKS.pause(looked)).await;
        looked += 1;
    }
    readiness.send_modify(|readiness| {
        readiness.waiting_for.retain(|other| *other != described);
        readiness.missing.retain(|module| !modules.contains(module));
    });
}

/// As many as there are threads, and at least some: a thread goes on to another one only while its own
/// has long messages, so most of them are never made.
fn default_connections() -> usize {
    available_parallelism().map_or(1, |threads| threads.get()).max(8)
}
