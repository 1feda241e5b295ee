//! A process at work, and how it stops.

use super::linked::ThisProcess;
use crate::{
    call::CallSettings,
    gateway::{
        self, CallLayer, Forward, HttpServer, OnInternalError, OwnRoutes, Readiness, RouteError,
    },
    interface::InterfaceDescriptor,
    link::{Client, Links, interfaces},
    module::{RunningModule, StartError, modules},
    remote::Remote,
    serve::Server,
    wire::{Memory, MemoryInUse},
};
use monolift_data::{ModuleDatabase, work::Work};
use monolift_manifest::{Address, Manifest};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// How long a module's own `stop` and its tasks may take.
const STOP: Duration = Duration::from_secs(5);

/// A process at work.
pub struct RunningApp {
    pub(super) place: ThisProcess,
    pub(super) links: Arc<Links>,
    pub(super) call_settings: Arc<CallSettings>,
    pub(super) modules: Vec<RunningModule>,
    pub(super) fakes: BTreeSet<String>,
    pub(super) hints: Vec<String>,
    pub(super) docs: bool,
    pub(super) on_internal_error: Option<OnInternalError>,
    pub(super) remotes: BTreeMap<String, Arc<Remote>>,
    pub(super) memory: Arc<Memory>,
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) looking: JoinSet<()>,
    pub(super) server: Option<Server>,
    pub(super) address: Option<Address>,
    pub(super) http: Option<(HttpServer, SocketAddr)>,
}

impl fmt::Debug for RunningApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunningApp({})", self.place.process)
    }
}

impl RunningApp {
    /// A client, for code that is no module: a host's handlers, its jobs, a test.
    pub fn client<C: Client>(&self) -> C {
        self.links.client()
    }

    /// The durable work of a module, for a host's own code: its transactions on `pool` enqueue pieces that the module
    /// then performs.
    ///
    /// The database has to be the module's. If the module's tables are in a schema of their own, name it with
    /// [`Work::in_schema`]. The module may run in another process.
    pub fn work<D: ModuleDatabase>(
        &self,
        module: &str,
        pool: &sqlx::Pool<D>,
    ) -> Result<Work<D>, StartError> {
        if self.place.manifest.process_of(module).is_none() {
            let file = self.place.manifest.file.display();
            return Err(StartError::new(format!("{file} has no module `{module}`")));
        }
        let here = self.modules.iter().find(|running| running.facts.name == module);
        let linked = || {
            let mut linked = modules().into_iter().map(|entry| (entry.facts)());
            linked.find(|facts| facts.name == module)
        };
        let facts = here.map(|running| running.facts).or_else(linked);
        let work = Work::outside(pool, module, facts.map(|facts| facts.work));
        Ok(match here {
            Some(running) => work.nudging(Arc::clone(&running.nudge)),
            None => work,
        })
    }

    /// The bytes that calls and requests take in this process before they are decoded, beside
    /// `limits.memory`.
    pub fn memory(&self) -> MemoryInUse {
        self.memory.in_use()
    }

    /// The routes of every interface that has some, with `/livez` and `/readyz`, `/openapi.json` and
    /// `/docs`: to be merged into a host's own router, or served by itself.
    pub fn routes(&self) -> Result<axum::Router, RouteError> {
        self.routes_unlogged().map(|routes| self.access_logged(routes))
    }

    /// `router` with the access log, if that is switched on.
    pub(super) fn access_logged(&self, router: axum::Router) -> axum::Router {
        match self.place.manifest.http.access_log {
            true => gateway::access_logged(router),
            false => router,
        }
    }

