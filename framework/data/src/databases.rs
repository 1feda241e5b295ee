//! The database of one module: opened once, however many fields ask for it.

use crate::{
    Backend, Db, Identity, Migrated, ModuleDatabase, OpenError, Source,
    events::{
        AnyEventLedger, AttendedEvents, EventLedger, Events, Feed, Feeds, Heard, KEPT, Listener,
        PublisherFeed, ReadModel, rebuilding,
    },
    gauge::{Gauge, Opened},
    source,
    work::{AnyLedger, Attended, Ledger, Work, WorkKind, Worker},
};
use futures_util::future::BoxFuture;
use monolift_call::{Inject, Injector, StartError, inject::Need as AnyNeed};
use std::{
    any::{Any, TypeId},
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use tokio::sync::{Notify, watch};

/// What a field needs of this crate: a database. It can be a pool that `main` hands in.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The type of that pool.
    pub pool: TypeId,
    /// Whether the field publishes events.
    pub events: bool,
    /// Opens the database, for a field of this name.
    pub open: for<'a> fn(&'a Injector, &'static str) -> BoxFuture<'a, Result<(), StartError>>,
    /// Applies what the module's database lacks, and opens nothing for the module.
    pub migrate: fn(&Source) -> BoxFuture<'_, Result<Migrated, OpenError>>,
}

impl Need {
    fn of<D: ModuleDatabase>(events: bool) -> AnyNeed {
        AnyNeed::other(Self {
            pool: TypeId::of::<sqlx::Pool<D>>(),
            events,
            open: |injector, field| {
                Box::pin(async move { injector.field::<Db<D>>(field).await.map(drop) })
            },
            migrate: D::migrate,
        })
    }
}

impl<D: ModuleDatabase> Inject for Db<D> {
    fn need() -> AnyNeed {
        Need::of::<D>(false)
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        D::open(databases(injector), injector).await
    }
}

impl<D: ModuleDatabase> Inject for Work<D> {
    fn need() -> AnyNeed {
        Need::of::<D>(false)
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        databases(injector).work(injector).await
    }
}

impl<D: ModuleDatabase> Inject for Events<D> {
    fn need() -> AnyNeed {
        Need::of::<D>(true)
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        databases(injector).events::<D>(injector).await
    }
}

impl<D: ModuleDatabase> Inject for ReadModel<D> {
    fn need() -> AnyNeed {
        Need::of::<D>(true)
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        let databases = databases(injector);
        D::open(databases, injector).await?;
        databases.has_read_model.store(true, SeqCst);
        Ok(Self::new(databases.source.module))
    }
}

fn databases(injector: &Injector) -> &Databases {
    injector.provided().expect("a process has databases for each of its modules")
}

/// What one module has of databases: mostly one, or none.
pub struct Databases {
    source: Source,
    opened: tokio::sync::Mutex<Vec<Box<dyn Any + Send>>>,
    /// What the start says of each.
    described: Mutex<Vec<String>>,
    /// What they show of themselves.
    gauges: Mutex<Vec<Arc<dyn Gauge>>>,
    /// What kind the first one is.
    backend: OnceLock<Backend>,
    /// What each reaches, if the module shares transactions.
    identities: Mutex<Vec<Identity>>,
    worker: Mutex<Option<MakeWorker>>,
    /// The module's durable work, for an operator.
    ledger: Mutex<Option<Arc<dyn AnyLedger>>>,
    /// Wakes the worker.
    nudge: Arc<Notify>,
    /// Wakes the feed of the module's events.
    published: watch::Sender<()>,
    feed: Mutex<Option<Arc<dyn Feed>>>,
    listener: Mutex<Option<MakeListener>>,
    event_ledger: Mutex<Option<Arc<dyn AnyEventLedger>>>,
    has_read_model: Arc<AtomicBool>,
}

/// Makes the module's worker, once the module is there to do the work.
type MakeWorker = Box<dyn FnOnce(Vec<WorkKind>) -> Result<Working, String> + Send>;
/// Makes what listens to events, once the module is there to handle them.
type MakeListener = Box<dyn FnOnce(Vec<Heard>, Arc<Feeds>) -> Working + Send>;
/// A worker that works until what it is given is ready.
pub type Working = Box<dyn FnOnce(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync>;

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Databases")
    }
}

impl Databases {
    /// Those of a module. They are opened when they are first asked for.
    pub fn new(source: Source) -> Self {
        let (opened, described, gauges, backend) = Default::default();
        let (identities, worker, ledger, nudge) = Default::default();
        let (published, feed, listener) =
            (watch::Sender::new(()), Mutex::default(), Mutex::default());
        let (event_ledger, has_read_model) = (Mutex::default(), Arc::default());
        Self {
            source,
            opened,
            described,
            gauges,
            backend,
            identities,
            worker,
            ledger,
            nudge,
            published,
            feed,
            listener,
            event_ledger,
            has_read_model,
        }
    }

