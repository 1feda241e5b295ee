//! What a module holds of its database: a pool, and how transactions begin on it.

use super::{
    Column, DbSettings, Identity, ModuleDatabase, OpenError, Value,
    acquire::acquire,
    begins::Begins,
    caller::with_caller,
    connection::Connection,
    line::Line,
    tx::{self, Tx},
};
use sqlx::{Any, Database, Pool, SqlStr};
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
    pub(super) pool: Pool<D>,
    pub(super) line: Line,
    /// Where transactions that write begin: SQLite has one writer at a time, so they wait for one
    /// connection, in turn, rather than for a lock, by chance.
    pub(super) writer: Pool<D>,
    pub(super) writer_line: Line,
    pub(super) backend: Backend,
    /// What its transactions begin with.
    pub(super) begins: Arc<Begins>,
    /// Whether its transactions name the caller.
    pub(super) caller: bool,
    /// Whether a call fails that asks for a second connection, rather than being warned of.
    pub(super) strict: bool,
    /// What its connections reach, once that was asked.
    pub(super) identity: Arc<OnceCell<Identity>>,
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
            line: self.line.clone(),
            writer: self.writer.clone(),
            writer_line: self.writer_line.clone(),
            backend: self.backend,
            begins: Arc::clone(&self.begins),
            caller: self.caller,
            strict: self.strict,
            identity: Arc::clone(&self.identity),
        }
    }
}

impl<D: Database> Db<D> {
    /// A database whose pool is there already.
    pub fn new(pool: Pool<D>, backend: Backend) -> Self {
        let line = Line::of(&pool);
        Self::in_line(pool, line, backend, Begins::own(backend))
    }

    /// A module's part of a pool that modules share.
    pub(super) fn in_line(pool: Pool<D>, line: Line, backend: Backend, begins: Begins) -> Self {
        let (writer, writer_line) = (pool.clone(), line.clone());
        let (begins, identity) = (Arc::new(begins), Arc::default());
        let (caller, strict) = (false, false);
        Self { pool, line, writer, writer_line, backend, begins, caller, strict, identity }
    }

    /// The same, with a pool of its own for transactions that write.
    pub(super) fn with_writer(mut self, writer: Pool<D>) -> Self {
        self.writer_line = Line::of(&writer);
        self.writer = writer;
        self
    }

    /// The same, whose transactions name the caller, if the settings say so.
    pub(crate) fn naming_callers(mut self, settings: &DbSettings) -> Result<Self, OpenError> {
        self.caller = settings.caller == Some(true);
        if self.caller && self.backend == Backend::Sqlite {
            return Err(OpenError::new(
                "its settings say `caller`, which is for the policies of PostgreSQL, and it is a SQLite file: a module \
                 without such policies says `caller = false`",
            ));
        }
        Ok(self)
    }

    /// What a transaction begins with, for the call that is running.
    pub(super) fn beginning(&self, begin: &SqlStr) -> Result<SqlStr, sqlx::Error> {
        if self.caller { with_caller(begin) } else { Ok(begin.clone()) }
    }

    /// The same, for a test: a call that asks for a second connection, or calls another module, while
    /// it holds a transaction fails.
    pub(crate) fn strict(mut self, yes: bool) -> Self {
        self.strict = yes;
        self
    }

    /// The pool itself, for what sqlx offers beyond statements and transactions. What is taken from it
    /// takes no turns. A call does not ask for it while it holds a transaction: see [`Tx`].
    ///
    /// Where modules share a pool, its connections have none of their roles, and reach no table: use a transaction.
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
        Connection::of(self).await
    }

    /// Begins a transaction that only reads, and sees one state of the database.
    pub async fn read(&self) -> Result<Tx<'_, D>, sqlx::Error> {
        self.begin_reading(&self.beginning(&self.begins.read)?).await
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once: one that reads
    /// first and writes later would fail, rather than wait, when another has written in between.
    pub async fn write(&self) -> Result<Tx<'_, D>, sqlx::Error> {
        let (pool, line) = (&self.writer, &self.writer_line);
        let begin = self.beginning(&self.begins.write)?;
        tx::begin(pool, line, self.backend, &begin, self.strict).await
    }

    pub(super) async fn begin_reading(&self, begin: &SqlStr) -> Result<Tx<'_, D>, sqlx::Error> {
        tx::begin(&self.pool, &self.line, self.backend, begin, self.strict).await
    }
}

impl<D: ModuleDatabase> Db<D> {
    /// The rows of one of the framework's own statements.
    pub(super) async fn rows(
        &self,
        sql: Arc<str>,
        values: Vec<Value>,
        columns: &'static [Column],
    ) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        if self.begins.role.is_none() {
            // The server commits it: a transaction would be two more round trips.
            let _places = self.line.wait().await?;
            let mut connection = acquire(&self.pool).await?;
            return D::rows(&mut connection, sql, values, columns).await;
        }
        let mut tx = self.read().await?;
        let rows = D::rows(&mut tx, sql, values, columns).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// The rows of one of the framework's own statements that writes, and commits by itself.
    pub(super) async fn write_rows(
        &self,
        sql: Arc<str>,
        values: Vec<Value>,
        columns: &'static [Column],
    ) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        if self.begins.role.is_none() {
            let _places = self.writer_line.wait().await?;
            let mut connection = acquire(&self.writer).await?;
            return D::rows(&mut connection, sql, values, columns).await;
        }
        let mut tx = self.write().await?;
        let rows = D::rows(&mut tx, sql, values, columns).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// Runs one of the framework's own statements, which commits by itself. Returns how many rows it has changed.
    pub(super) async fn change(
        &self,
        sql: Arc<str>,
        values: Vec<Value>,
    ) -> Result<u64, sqlx::Error> {
        if self.begins.role.is_none() {
            let _places = self.writer_line.wait().await?;
            let mut connection = acquire(&self.writer).await?;
            return D::execute(&mut connection, sql, values).await;
        }
        let mut tx = self.write().await?;
        let changed = D::execute(&mut tx, sql, values).await?;
        tx.commit().await?;
        Ok(changed)
    }
}
