//! The database of one module: opened once, however many fields ask for it.

use crate::{
    Backend, Db, DbSettings, History, Location, Migration, ModuleDatabase, OpenError,
    work::{self, Work, WorkKind, Worker},
};
use futures_util::future::BoxFuture;
use monolift_call::{Inject, Injector, StartError, inject::Need as AnyNeed};
use std::{
    any::{Any, TypeId},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// What a field needs of this crate: a database. It can be a pool that `main` hands in.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The type of that pool.
    pub pool: TypeId,
}

impl Need {
    fn of<D: ModuleDatabase>() -> AnyNeed {
        AnyNeed::other(Self { pool: TypeId::of::<sqlx::Pool<D>>() })
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
    /// Its section of the settings; an error is what is wrong with it.
    pub settings: Result<DbSettings, String>,
    /// The setting of its URL, as a variable.
    pub variable: String,
    /// Where databases are that the settings do not place.
    pub folder: PathBuf,
    /// A pool that `main` hands in for the module, by its type.
    pub pool: Pools,
    /// Whether a call fails that holds a transaction while it asks for another connection or calls
    /// another module.
    pub strict: bool,
}

/// Finds a value that `main` has handed in, by its type.
pub type Pools = Box<dyn Fn(TypeId) -> Option<Arc<dyn Any + Send + Sync>> + Send + Sync>;

impl<D: ModuleDatabase> Inject for Db<D> {
    fn need() -> AnyNeed {
        Need::of::<D>()
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        databases(injector).get(injector).await
    }
}

impl<D: ModuleDatabase> Inject for Work<D> {
    fn need() -> AnyNeed {
        Need::of::<D>()
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        databases(injector).work(injector).await
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
    worker: Mutex<Option<MakeWorker>>,
}

/// Makes the module's worker, once the module is there to do the work.
type MakeWorker = Box<dyn FnOnce(Vec<WorkKind>) -> Result<Working, String> + Send>;
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
        let (opened, described, worker) = Default::default();
        Self { source, opened, described, worker }
    }

    async fn get<D: ModuleDatabase>(&self, injector: &Injector) -> Result<Db<D>, StartError> {
        let mut opened = self.opened.lock().await;
        if let Some(db) = opened.iter().find_map(|db| db.downcast_ref::<Db<D>>()) {
            return Ok(db.clone());
        }
        let (db, described) = open::<D>(&self.source, injector).await?;
        let db = db.strict(self.source.strict);
        opened.push(Box::new(db.clone()));
        self.described.lock().unwrap_or_else(PoisonError::into_inner).push(described);
        if !self.source.work.is_empty() {
            let work = Work::new(db.clone(), self.source.module, self.source.work);
            opened.push(Box::new(work.clone()));
            let make: MakeWorker = Box::new(|kinds| {
                let worker = Worker::new(work, kinds)?;
                Ok(Box::new(|stopping| Box::pin(worker.run(stopping))))
            });
            *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(make);
        }
        Ok(db)
    }

    /// The queue of the module's database, for a field.
    async fn work<D: ModuleDatabase>(&self, injector: &Injector) -> Result<Work<D>, StartError> {
        self.get::<D>(injector).await?;
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

    /// What the start says of them.
    pub fn described(&self) -> Vec<String> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn open<D: ModuleDatabase>(
    source: &Source,
    injector: &Injector,
) -> Result<(Db<D>, String), StartError> {
    let failed = |error: OpenError| injector.error("its database").because(error);
    let has_work = !source.work.is_empty();
    // A pool that `main` hands in belongs to an older application, and so do its migrations. The
    // framework's own table is the framework's.
    let pool = (source.pool)(TypeId::of::<sqlx::Pool<D>>());
    if let Some(pool) = pool.and_then(|pool| pool.downcast::<sqlx::Pool<D>>().ok()) {
        let db = Db::new(sqlx::Pool::clone(&pool), D::backend(&pool));
        if has_work {
            db.migrate(&[work::history()]).await.map_err(failed)?;
        }
        return Ok((db, "the pool that main hands in".to_owned()));
    }
    let settings = source.settings.as_ref().map_err(|error| injector.error(error.as_str()))?;
    let location = match &settings.url {
        Some(url) => Location::Url(url.expose().clone()),
        None if !D::speaks(Backend::Sqlite) => {
            let Source { module, variable, .. } = source;
            return Err(injector.error(format!(
                "it asks for PostgreSQL, and no database is set: give its URL as {variable} or as `url` in \
                 [{module}.db], or hand in a pool by `app.pool(\"{module}\", pool)`"
            )));
        }
        None => Location::File(source.folder.join(format!("{}.db", source.module))),
    };
    let mut histories = vec![History::of(source.module, source.migrations)];
    if has_work {
        histories.push(work::history());
    }
    let db = Db::open(&location, settings, &histories).await.map_err(failed)?;
    let described = match db.isolation().await {
        Ok(isolation) => format!("{location}, {isolation}"),
        Err(error) => format!("{location}, and what it reaches cannot be told: {error}"),
    };
    Ok((db, described))
}
