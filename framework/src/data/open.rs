//! Opening a module's database: where it is, who may migrate it, and what it is held to.

use super::{Backend, Db, Migration, migrate};
use sqlx::{
    Any, ConnectOptions, Connection, Database, Pool, Postgres, Sqlite,
    migrate::Migrate,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use std::{
    error::Error,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

/// Connections of one module's pool.
const CONNECTIONS: u32 = 5;
/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// Where a module's database is.
#[derive(Debug, Clone)]
pub enum Location {
    /// A SQLite file of the module's own.
    File(PathBuf),
    /// A URL, as the settings give it.
    Url(String),
}

/// Why a module's database could not be opened.
#[derive(Debug)]
pub struct OpenError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OpenError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(super) fn from_source(
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { message: message.into(), source: Some(Box::new(source)) }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A database that a module can ask for: `Db`, `Db<Postgres>` or `Db<Sqlite>`.
pub trait ModuleDatabase: Database<Connection: Migrate> {
    /// What is behind `pool`.
    fn backend(pool: &Pool<Self>) -> Backend;

    /// Whether a URL of this backend can be opened as this type.
    fn speaks(backend: Backend) -> bool;
}

impl ModuleDatabase for Any {
    fn backend(pool: &Pool<Self>) -> Backend {
        backend_of(pool.connect_options().database_url.as_ref()).unwrap_or(Backend::Postgres)
    }

    fn speaks(_: Backend) -> bool {
        true
    }
}

impl ModuleDatabase for Postgres {
    fn backend(_: &Pool<Self>) -> Backend {
        Backend::Postgres
    }

    fn speaks(backend: Backend) -> bool {
        backend == Backend::Postgres
    }
}

impl ModuleDatabase for Sqlite {
    fn backend(_: &Pool<Self>) -> Backend {
        Backend::Sqlite
    }

    fn speaks(backend: Backend) -> bool {
        backend == Backend::Sqlite
    }
}

impl<D: ModuleDatabase> Db<D> {
    /// Opens the database at `location` and applies `migrations`.
    pub async fn open(location: &Location, migrations: &[Migration]) -> Result<Self, OpenError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let url = location.url();
        let backend = backend_of(&url).ok_or_else(|| {
            OpenError::new("the database's URL begins with neither `sqlite:` nor `postgres:`")
        })?;
        if !D::speaks(backend) {
            return Err(OpenError::new(format!(
                "this module asks for {}, and its database's URL is for {backend:?}",
                std::any::type_name::<Self>()
            )));
        }
        let lock = match location {
            Location::File(file) => {
                let lock = lock_beside(file).await?;
                prepare(file).await?;
                Some(lock)
            }
            Location::Url(_) => None,
        };
        let pool = PoolOptions::<D>::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .connect(&url)
            .await
            .map_err(|error| {
                OpenError::from_source(format!("{} cannot be opened", location.shown()), error)
            })?;
        migrate(&pool, backend, migrations).await?;
        drop(lock);
        Ok(Self::new(pool, backend))
    }
}

impl Location {
    fn url(&self) -> String {
        match self {
            Self::File(file) => format!("sqlite://{}?mode=rwc", file.display()),
            Self::Url(url) => url.clone(),
        }
    }

    /// For a message: a URL's password is nobody's business.
    fn shown(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Url(url) => match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
                _ => url.clone(),
            },
        }
    }
}

fn backend_of(url: &str) -> Option<Backend> {
    match url.split_once(':')?.0 {
        "sqlite" => Some(Backend::Sqlite),
        "postgres" | "postgresql" => Some(Backend::Postgres),
        _ => None,
    }
}

/// Waits for the right to prepare `file`: processes that start at once take turns.
async fn lock_beside(file: &Path) -> Result<File, OpenError> {
    let lock_file = file.with_extension("lock");
    let locking = tokio::task::spawn_blocking(move || {
        if let Some(folder) = lock_file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_file)?;
        lock.lock()?;
        Ok::<_, std::io::Error>(lock)
    });
    let failed =
        |error| OpenError::from_source(format!("{} cannot be prepared", file.display()), error);
    locking.await.map_err(std::io::Error::other).and_then(|lock| lock).map_err(failed)
}

/// Makes the file if there is none, and has it remember that it writes ahead (WAL): then readers go
/// on while one writes.
async fn prepare(file: &Path) -> Result<(), OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let prepared = async { options.connect().await?.close().await };
    prepared.await.map_err(|error| {
        OpenError::from_source(format!("{} cannot be opened", file.display()), error)
    })
}