    /// The routes without the access log, for a router that has more.
    pub(super) fn routes_unlogged(&self) -> Result<axum::Router, RouteError> {
        let manifest = &self.place.manifest;
        // Other applications of the workspace may be linked, and are none of this one's business.
        let ours =
            |interface: &InterfaceDescriptor| manifest.process_of(interface.module).is_some();
        let (settings, bounds) = (&self.call_settings, self.place.bounds());
        let mut whole = gateway::routes(&self.links, settings, bounds, &self.memory, ours)?;
        if let Some(respond) = &self.on_internal_error {
            whole = gateway::with_internal_errors(whole, Arc::clone(respond));
        }
        if self.docs {
            whole = whole.merge(gateway::described(&manifest.app, ours));
        }
        let own = gateway::own_routes(self.own_routes(), &gateway::paths(ours))?;
        let health = gateway::health(self.readiness.subscribe());
        Ok(gateway::compressed(whole).merge(health).merge(own))
    }

    /// The routes of modules' own: of those that run here, and the ways to the others.
    fn own_routes(&self) -> Vec<(&'static str, &'static str, OwnRoutes)> {
        let prefixes = interfaces().into_iter().filter_map(|entry| {
            let interface = (entry.descriptor)();
            Some((interface.module, interface.routes?))
        });
        let routes = prefixes.filter_map(|(module, prefix)| {
            let here = self.modules.iter().find(|running| running.facts.name == module);
            let own = match here.and_then(|running| running.routes.clone()) {
                Some((_, router)) => OwnRoutes::Here(router),
                None => {
                    let process = self.place.manifest.process_of(module)?;
                    let remote = Arc::clone(self.remotes.get(process)?);
                    OwnRoutes::Elsewhere(Arc::new(Forward::to(remote)))
                }
            };
            Some((module, prefix, own))
        });
        routes.collect()
    }

    /// Gives a host's own routes what a call has: a deadline, a trace, a principal.
    pub fn layer(&self) -> CallLayer {
        CallLayer::new(Arc::clone(&self.call_settings))
    }

    /// Ready when every process that this one calls has been reached.
    pub async fn ready(&self) {
        let mut readiness = self.readiness.subscribe();
        // The sender is `self`, which outlives the wait.
        let _ = readiness.wait_for(|now| now.waiting_for.is_empty()).await;
    }

    /// What it waits for.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// Where other processes call it.
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Where its gateway listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, address)| *address)
    }

    /// The modules that run here, in the order in which they started.
    pub fn modules(&self) -> impl Iterator<Item = &'static str> {
        self.modules.iter().map(|module| module.facts.name)
    }

    /// Each module that runs here, with where its database is and whether the database keeps it
    /// to itself.
    pub fn databases(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.modules.iter().flat_map(|module| {
            let name = module.facts.name;
            module.databases.iter().map(move |described| (name, described.as_str()))
        })
    }

    /// The manifest in force.
    pub fn manifest(&self) -> &Manifest {
        &self.place.manifest
    }

    /// The process of the manifest that this is.
    pub fn process(&self) -> &str {
        &self.place.process
    }

    /// When the manifest has this module elsewhere, and callers use that copy: the process that it
    /// is in. No work of the module's own was started here.
    pub fn aside_of(&self) -> Option<&str> {
        self.place.aside_of.as_deref()
    }

    /// Stops: not ready; what is in flight ends, within the manifest's `drain`; then the modules,
    /// in reverse order of their start.
    pub async fn stop(self) {
        let drain = self.place.manifest.calls.drain;
        self.stop_within(drain, STOP).await;
    }

    /// Stops after an error, with no time for anybody.
    pub(super) async fn give_up(self) {
        self.stop_within(Duration::ZERO, Duration::ZERO).await;
    }

    async fn stop_within(mut self, drain: Duration, stop: Duration) {
        self.readiness.send_modify(|readiness| readiness.stopping = true);
        self.looking.abort_all();
        let by = Instant::now() + drain;
        // Requests first: they are what calls are made for.
        if let Some((http, _)) = self.http.take() {
            http.drain(by).await;
        }
        if let Some(server) = self.server.take() {
            server.drain(by).await;
        }
        for module in self.modules.iter().rev() {
            module.stop(Instant::now() + stop).await;
        }
    }
}
