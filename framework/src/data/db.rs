//! What a module holds of its database: a pool, and how transactions begin on it.

use futures_util::future::BoxFuture;
use sqlx::{Any, Database, Pool, Transaction};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::runtime::Handle;

/// A module's own database, injected: `db: Db`, or `db: Db<Postgres>` for all that sqlx has for one.
///
/// `Db` alone speaks SQLite and Postgres alike, in portable SQL: `$1`, BIGINT, TEXT, DOUBLE
/// PRECISION, 0 and 1 for truth, milliseconds for time.
///
/// A transaction that is dropped before its commit is rolled back, wherever it is cut: a caller that
/// goes away leaves nothing open.
#[derive(Debug)]
pub struct Db<D: Database = Any> {
    pool: Pool<D>,
    /// Where transactions that write begin: SQLite has one writer at a time, so they wait for one
    /// connection, in turn, rather than for a lock, by chance.
    writer: Pool<D>,
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
        let (pool, writer) = (self.pool.clone(), self.writer.clone());
        Self { pool, writer, backend: self.backend }
    }
}

impl<D: Database> Db<D> {
    /// A database whose pool is there already.
    pub fn new(pool: Pool<D>, backend: Backend) -> Self {
        Self { writer: pool.clone(), pool, backend }
    }

    /// The same, with a pool of its own for transactions that write.
    pub(super) fn with_writer(mut self, writer: Pool<D>) -> Self {
        self.writer = writer;
        self
    }

    /// The pool itself, for a single statement, or for what sqlx offers beyond transactions.
    pub fn pool(&self) -> &Pool<D> {
        &self.pool
    }

    /// What is behind it.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins a transaction that only reads, and sees one state of the database.
    pub async fn read(&self) -> Result<Transaction<'static, D>, sqlx::Error> {
        let statement = match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        begin(&self.pool, statement).await
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once: one that reads
    /// first and writes later would fail, rather than wait, when another has written in between.
    pub async fn write(&self) -> Result<Transaction<'static, D>, sqlx::Error> {
        let statement = match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        };
        begin(&self.writer, statement).await
    }
}

/// A caller can go away while a transaction begins, and sqlx would then return a connection to the
/// pool with the transaction open on it. So what has begun is never cut: when nobody waits for it any
/// more, it goes on in a task of its own, and the finished transaction is dropped, and rolled back.
async fn begin<D: Database>(
    pool: &Pool<D>,
    statement: &'static str,
) -> Result<Transaction<'static, D>, sqlx::Error> {
    let pool = pool.clone();
    Uncut(Some(Box::pin(async move { pool.begin_with(statement).await }))).await
}

/// A future that ends, also when it is dropped before.
struct Uncut<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send> Future for Uncut<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let output = ready!(future.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<T: Send> Drop for Uncut<T> {
    fn drop(&mut self) {
        // Outside a runtime nothing goes on, and neither does the pool.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async { drop(future.await) });
        }
    }
}