    /// The module's database. Modules' crates call [`ModuleDatabase::open`], which is compiled here.
    pub(crate) async fn open<D: ModuleDatabase>(
        &self,
        injector: &Injector,
    ) -> Result<Db<D>, StartError> {
        let mut opened = self.opened.lock().await;
        if let Some(db) = opened.iter().find_map(|db| db.downcast_ref::<Db<D>>()) {
            return Ok(db.clone());
        }
        let (db, described) = source::open::<D>(&self.source, injector).await?;
        let db = db.strict(self.source.strict);
        let _ = self.backend.set(db.backend());
        let (module, has_work) = (self.source.module, !self.source.work.is_empty());
        let has_events = self.source.events;
        let gauge = Arc::new(Opened { db: db.clone(), module, has_work, has_events });
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).push(gauge);
        if self.source.shares {
            let identity = db.identity().await.cloned();
            let identity = identity.map_err(|error| {
                injector.error("what its database is, since it shares transactions").because(error)
            })?;
            self.identities.lock().unwrap_or_else(PoisonError::into_inner).push(identity);
        }
        opened.push(Box::new(db.clone()));
        self.described.lock().unwrap_or_else(PoisonError::into_inner).push(described);
        if !self.source.work.is_empty() {
            let work = Work::new(db.clone(), self.source.module, self.source.work)
                .nudging(Arc::clone(&self.nudge));
            opened.push(Box::new(work.clone()));
            let calls = Arc::clone(injector.settings());
            let make: MakeWorker = Box::new(|kinds| {
                let worker = Worker::new(work, kinds)?.with(calls);
                Ok(Box::new(|stopping| Box::pin(worker.run(stopping))))
            });
            *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(make);
            let ledger = Ledger::of(db.clone(), self.source.module);
            let ledger = Arc::new(Attended { ledger, nudge: Arc::clone(&self.nudge) });
            *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Some(ledger);
        }
        if self.source.events {
            let (module, published) = (self.source.module, self.published.clone());
            let feed = PublisherFeed::new(db.clone(), module, published);
            *self.feed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(feed));
            let ledger = EventLedger::of(db.clone(), module);
            let rebuilds = Arc::new(OnceLock::new());
            let published = self.published.clone();
            let ledger =
                Arc::new(AttendedEvents { ledger, published, rebuilds: Arc::clone(&rebuilds) });
            *self.event_ledger.lock().unwrap_or_else(PoisonError::into_inner) = Some(ledger);
            let (listening, calls) = (db.clone(), Arc::clone(injector.settings()));
            let kept = self.source.settings.as_ref().ok().and_then(|settings| settings.keep_events);
            let has_read_model = Arc::clone(&self.has_read_model);
            let make: MakeListener = Box::new(move |heard, feeds| {
                let listener = Listener::new(listening, module, heard, feeds);
                let listener = listener.with(calls).keeping(kept);
                if !has_read_model.load(SeqCst) {
                    return Box::new(|stopping| Box::pin(listener.run(stopping)));
                }
                let listener = Arc::new(listener.with_read_model(KEPT));
                let _ = rebuilds.set(rebuilding(&listener));
                Box::new(|stopping| Box::pin(listener.run_shared(stopping)))
            });
            *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(make);
        }
        Ok(db)
    }

    /// What publishes the module's events, for a field.
    async fn events<D: ModuleDatabase>(
        &self,
        injector: &Injector,
    ) -> Result<Events<D>, StartError> {
        let db = D::open(self, injector).await?;
        Ok(Events::new(db.backend(), self.source.module, self.published.clone()))
    }

    /// Adds the feed of the module's events, if it has some.
    pub fn publish(&self, module: &str, feeds: &Feeds) {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(feed) = feed {
            feeds.add(module, feed);
        }
    }

    /// What listens to events and tidies up, if the module has a database and publishes or listens.
    pub fn listener(&self, heard: Vec<Heard>, feeds: &Arc<Feeds>) -> Option<Working> {
        let make = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(make(heard, Arc::clone(feeds)))
    }

    /// The module's events and their listeners, if it publishes or listens.
    pub fn event_ledger(&self) -> Option<Arc<dyn AnyEventLedger>> {
        self.event_ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes the feed of the module's events: one was published.
    pub fn published(&self) -> watch::Sender<()> {
        self.published.clone()
    }

    /// The queue of the module's database, for a field.
    async fn work<D: ModuleDatabase>(&self, injector: &Injector) -> Result<Work<D>, StartError> {
        D::open(self, injector).await?;
        let opened = self.opened.lock().await;
        let work = opened.iter().find_map(|one| one.downcast_ref::<Work<D>>()).cloned();
        work.ok_or_else(|| {
            injector.error("this module lists no work: `#[monolift::module(…, work = [Piece])]`")
        })
    }

    /// The worker for `kinds`, if the module has a database.
    pub fn worker(&self, kinds: Vec<WorkKind>) -> Option<Result<Working, String>> {
        let make = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(make(kinds))
    }

    /// The module's durable work, if it has some.
    pub fn ledger(&self) -> Option<Arc<dyn AnyLedger>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes the worker: work was enqueued.
    pub fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// What each reaches, if the module shares transactions.
    pub fn identities(&self) -> Vec<Identity> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What they show of themselves.
    pub fn gauges(&self) -> Vec<Arc<dyn Gauge>> {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What kind the module's database is, as OpenTelemetry names it.
    pub fn system(&self) -> Option<&'static str> {
        Some(match self.backend.get()? {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgresql",
        })
    }

    /// What the start says of them.
    pub fn described(&self) -> Vec<String> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
