//! A process at work, and how it stops.

use super::{
    admin::{Admin, Observed},
    http::Gateway,
    linked::ThisProcess,
    otlp::Exporting,
};
use crate::{
    call::access::{Acting, Refused},
    link::{Client, Links},
    module::RunningModule,
    remote::{Readiness, Remote},
    serve::Server,
    wire::{Doubt, Memory, MemoryInUse, Statements},
};
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

/// How long kept traces may take to reach their collector.
const EXPORT: Duration = Duration::from_secs(2);

/// A process at work.
pub struct RunningApp {
    pub(super) place: ThisProcess,
    pub(super) links: Arc<Links>,
    pub(super) modules: Vec<RunningModule>,
    pub(super) fakes: BTreeSet<String>,
    pub(super) hints: Vec<String>,
    pub(super) docs: bool,
    pub(super) internal_errors: super::http::InternalErrors,
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a gateway asks"))]
    pub(super) front: super::http::Held,
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a gateway asks"))]
    pub(super) users: super::identity::Users,
    #[cfg_attr(
        not(feature = "observe"),
        allow(dead_code, reason = "levels change with that feature only")
    )]
    pub(super) log: super::log::Control,
    pub(super) remotes: BTreeMap<String, Arc<Remote>>,
    pub(super) memory: Arc<Memory>,
    #[cfg(feature = "data")]
    pub(super) feeds: Arc<monolift_data::events::Feeds>,
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) looking: JoinSet<()>,
    pub(super) server: Option<Server>,
    pub(super) address: Option<Address>,
    pub(super) statements: Option<Arc<Statements>>,
    pub(super) http: Option<Gateway>,
    pub(super) observed: Observed,
    pub(super) exporting: Option<Exporting>,
    pub(super) admin: Option<Admin>,
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

    /// The same, for a caller of its own: for tests.
    pub(crate) fn client_acting<C: Client>(&self, acting: Acting) -> C {
        self.links.client_acting(acting)
    }

    /// Calls whose user was not proven: by the process that called, and by what was wrong with its statement.
    pub fn unproven_users(&self) -> Vec<(String, Doubt, u64)> {
        self.statements.as_ref().map_or_else(Vec::new, |statements| statements.doubts())
    }

    /// Calls that the rules of methods have refused in this process, or would have where they are only observed: by
    /// caller, method and rule.
    pub fn refused_calls(&self) -> Vec<(Refused, u64)> {
        self.links.settings().access.refused.all()
    }

    /// The bytes that calls and requests take in this process before they are decoded, beside
    /// `limits.memory`.
    pub fn memory(&self) -> MemoryInUse {
        self.memory.in_use()
    }

    /// Where the modules of this process take events from. For tests of the delivery itself.
    #[cfg(feature = "data")]
    #[doc(hidden)]
    pub fn feeds(&self) -> &Arc<monolift_data::events::Feeds> {
        &self.feeds
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

    /// The levels of its log. `None` in a program that has a subscriber of its own and did not hand them over. It needs
    /// the feature `observe`.
    #[cfg(feature = "observe")]
    pub fn log(&self) -> Option<&monolift_observe::log::LogControl> {
        self.log.as_ref()
    }

    /// Where other processes call it.
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Where its gateway listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Gateway::address)
    }

    /// Where it shows its metrics and traces.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
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
        if let Some(http) = self.http.take() {
            http.drain(by).await;
        }
        if let Some(server) = self.server.take() {
            server.drain(by).await;
        }
        for module in self.modules.iter().rev() {
            module.stop(Instant::now() + stop).await;
        }
        if let Some(exporting) = self.exporting.take() {
            exporting.stop(Instant::now() + EXPORT).await;
        }
        // The admin address goes with `self`, last, so that it shows how the process stops. An open dashboard never ends its
        // request, so nothing waits for those.
    }
}
