//! Opening a module's database: who may migrate it, and what it is held to.

use super::{
    Backend, Db, DbSettings, Durability, Location, Migration, ModuleDatabase, OpenError,
    SharedPools, check_url, connecting::connect, migrate, shared::JoinError, sqlite, verify,
};
use monolift_manifest::Migrate;
use sqlx::{Pool, pool::PoolOptions};
use std::{
    fs::File,
    future,
    sync::{Arc, Once},
    time::Duration,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, error::SendError};

/// How long a call waits for a connection. Its own deadline is mostly shorter.
pub(super) const ACQUIRE: Duration = Duration::from_secs(30);

/// A module's migrations, with the table that holds their history.
#[derive(Debug, Clone)]
pub struct History<'a> {
    /// The table.
    pub table: String,
    /// What has to be in it.
    pub migrations: &'a [Migration],
    /// A table that says which versions can use what newer migrations leave. Without one, newer migrations
    /// are warned of.
    pub readers: Option<&'static str>,
}

impl<'a> History<'a> {
    /// That of a module's own migrations.
    pub fn of(module: &str, migrations: &'a [Migration]) -> Self {
        let table = format!("{}_migrations", module.replace('-', "_"));
        Self { table, migrations, readers: None }
    }
}

impl<D: ModuleDatabase> Db<D> {
    /// Opens the database at `location` and brings it up to each of `histories`, or refuses it if it lacks a
    /// migration and its settings say that none is applied. A pool that could be shared is the caller's alone.
    pub async fn open(
        location: &Location,
        settings: &DbSettings,
        histories: &[History<'_>],
    ) -> Result<Self, OpenError> {
        let pools = SharedPools::new(settings.connections());
        Self::open_in(&pools, location, settings, histories).await
    }

    /// The same, with a pool of `pools` where modules share one.
    pub async fn open_in(
        pools: &SharedPools,
        location: &Location,
        settings: &DbSettings,
        histories: &[History<'_>],
    ) -> Result<Self, OpenError> {
        let (db, lock) = Self::connect(pools, location, settings).await?;
        db.prepare(settings, histories).await?;
        drop(lock);
        let db = db.naming_callers(settings)?;
        match db.backend() {
            Backend::Sqlite => {
                // It connects when something is written: the file has been opened already.
                let (writer, _) = options(location, settings, 1);
                let writer = writer.connect_lazy(&location.url());
                Ok(db.with_writer(writer.map_err(|error| cannot_open(location, error))?))
            }
            Backend::Postgres => Ok(db),
        }
    }

    /// Brings the database at `location` up to each of `histories`, whatever its settings say of migrations.
    pub async fn migrate_at(
        location: &Location,
        settings: &DbSettings,
        histories: &[History<'_>],
    ) -> Result<Vec<&'static str>, OpenError> {
        let pools = SharedPools::new(settings.connections());
        let (db, _lock) = Self::connect(&pools, location, settings).await?;
        let applied = db.migrate(histories).await?;
        db.pool().close().await;
        Ok(applied)
    }

    /// Applies what the database lacks of `histories`, or refuses it, as its settings say.
    pub(crate) async fn prepare(
        &self,
        settings: &DbSettings,
        histories: &[History<'_>],
    ) -> Result<(), OpenError> {
        match settings.migrate {
            Some(Migrate::Never) => self.verify(histories).await,
            Some(Migrate::Start) | None => self.migrate(histories).await.map(drop),
        }
    }

    /// Brings the database up to each of `histories`, and returns the names of the migrations that it applied.
    pub(crate) async fn migrate(
        &self,
        histories: &[History<'_>],
    ) -> Result<Vec<&'static str>, OpenError> {
        let mut applied = Vec::new();
        for history in histories {
            applied.extend(migrate(self, history).await?);
        }
        Ok(applied)
    }

    /// Refuses a database that lacks a migration of `histories`.
    async fn verify(&self, histories: &[History<'_>]) -> Result<(), OpenError> {
        for history in histories {
            verify(self, history).await?;
        }
        Ok(())
    }

    /// The pool of `location`, and the right to prepare it while the lock is kept.
    async fn connect(
        pools: &SharedPools,
        location: &Location,
        settings: &DbSettings,
    ) -> Result<(Self, Option<File>), OpenError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        if let Location::Url(url) | Location::Shared { url, .. } = location {
            check_url(url)
                .map_err(|expected| OpenError::new(format!("its URL: expected {expected}")))?;
        }
        let backend = location.backend().ok_or_else(|| {
            OpenError::new("the database's URL begins with neither `sqlite:` nor `postgres:`")
        })?;
        if let Some(feature) = backend.lacks() {
            return Err(OpenError::new(format!(
                "this program is built without {backend:?}: turn on the feature `{feature}` of `monolift`"
            )));
        }
        if !D::speaks(backend) {
            return Err(OpenError::new(format!(
                "this module asks for {}, and its database's URL is for {backend:?}",
                std::any::type_name::<Self>()
            )));
        }
        if let Location::Shared { url, role } = location {
            if backend != Backend::Postgres {
                return Err(OpenError::new(
                    "its settings name a `role`, and only PostgreSQL has roles: take it out",
                ));
            }
            let joined = pools.join(url, role, settings).await;
            return match joined {
                Ok(db) => Ok((db, None)),
                Err(JoinError::Database(error)) => Err(cannot_open(location, error)),
                Err(JoinError::NotAMember(error)) => Err(error),
            };
        }
        let lock = sqlite::prepare(location, backend).await?;
        let (options, mut failed) = options(location, settings, settings.connections());
        let url = location.url();
        let pool: Result<Pool<D>, _> = tokio::select! {
            pool = connect(options, &url, location) => pool,
            Some(error) = failed.recv() => Err(error),
        };
        let pool = pool.map_err(|error| cannot_open(location, error))?;
        Ok((Self::new(pool, backend), lock))
    }
}

fn cannot_open(location: &Location, error: sqlx::Error) -> OpenError {
    OpenError::of_database(format!("{location} cannot be opened"), error)
}

/// How a pool is opened, and the first error of a connection that cannot be set up. A pool of sqlx would only log it, and try
/// again until the time for a connection is over.
fn options<D: ModuleDatabase>(
    location: &Location,
    settings: &DbSettings,
    connections: u32,
) -> (PoolOptions<D>, UnboundedReceiver<sqlx::Error>) {
    let is_sqlite = location.backend() == Some(Backend::Sqlite);
    let pragmas: Option<Arc<str>> = is_sqlite.then(|| {
        // WAL, so that readers go on while one writes. The owner of a URL decides about its file.
        let journal = match location {
            Location::File(_) => "PRAGMA journal_mode = WAL; ",
            Location::Url(_) | Location::Shared { .. } => "",
        };
        let durability = match settings.durability {
            Durability::Process => "NORMAL",
            Durability::Power => "FULL",
        };
        format!("{journal}PRAGMA synchronous = {durability}").into()
    });
    let (fail, failed) = mpsc::unbounded_channel();
    let options = PoolOptions::<D>::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        // A connection to a server may have gone stale. A file has not; to ask would take two changes of
        // threads for each statement.
        .test_before_acquire(!is_sqlite)
        .after_connect(move |connection, _| {
            let (pragmas, fail) = (pragmas.clone(), fail.clone());
            Box::pin(async move {
                let Some(pragmas) = pragmas else { return Ok(()) };
                let Err(error) = D::run(connection, pragmas).await else { return Ok(()) };
                match fail.send(error) {
                    // Who opens the pool has the reason, and drops this.
                    Ok(()) => future::pending().await,
                    // The pool is open.
                    Err(SendError(error)) => Err(error),
                }
            })
        });
    (options, failed)
}
