//! What a module holds of its database: a pool, and how transactions begin on it.

use super::{
    Identity,
    connection::{self, Connection},
    tx::{self, Tx},
};
use crate::call::turns::Turns;
use sqlx::{Any, Database, Pool, pool::PoolConnection};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A module's own database, injected: `db: Db`, or `db: Db<Postgres>` for all that sqlx has for one.
///
/// `Db` alone speaks SQLite and Postgres alike, in portable SQL: `$1`, BIGINT, TEXT, DOUBLE
/// PRECISION, 0 and 1 for truth, milliseconds for time.
///
/// A single statement runs on a connection, `.fetch_one(&mut *self.db.connection().await?)`. Several statements
/// that belong together are a transaction, from [`read`](Self::read) or [`write`](Self::write).
///
/// Callers take turns for the connections: a peer or a client with many calls does not keep another one's
/// waiting.
///
/// A transaction that is dropped before its commit is rolled back, wherever it is cut: a caller that
/// goes away leaves nothing open.
///
/// A call holds one connection at a time: while it holds a transaction, it neither asks for another
/// connection nor calls another module. [`Tx`] says why, and what becomes of one that does.
#[derive(Debug)]
pub struct Db<D: Database = Any> {
    pool: Pool<D>,
    turns: Arc<Turns>,
    /// Where transactions that write begin: SQLite has one writer at a time, so they wait for one
    /// connection, in turn, rather than for a lock, by chance.
    writer: Pool<D>,
    writer_turns: Arc<Turns>,
    backend: Backend,
    /// Whether a call fails that asks for a second connection, rather than being warned of.
    strict: bool,
    /// What its connections reach, once that was asked.
    identity: Arc<OnceCell<Identity>>,
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
        Self {
            pool: self.pool.clone(),
            turns: Arc::clone(&self.turns),
            writer: self.writer.clone(),
            writer_turns: Arc::clone(&self.writer_turns),
            backend: self.backend,
            strict: self.strict,
            identity: Arc::clone(&self.identity),
        }
    }
}

impl<D: Database> Db<D> {
    /// A database whose pool is there already.
    pub fn new(pool: Pool<D>, backend: Backend) -> Self {
        let turns = connection::turns(&pool);
        let (writer, writer_turns) = (pool.clone(), Arc::clone(&turns));
        Self { pool, turns, writer, writer_turns, backend, strict: false, identity: Arc::default() }
    }

    /// The same, with a pool of its own for transactions that write.
    pub(super) fn with_writer(mut self, writer: Pool<D>) -> Self {
        self.writer_turns = connection::turns(&writer);
        self.writer = writer;
        self
    }

    /// The same, for a test: a call that asks for a second connection, or calls another module, while
    /// it holds a transaction fails.
    pub(crate) fn strict(mut self, yes: bool) -> Self {
        self.strict = yes;
        self
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    pub(super) fn known_identity(&self) -> &OnceCell<Identity> {
        &self.identity
    }

    /// A connection that takes no turns, for the framework's own questions.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<D>, sqlx::Error> {
        self.pool.acquire().await
    }

    /// The pool itself, for what sqlx offers beyond statements and transactions. What is taken from it
    /// takes no turns. A call does not ask for it while it holds a transaction: see [`Tx`].
    pub fn pool(&self) -> &Pool<D> {
        // Where the rule is strict, this fails the call when it ends.
        let _ = tx::ask();
        &self.pool
    }

    /// What is behind it.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// A connection for a single statement, when it is the caller's turn.
    pub async fn connection(&self) -> Result<Connection<D>, sqlx::Error> {
        Connection::acquire(&self.pool, &self.turns, self.strict).await
    }

    /// Begins a transaction that only reads, and sees one state of the database.
    pub async fn read(&self) -> Result<Tx<'_, D>, sqlx::Error> {
        let statement = match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        tx::begin(&self.pool, &self.turns, statement, self.strict).await
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once: one that reads
    /// first and writes later would fail, rather than wait, when another has written in between.
    pub async fn write(&self) -> Result<Tx<'_, D>, sqlx::Error> {
        let statement = match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        };
        tx::begin(&self.writer, &self.writer_turns, statement, self.strict).await
    }
}
