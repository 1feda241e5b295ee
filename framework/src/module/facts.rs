//! What `#[monolift::module]` says of a module, and how one is made from that.

use super::{
    Injector, Lifecycle, Need, Resources, Router, StartError, Tasks, Wanted,
    databases::{Heard, Identity, Migration, WorkKind, Working},
    resources::ForModule,
};
use crate::{
    call::{panic_text, polled::Polled},
    link::{InterfaceEntry, Links},
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};
use tokio::time::{Instant, timeout_at};

/// A module, as the macro implements it for the struct.
pub trait Module: Sized + Send + Sync + 'static {
    /// What the macro knows of it.
    fn facts() -> &'static ModuleFacts;

    /// Makes it, field by field.
    fn inject(injector: Injector) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// Binds the interfaces that it provides.
    fn publish(this: &Arc<Self>, links: &Links);

    /// The kinds of durable work that it does.
    fn work(_this: &Arc<Self>) -> Vec<WorkKind> {
        Vec::new()
    }

    /// The events that it listens to.
    fn on(_this: &Arc<Self>) -> Vec<Heard> {
        Vec::new()
    }

    /// Routes of its own, when it has some.
    fn routes(_this: &Arc<Self>) -> Option<Router> {
        None
    }

    /// Its own start and stop, when it has some.
    fn lifecycle(_this: &Arc<Self>) -> Option<Arc<dyn Lifecycle>> {
        None
    }
}

/// What is known of a module without making it.
#[derive(Debug)]
pub struct ModuleFacts {
    /// Its name in the manifest.
    pub name: &'static str,
    /// The package that it was compiled in. It has the module's name, unless the module is in a host's own crate.
    pub package: &'static str,
    /// The modules whose api packages it depends on.
    pub calls: &'static [&'static str],
    /// The interfaces that it provides.
    pub provides: &'static [InterfaceEntry],
    /// What each of its fields needs.
    pub needs: &'static [FieldNeed],
    /// Its migrations, in order.
    pub migrations: &'static [Migration],
    /// The names of the kinds of durable work that it does.
    pub work: &'static [&'static str],
    /// The events that it listens to: the module that publishes each, and its name.
    pub on: &'static [(&'static str, &'static str)],
    /// Whether it has routes of its own.
    pub routes: bool,
}

impl ModuleFacts {
    /// Where the routes of its own are, as an interface that it provides says.
    pub fn prefixes(&self) -> impl Iterator<Item = &'static str> {
        let routes = |entry: &InterfaceEntry| (entry.descriptor)().routes.as_ref();
        self.provides.iter().filter_map(routes).map(|routes| routes.prefix)
    }
}

/// A field's name, and what it needs.
pub type FieldNeed = (&'static str, fn() -> Need);

/// What a module's crate hands to the registry.
#[derive(Debug, Clone, Copy)]
pub struct ModuleEntry {
    /// What is known of it.
    pub facts: fn() -> &'static ModuleFacts,
    start: fn(Arc<ForModule>) -> BoxFuture<'static, Result<RunningModule, StartError>>,
}

/// A module that is not made yet, and whose databases are open.
pub(crate) struct OpenModule {
    entry: ModuleEntry,
    process: Arc<ForModule>,
}

inventory::collect!(ModuleEntry);

impl ModuleEntry {
    /// That of `M`.
    pub const fn of<M: Module>() -> Self {
        Self { facts: M::facts, start: |process| Box::pin(start::<M>(process)) }
    }

    /// Opens the module's databases.
    pub(crate) async fn open(self, resources: Arc<Resources>) -> Result<OpenModule, StartError> {
        let facts = (self.facts)();
        let process = Arc::new(ForModule::new(facts, resources, Tasks::default()));
        let injector = Injector::new(facts.name, Arc::<ForModule>::clone(&process));
        for (field, need) in facts.needs {
            if let Wanted::Database(need) = need().into() {
                (need.open)(&injector, field).await?;
            }
        }
        Ok(OpenModule { entry: self, process })
    }
}

impl OpenModule {
    /// Makes the module and binds what it provides.
    pub(crate) async fn start(self) -> Result<RunningModule, StartError> {
        (self.entry.start)(self.process).await
    }
}

async fn start<M: Module>(process: Arc<ForModule>) -> Result<RunningModule, StartError> {
    let facts = M::facts();
    let (tasks, resources) = (process.tasks.clone(), Arc::clone(&process.resources));
    let injector = Injector::new(facts.name, Arc::<ForModule>::clone(&process));
    let module = Arc::new(M::inject(injector).await?);
    let databases = &process.databases;
    M::publish(&module, &resources.served);
    let worker = match databases.worker(M::work(&module)) {
        None => None,
        Some(Ok(worker)) => Some(worker),
        Some(Err(error)) => return Err(StartError::new(error).of(facts.name, "")),
    };
    databases.publish(facts.name, &resources.feeds);
    let listener = databases.listener(M::on(&module), &resources.feeds);
    let lifecycle = M::lifecycle(&module);
    let routes = facts.prefixes().next().zip(M::routes(&module));
    Ok(RunningModule {
        facts,
        lifecycle,
        works: false,
        worker,
        listener,
        #[cfg(feature = "data")]
        nudge: databases.nudge(),
        #[cfg(feature = "data")]
        ledger: databases.ledger(),
        #[cfg(feature = "data")]
        published: databases.published(),
        #[cfg(feature = "data")]
        event_ledger: databases.event_ledger(),
        routes,
        databases: databases.described(),
        #[cfg(feature = "data")]
        gauges: databases.gauges(),
        system: databases.system(),
        identities: databases.identities(),
        tasks,
    })
}

/// A module that has been made.
pub struct RunningModule {
    /// What is known of it.
    pub facts: &'static ModuleFacts,
    lifecycle: Option<Arc<dyn Lifecycle>>,
    /// Whether its own work was started, and so has to be stopped.
    works: bool,
    worker: Option<Working>,
    listener: Option<Working>,
    /// Wakes the worker.
    #[cfg(feature = "data")]
    pub(crate) nudge: Arc<tokio::sync::Notify>,
    /// Its durable work, for an operator.
    #[cfg(feature = "data")]
    #[cfg_attr(
        not(feature = "observe"),
        allow(dead_code, reason = "it is shown with that feature only")
    )]
    pub(crate) ledger: Option<Arc<dyn monolift_data::work::AnyLedger>>,
    /// Wakes the feed of its events.
    #[cfg(feature = "data")]
    pub(crate) published: tokio::sync::watch::Sender<()>,
    /// Its events and their listeners, for an operator.
    #[cfg(feature = "data")]
    #[cfg_attr(
        not(feature = "observe"),
        allow(dead_code, reason = "they are shown with that feature only")
    )]
    pub(crate) event_ledger: Option<Arc<dyn monolift_data::events::AnyEventLedger>>,
    /// Routes of its own, with where they are.
    pub(crate) routes: Option<(&'static str, Router)>,
    /// Where its databases are, and whether they keep it to itself.
    pub databases: Vec<String>,
    /// What its databases show of themselves.
    #[cfg(feature = "data")]
    #[cfg_attr(not(feature = "observe"), allow(dead_code, reason = "only metrics show it"))]
    pub(crate) gauges: Vec<Arc<dyn monolift_data::Gauge>>,
    /// What kind its database is, as OpenTelemetry names it.
    #[cfg_attr(not(feature = "observe"), allow(dead_code, reason = "only records say it"))]
    pub(crate) system: Option<&'static str>,
    /// What its databases are, if it shares transactions.
    pub(crate) identities: Vec<Identity>,
    tasks: Tasks,
}

