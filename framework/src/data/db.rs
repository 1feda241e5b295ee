//! What a module holds of its database: a pool, and how transactions begin on it.

use sqlx::{Any, Database, Pool, Transaction};

/// A module's own database, injected: `db: Db`, or `db: Db<Postgres>` for all that sqlx has for one.
///
/// `Db` alone speaks SQLite and Postgres alike, in portable SQL: `$1`, BIGINT, TEXT, DOUBLE
/// PRECISION, 0 and 1 for truth, milliseconds for time.
#[derive(Debug)]
pub struct Db<D: Database = Any> {
    pool: Pool<D>,
    backend: Backend,
}

/// What is behind a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

impl<D: Database> Clone for Db<D> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), backend: self.backend }
    }
}

impl<D: Database> Db<D> {
    /// A database whose pool is there already.
    pub fn new(pool: Pool<D>, backend: Backend) -> Self {
        Self { pool, backend }
    }

    /// The pool itself, for a single statement, or for what sqlx offers beyond transactions.
    pub fn pool(&self) -> &Pool<D> {
        &self.pool
    }

    /// What is behind it.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins a transaction that only reads.
    pub async fn read(&self) -> Result<Transaction<'static, D>, sqlx::Error> {
        self.begin(match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN READ ONLY",
        })
        .await
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once: one that reads
    /// first and writes later would fail, rather than wait, when another has written in between.
    pub async fn write(&self) -> Result<Transaction<'static, D>, sqlx::Error> {
        self.begin(match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        })
        .await
    }

    /// A caller can go away while a transaction begins, and sqlx would then return a connection to
    /// the pool with the transaction open on it. So it begins in a task of its own, which is never
    /// cut: when nobody waits any more, the finished transaction is dropped, and rolled back.
    async fn begin(&self, statement: &'static str) -> Result<Transaction<'static, D>, sqlx::Error> {
        let pool = self.pool.clone();
        let beginning = tokio::spawn(async move { pool.begin_with(statement).await });
        beginning.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }
}
