//! The database of one module: opened once, however many fields ask for it.

use super::{Injector, StartError};
use crate::data::{
    Db, DbSettings, History, Location, ModuleDatabase, OpenError,
    work::{self, Kind, Work, Worker},
};
use futures_util::future::BoxFuture;
use std::{
    any::Any,
    fmt,
    sync::{Mutex, PoisonError},
};

/// What one module has of databases: mostly one, or none.
#[derive(Default)]
pub(super) struct Databases {
    opened: tokio::sync::Mutex<Vec<Box<dyn Any + Send>>>,
    /// What the start says of each.
    described: Mutex<Vec<String>>,
    worker: Mutex<Option<MakeWorker>>,
}

/// Makes the module's worker, once the module is there to do the work.
type MakeWorker = Box<dyn FnOnce(Vec<Kind>) -> Result<Working, String> + Send>;
/// A worker that works until what it is given is ready.
pub(super) type Working =
    Box<dyn FnOnce(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync>;

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Databases")
    }
}

impl Databases {
    pub(super) async fn get<D: ModuleDatabase>(
        &self,
        injector: &Injector,
    ) -> Result<Db<D>, StartError> {
        let mut opened = self.opened.lock().await;
        if let Some(db) = opened.iter().find_map(|db| db.downcast_ref::<Db<D>>()) {
            return Ok(db.clone());
        }
        let (db, described) = open::<D>(injector).await?;
        let db = db.strict(injector.resources.strict);
        opened.push(Box::new(db.clone()));
        self.described.lock().unwrap_or_else(PoisonError::into_inner).push(described);
        let facts = injector.facts();
        if !facts.work.is_empty() {
            let work = Work::new(db.clone(), facts.name, facts.work);
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
    pub(super) async fn work<D: ModuleDatabase>(
        &self,
        injector: &Injector,
    ) -> Result<Work<D>, StartError> {
        self.get::<D>(injector).await?;
        let opened = self.opened.lock().await;
        let work = opened.iter().find_map(|one| one.downcast_ref::<Work<D>>()).cloned();
        work.ok_or_else(|| {
            injector.error("this module lists no work: `#[monolift::module(…, work = [Piece])]`")
        })
    }

    /// The worker for `kinds`, if the module has a database.
    pub(super) fn worker(&self, kinds: Vec<Kind>) -> Option<Result<Working, String>> {
        let make = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(make(kinds))
    }

    /// What the start says of them.
    pub(super) fn described(&self) -> Vec<String> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn open<D: ModuleDatabase>(injector: &Injector) -> Result<(Db<D>, String), StartError> {
    let facts = injector.facts();
    let failed = |error: OpenError| injector.error("its database").because(error);
    let has_work = !facts.work.is_empty();
    // A pool that `main` hands in belongs to an older application, and so do its migrations. The
    // framework's own table is the framework's.
    if let Some(pool) = injector.resources.shared::<sqlx::Pool<D>>(facts.name) {
        let db = Db::new(sqlx::Pool::clone(&pool), D::backend(&pool));
        if has_work {
            db.migrate(&[work::history()]).await.map_err(failed)?;
        }
        return Ok((db, "the pool that main hands in".to_owned()));
    }
    let settings: DbSettings = injector
        .resources
        .settings
        .group(facts.name, "db")
        .map_err(|error| injector.error(error.to_string()))?;
    let location = match &settings.url {
        Some(url) => Location::Url(url.expose().clone()),
        None => Location::File(injector.resources.data.join(format!("{}.db", facts.name))),
    };
    let mut histories = vec![History::of(facts.name, facts.migrations)];
    if has_work {
        histories.push(work::history());
    }
    let db = Db::open(&location, &settings, &histories).await.map_err(failed)?;
    let described = match db.isolation().await {
        Ok(isolation) => format!("{location}, {isolation}"),
        Err(error) => format!("{location}, and what it reaches cannot be told: {error}"),
    };
    Ok((db, described))
}
