//! The database of one module: opened once, however many fields ask for it.

use crate::{
    Backend, Db, DbSettings, History, Identity, Location, Migration, ModuleDatabase, OpenError,
    SharedPools,
    events::{
        self, AnyEventLedger, AttendedEvents, EventLedger, Events, Feed, Feeds, Heard, KEPT,
        Listener, PublisherFeed, ReadModel, rebuilding,
    },
    gauge::{Gauge, Opened},
    work::{self, AnyLedger, Attended, Ledger, Work, WorkKind, Worker},
};
use futures_util::future::BoxFuture;
use monolift_call::{Inject, Injector, Secret, StartError, inject::Need as AnyNeed};
use monolift_manifest::Migrate;
use std::{
    any::{Any, TypeId},
    fmt,
    path::PathBuf,
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

/// What was done to a module's database, and where it is.
#[derive(Debug)]
pub struct Migrated {
    /// The database.
    pub location: String,
    /// The migrations that it lacked.
    pub applied: Vec<&'static str>,
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

/// What a database is opened from.
pub struct Source {
    /// The module that it belongs to.
    pub module: &'static str,
    /// The module's migrations, in order.
    pub migrations: &'static [Migration],
    /// The names of the kinds of durable work that the module does.
    pub work: &'static [&'static str],
    /// Whether the module publishes events or listens to some.
    pub events: bool,
    /// Its section of the settings; an error is what is wrong with it.
    pub settings: Result<DbSettings, String>,
    /// The setting of its URL, as a variable.
    pub variable: String,
    /// Where databases are that the settings do not place.
    pub folder: PathBuf,
    /// A pool that `main` hands in for the module, by its type.
    pub pool: Pools,
    /// What holds for the databases of all modules.
    pub common: Arc<Common>,
    /// Whether a call fails that holds a transaction while it asks for another connection or calls
    /// another module.
    pub strict: bool,
    /// Whether the module lends its transactions to others, or joins those of others. What its database reaches is asked at
    /// the start then.
    pub shares: bool,
}

/// What holds for the databases of all modules of a process.
#[derive(Debug)]
pub struct Common {
    /// The application's name.
    pub app: String,
    /// The URL whose pool modules share that have none of their own.
    pub url: Option<Secret>,
    /// When migrations are applied, unless a module's section says otherwise.
    pub migrate: Migrate,
    /// Whether transactions name the caller, unless a module's section says otherwise.
    pub caller: bool,
    /// The pools that modules share.
    pub pools: SharedPools,
}

impl Common {
    /// Where a module's database is, by its section or by what holds for all. Without a URL it is `None`: a file.
    pub fn location(&self, module: &str, settings: &DbSettings) -> Option<Location> {
        let own = settings.url.as_ref().map(|url| url.expose().clone());
        let role = settings.role.clone();
        match (own, role, &self.url) {
            (Some(url), None, _) => Some(Location::Url(url)),
            (Some(url), Some(role), _) => Some(Location::Shared { url, role }),
            (None, role, Some(url)) => {
                let role = role.unwrap_or_else(|| role_of(&self.app, module));
                Some(Location::Shared { url: url.expose().clone(), role })
            }
            (None, _, None) => None,
        }
    }
}

/// The role of a module, unless its section names another.
pub fn role_of(app: &str, module: &str) -> String {
    format!("{app}_{module}").replace('-', "_")
}

/// The schema of a module on PostgreSQL.
pub fn schema_of(module: &str) -> String {
    module.replace('-', "_")
}

/// Finds a value that `main` has handed in, by its type.
pub type Pools = Box<dyn Fn(TypeId) -> Option<Arc<dyn Any + Send + Sync>> + Send + Sync>;

impl<D: ModuleDatabase> Inject for Db<D> {
    fn need() -> AnyNeed {
        Need::of::<D>(false)
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        D::get(databases(injector), injector).await
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
        D::get(databases, injector).await?;
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

    /// The module's database. Modules ask for it by [`ModuleDatabase::get`].
    pub(crate) async fn open<D: ModuleDatabase>(
        &self,
        injector: &Injector,
    ) -> Result<Db<D>, StartError> {
        let mut opened = self.opened.lock().await;
        if let Some(db) = opened.iter().find_map(|db| db.downcast_ref::<Db<D>>()) {
            return Ok(db.clone());
        }
        let (db, described) = open::<D>(&self.source, injector).await?;
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
        let db = D::get(self, injector).await?;
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
        D::get(self, injector).await?;
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

/// A pool that `main` hands in belongs to an older application, and so do its migrations. The framework's own
/// table is the framework's.
const HANDED_IN: &str = "the pool that main hands in";

impl Source {
    fn handed_in<D: ModuleDatabase>(&self) -> Option<Db<D>> {
        let pool = (self.pool)(TypeId::of::<sqlx::Pool<D>>())?;
        let pool = pool.downcast::<sqlx::Pool<D>>().ok()?;
        Some(Db::new(sqlx::Pool::clone(&pool), D::backend(&pool)))
    }

    /// The settings, with what holds for all modules where the module's section says nothing.
    fn settings(&self) -> Result<DbSettings, OpenError> {
        let mut settings = self.settings.clone().map_err(OpenError::new)?;
        settings.migrate = settings.migrate.or(Some(self.common.migrate));
        settings.caller = settings.caller.or(Some(self.common.caller));
        Ok(settings)
    }

    fn location<D: ModuleDatabase>(&self, settings: &DbSettings) -> Result<Location, OpenError> {
        let Self { module, variable, folder, .. } = self;
        // A URL for all modules is for those that speak with a server.
        let is_for_this = settings.url.is_some() || D::speaks(Backend::Postgres);
        match self.common.location(module, settings).filter(|_| is_for_this) {
            Some(location) => Ok(location),
            None if !D::speaks(Backend::Sqlite) => Err(OpenError::new(format!(
                "it asks for PostgreSQL, and no database is set: give its URL as {variable} or as `url` in \
                 [{module}.db], give one for all modules as `url` in [db], or hand in a pool by \
                 `app.pool(\"{module}\", pool)`"
            ))),
            None => Ok(Location::File(folder.join(format!("{module}.db")))),
        }
    }

    fn histories(&self) -> Vec<History<'static>> {
        let own = History::of(self.module, self.migrations);
        std::iter::once(own).chain(self.framework_histories()).collect()
    }

    /// Those of the framework's own tables.
    fn framework_histories(&self) -> Vec<History<'static>> {
        let has_work = !self.work.is_empty();
        has_work.then(work::history).into_iter().chain(self.events.then(events::history)).collect()
    }
}

async fn open<D: ModuleDatabase>(
    source: &Source,
    injector: &Injector,
) -> Result<(Db<D>, String), StartError> {
    let failed = |error: OpenError| injector.error("its database").because(error);
    let settings = source.settings().map_err(|error| injector.error(error.to_string()))?;
    if let Some(db) = source.handed_in::<D>() {
        let histories = source.framework_histories();
        if !histories.is_empty() {
            db.prepare(&settings, &histories).await.map_err(failed)?;
        }
        let db = db.naming_callers(&settings).map_err(failed)?;
        return Ok((db, HANDED_IN.to_owned()));
    }
    let location = source.location::<D>(&settings);
    let location = location.map_err(|error| injector.error(error.to_string()))?;
    let pools = &source.common.pools;
    let db = Db::open_in(pools, &location, &settings, &source.histories()).await.map_err(failed)?;
    let described = match db.isolation().await {
        Ok(isolation) => format!("{location}, {isolation}"),
        Err(error) => format!("{location}, and what it reaches cannot be told: {error}"),
    };
    Ok((db, described))
}

pub(crate) async fn migrate<D: ModuleDatabase>(source: &Source) -> Result<Migrated, OpenError> {
    let settings = source.settings()?;
    let mut histories = source.histories();
    if let Some(db) = source.handed_in::<D>() {
        histories = source.framework_histories();
        // The role of the pool need not be the one that owns the tables.
        if settings.migrate_url.is_none() || histories.is_empty() {
            let applied = db.migrate(&histories).await?;
            return Ok(Migrated { location: HANDED_IN.to_owned(), applied });
        }
    }
    let location = match &settings.migrate_url {
        Some(url) => Location::Url(url.expose().clone()),
        None => source.location::<D>(&settings)?,
    };
    let settings = DbSettings { connections: Some(1), ..settings };
    let applied = Db::<D>::migrate_at(&location, &settings, &histories).await?;
    Ok(Migrated { location: location.to_string(), applied })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "sqlite")]
    use sqlx::{Sqlite, SqlitePool};

    #[test]
    fn a_module_shares_a_pool_by_the_url_of_all_or_by_a_role() {
        let secret = |url: &str| Some(Secret::new(url.to_owned()));
        let location = |common: Option<&str>, own: Option<&str>, role: Option<&str>| {
            let common = Common {
                app: "my-shop".to_owned(),
                url: common.and_then(secret),
                migrate: Migrate::Start,
                caller: false,
                pools: SharedPools::new(1),
            };
            let (url, role) = (own.and_then(secret), role.map(str::to_owned));
            let settings = DbSettings { url, role, ..DbSettings::default() };
            match common.location("in-stock", &settings) {
                None => "a file".to_owned(),
                Some(Location::Shared { url, role }) => format!("{url} as {role}"),
                Some(Location::Url(url)) => url,
                Some(Location::File(file)) => panic!("{}", file.display()),
            }
        };
        let (all, own) = (Some("postgres://all"), Some("postgres://own"));
        assert_eq!(location(None, None, None), "a file");
        assert_eq!(location(None, own, None), "postgres://own");
        assert_eq!(location(all, own, None), "postgres://own");
        assert_eq!(location(all, None, None), "postgres://all as my_shop_in_stock");
        assert_eq!(location(all, None, Some("clerk")), "postgres://all as clerk");
        assert_eq!(location(None, own, Some("clerk")), "postgres://own as clerk");
    }

    /// The role of the pool may have no right to make tables.
    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn beside_a_pool_that_main_hands_in_the_framework_s_tables_are_made_by_migrate_url() {
        let folder = std::env::temp_dir().join(format!("ml-handed-in-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let url = format!("sqlite://{}/owner.db?mode=rwc", folder.display());
        let pool = SqlitePool::connect_lazy("sqlite::memory:").unwrap();
        let handed_in = pool.clone();
        let mut source = Source {
            module: "orders",
            migrations: &[("0001_orders.sql", "CREATE TABLE orders (id BIGINT)")],
            work: &["settle"],
            events: false,
            settings: Ok(DbSettings {
                migrate_url: Some(Secret::new(url.clone())),
                ..DbSettings::default()
            }),
            variable: String::new(),
            folder: folder.clone(),
            pool: Box::new(move |kind| {
                let is = kind == TypeId::of::<SqlitePool>();
                is.then(|| Arc::new(handed_in.clone()) as Arc<dyn Any + Send + Sync>)
            }),
            common: Arc::new(Common {
                app: "shop".to_owned(),
                url: None,
                migrate: Migrate::Never,
                caller: false,
                pools: SharedPools::new(1),
            }),
            strict: false,
            shares: false,
        };
        let migrated = migrate::<Sqlite>(&source).await.unwrap();
        assert_ne!(migrated.location, HANDED_IN);
        let owner = SqlitePool::connect(&url).await.unwrap();
        let tables = "SELECT COUNT(*) FROM sqlite_master WHERE name = $1";
        for (table, in_owner) in [("monolift_work", 1), ("orders", 0)] {
            let count = sqlx::query_scalar::<_, i64>(tables).bind(table);
            assert_eq!(count.fetch_one(&owner).await.unwrap(), in_owner, "{table}");
        }
        source.settings = Ok(DbSettings::default());
        let migrated = migrate::<Sqlite>(&source).await.unwrap();
        assert_eq!((migrated.location.as_str(), migrated.applied.is_empty()), (HANDED_IN, false));
        owner.close().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