impl RunningModule {
    /// Starts the module's own work.
    pub(crate) async fn start_work(&mut self) -> Result<(), StartError> {
        let started = match &self.lifecycle {
            Some(lifecycle) => self.start_lifecycle(Arc::clone(lifecycle)).await,
            None => Ok(()),
        };
        if started.is_ok() {
            for working in self.worker.take().into_iter().chain(self.listener.take()) {
                let tasks = self.tasks.clone();
                self.tasks.spawn(working(Box::pin(async move { tasks.stopping().await })));
            }
        }
        started
    }

    async fn start_lifecycle(&mut self, lifecycle: Arc<dyn Lifecycle>) -> Result<(), StartError> {
        let mut polled = Polled::start_of(self.facts.name);
        let started = polled.follow(AssertUnwindSafe(lifecycle.start()).catch_unwind()).await;
        let error = match (started, polled.broken()) {
            (_, Some(broken)) => StartError::new(broken),
            (Ok(Ok(())), None) => {
                self.works = true;
                return Ok(());
            }
            (Ok(Err(error)), None) => StartError::new("it refused to start").because(error),
            (Err(panic), None) => StartError::new(format!("it panicked: {}", panic_text(&*panic))),
        };
        Err(error.of(self.facts.name, ""))
    }

    /// Stops the module's own work, and what it spawned, until `by`.
    pub(crate) async fn stop(&self, by: Instant) {
        let module = self.facts.name;
        if let Some(lifecycle) = self.lifecycle.as_ref().filter(|_| self.works) {
            // A module that panics here must not keep the others from stopping.
            let stopping = AssertUnwindSafe(lifecycle.stop()).catch_unwind();
            match timeout_at(by, stopping).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!(module, "it panicked when it was to stop"),
                Err(_) => tracing::warn!(module, "it had not stopped when its time had passed"),
            }
        }
        self.tasks.stop(by).await;
    }
}

impl Drop for RunningModule {
    fn drop(&mut self) {
        self.tasks.cut();
    }
}

impl std::fmt::Debug for RunningModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunningModule({})", self.facts.name)
    }
}

/// Every module that is linked into this program, by name.
pub fn modules() -> Vec<ModuleEntry> {
    let mut entries: Vec<_> = inventory::iter::<ModuleEntry>.into_iter().copied().collect();
    entries.sort_by_key(|entry| (entry.facts)().name);
    entries
}

/// Whether a field may call what it calls. For the macro, at compile time.
pub const fn is_declared(calls: Option<&str>, declared: &[&str]) -> bool {
    let Some(called) = calls else { return true };
    let mut at = 0;
    while at < declared.len() {
        if is_same(called, declared[at]) {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether a module may listen to an event: its own, or one of a module that it depends on. For the macro, at
/// compile time.
pub const fn may_hear(publisher: &str, module: &str, declared: &[&str]) -> bool {
    is_same(publisher, module) || is_declared(Some(publisher), declared)
}

/// Whether two names are the same. For the macro, at compile time.
pub const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}
