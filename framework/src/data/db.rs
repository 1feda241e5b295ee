//! What a module holds of its database: a pool, and how transactions begin on it.

use super::tx::{self, Tx};
use sqlx::{Any, Database, Pool};

/// A module's own database, injected: `db: Db`, or `db: Db<Postgres>` for all that sqlx has for one.
///
/// `Db` alone speaks SQLite and Postgres alike, in portable SQL: `$1`, BIGINT, TEXT, DOUBLE
/// PRECISION, 0 and 1 for truth, milliseconds for time.
///
/// A transaction that is dropped before its commit is rolled back, wherever it is cut: a caller that
/// goes away leaves nothing open.
///
/// A call holds one connection at a time: while it holds a transaction, it neither asks for another
/// connection nor calls another module. [`Tx`] says why, and what becomes of one that does.
#[derive(Debug)]
pub struct Db<D: Database = Any> {
    pool: Pool<D>,
    /// Where transactions that write begin: SQLite has one writer at a time, so they wait for one
    /// connection, in turn, rather than for a lock, by chance.
    writer: Pool<D>,
    backend: Backend,
    /// Whether a call fails that asks for a second connection, rather than being warned of.
    strict: bool,
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
        let (pool, writer) = (self.pool.clone(), self.writer.clone());
        Self { pool, writer, backend: self.backend, strict: self.strict }
    }
}

impl<D: Database> Db<D> {
    /// A database whose pool is there already.
    pub fn new(pool: Pool<D>, backend: Backend) -> Self {
        Self { writer: pool.clone(), pool, backend, strict: false }
    }

    /// The same, with a pool of its own for transactions that write.
    pub(super) fn with_writer(mut self, writer: Pool<D>) -> Self {
        self.writer = writer;
        self
    }

    /// The same, for a test: a call that asks for a second connection, or calls another module, while
    /// it holds a transaction fails.
    pub(crate) fn strict(mut self, yes: bool) -> Self {
        self.strict = yes;
        self
    }

    /// The pool itself, for a single statement, or for what sqlx offers beyond transactions. A call
    /// does not ask for it while it holds a transaction: see [`Tx`].
    pub fn pool(&self) -> &Pool<D> {
        // Where the rule is strict, this fails the call when it ends.
        let _ = tx::ask();
        &self.pool
    }

    /// What is behind it.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins a transaction that only reads, and sees one state of the database.
    pub async fn read(&self) -> Result<Tx<'_, D>, sqlx::Error> {
        let statement = match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        tx::begin(&self.pool, statement, self.strict).await
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once: one that reads
    /// first and writes later would fail, rather than wait, when another has written in between.
    pub async fn write(&self) -> Result<Tx<'_, D>, sqlx::Error> {
        let statement = match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        };
        tx::begin(&self.writer, statement, self.strict).await
    }
}
