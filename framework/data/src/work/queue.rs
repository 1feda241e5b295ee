//! The side that writes work down.

use super::{Piece, statements::Statements};
use crate::{
    call::Context,
    {Db, ModuleDatabase, Value},
};
use sqlx::{Any, Database, Pool};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Writes work down in the transaction that it must follow, injected: `work: Work`, or
/// `work: Work<Postgres>` beside a `Db<Postgres>`.
///
/// ```
/// # use monolift_data::{Db, work::{Piece, Work}}; use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Settle { order: u64 }
/// # impl Piece for Settle { const NAME: &'static str = "settle"; }
/// # async fn place(db: Db, work: Work) -> Result<(), sqlx::Error> {
/// let mut tx = db.write().await?;
/// sqlx::query("INSERT INTO orders (id) VALUES (7)").execute(&mut *tx).await?;
/// work.enqueue(&mut tx, &Settle { order: 7 }).await?;
/// tx.commit().await?; // both, or neither
/// # Ok(()) }
/// ```
///
/// All that it does runs on the connection that it is given: a [`Tx`](crate::Tx), a transaction of sqlx, or a connection
/// with a transaction open. Without a transaction the piece is there at once.
///
/// A program's own code, which is no module, has a `Work` from `RunningApp::work`, for its own pool. Its transactions
/// then enqueue work for a module:
///
/// ```
/// # use monolift_data::work::{Piece, Work}; use serde::{Deserialize, Serialize}; use sqlx::{PgConnection, PgPool, Postgres};
/// # #[derive(Serialize, Deserialize)] struct Settle { order: u64 }
/// # impl Piece for Settle { const NAME: &'static str = "settle"; }
/// async fn close(pool: PgPool, billing: Work<Postgres>) -> Result<(), sqlx::Error> {
///     let mut tx = pool.begin().await?;
///     sqlx::query("UPDATE carts SET closed = TRUE WHERE id = 7").execute(&mut *tx).await?;
///     settle(&mut tx, &billing).await?;
///     tx.commit().await
/// }
///
/// async fn settle(tx: &mut PgConnection, billing: &Work<Postgres>) -> Result<(), sqlx::Error> {
///     billing.enqueue(tx, &Settle { order: 7 }).await
/// }
/// ```
#[derive(Debug)]
pub struct Work<D: Database = Any> {
    db: Db<D>,
    module: Arc<str>,
    /// The kinds that the module lists. `None` if its code is in another program.
    known: Option<Arc<[&'static str]>>,
    statements: Arc<Statements>,
    nudge: Arc<Notify>,
}

/// A piece was enqueued whose kind its module does not list: it would never be done. It is the source of the
/// [`sqlx::Error::Configuration`] that enqueueing returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the module `{module}` does not list work named `{name}`: add its type to `#[module(…, work = […])]`"
)]
pub struct UnlistedWork {
    /// The module that it was enqueued for.
    pub module: Arc<str>,
    /// The name of its kind.
    pub name: &'static str,
}

impl<D: Database> Clone for Work<D> {
    fn clone(&self) -> Self {
        Self {
            db: self.db.clone(),
            module: Arc::clone(&self.module),
            known: self.known.clone(),
            statements: Arc::clone(&self.statements),
            nudge: Arc::clone(&self.nudge),
        }
    }
}

impl<D: ModuleDatabase> Work<D> {
    /// The queue of a module whose kinds of work are `known`.
    pub(crate) fn new(db: Db<D>, module: &str, known: &[&'static str]) -> Self {
        let statements = Arc::new(Statements::of(db.backend(), known, None));
        let known = Some(known.into());
        Self { db, module: module.into(), known, statements, nudge: Arc::default() }
    }

    /// The queue of a module, for code that is no module and has `pool`. Without `known` any kind of work is accepted.
    pub fn outside(pool: &Pool<D>, module: &str, known: Option<&[&'static str]>) -> Self {
        let work = Self::new(Db::new(pool.clone(), D::backend(pool)), module, &[]);
        Self { known: known.map(Arc::from), ..work }
    }

    /// The same, which wakes the worker that waits for `nudge`.
    #[must_use]
    pub fn nudging(mut self, nudge: Arc<Notify>) -> Self {
        self.nudge = nudge;
        self
    }

    /// The same, with the table in this schema. For connections whose `search_path` does not lead to it; on SQLite it is
    /// the name of an attached database.
    #[must_use]
    pub fn in_schema(mut self, schema: &str) -> Self {
        let known = self.known.as_deref().unwrap_or_default();
        self.statements = Arc::new(Statements::of(self.db.backend(), known, Some(schema)));
        self
    }

    /// Has `piece` done once this transaction is committed.
    pub async fn enqueue<P: Piece>(
        &self,
        tx: &mut D::Connection,
        piece: &P,
    ) -> Result<(), sqlx::Error> {
        self.enqueue_after(tx, Duration::ZERO, piece).await
    }

    /// The same, but not before `delay` has passed.
    pub async fn enqueue_after<P: Piece>(
        &self,
        tx: &mut D::Connection,
        delay: Duration,
        piece: &P,
    ) -> Result<(), sqlx::Error> {
        self.insert(tx, None, delay, piece).await.map(drop)
    }

    /// The same under a key, by which it can be cancelled. While a piece of its kind has that key,
    /// there is no second one: then this is `false`, and that one stays as it is.
    pub async fn enqueue_keyed<P: Piece>(
        &self,
        tx: &mut D::Connection,
        key: &str,
        delay: Duration,
        piece: &P,
    ) -> Result<bool, sqlx::Error> {
        self.insert(tx, Some(key), delay, piece).await
    }

    /// Takes back the piece of kind `P` with this key, if it is still there. If it is being done
    /// just now, that goes on; but it is not tried again.
    pub async fn cancel<P: Piece>(
        &self,
        tx: &mut D::Connection,
        key: &str,
    ) -> Result<bool, sqlx::Error> {
        let values = vec![(&*self.module).into(), P::NAME.into(), key.into()];
        let cancelled = D::execute(tx, Arc::clone(&self.statements.cancel), values).await?;
        Ok(cancelled > 0)
    }

    async fn insert<P: Piece>(
        &self,
        tx: &mut D::Connection,
        key: Option<&str>,
        delay: Duration,
        piece: &P,
    ) -> Result<bool, sqlx::Error> {
        if self.known.as_ref().is_some_and(|known| !known.contains(&P::NAME)) {
            let unlisted = UnlistedWork { module: Arc::clone(&self.module), name: P::NAME };
            return Err(sqlx::Error::Configuration(unlisted.into()));
        }
        let payload =
            serde_json::to_string(piece).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let (module, subject) = (&*self.module, piece.subject());
        let row = Row { module, name: P::NAME, key, payload: &payload, subject, delay };
        let inserted = insert::<D>(&self.statements, tx, row).await?;
        if delay.is_zero() {
            self.nudge.notify_one();
        }
        Ok(inserted)
    }

    pub(super) fn nudge(&self) -> &Arc<Notify> {
        &self.nudge
    }

    pub(super) fn db(&self) -> &Db<D> {
        &self.db
    }

    pub(super) fn module(&self) -> &str {
        &self.module
    }

    pub(super) fn statements(&self) -> &Arc<Statements> {
        &self.statements
    }

    pub(super) fn known(&self) -> &[&'static str] {
        self.known.as_deref().unwrap_or_default()
    }
}

/// What is written down of a piece.
pub(super) struct Row<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) payload: &'a str,
    pub(super) subject: Option<String>,
    pub(super) delay: Duration,
}

/// `false` when there is a piece of this kind with this key.
pub(super) async fn insert<D: ModuleDatabase>(
    statements: &Statements,
    connection: &mut D::Connection,
    row: Row<'_>,
) -> Result<bool, sqlx::Error> {
    // The call that is running is the parent of what is done later.
    let trace = Context::current().map(|context| context.outgoing().trace().to_string());
    let values = vec![
        row.module.into(),
        format!("{:032x}", rand::random::<u128>()).as_str().into(),
        row.name.into(),
        Value::Text(row.key.map(str::to_owned)),
        row.payload.into(),
        Value::Text(trace),
        milliseconds(row.delay).into(),
        Value::Text(row.subject),
    ];
    Ok(D::execute(connection, Arc::clone(&statements.insert), values).await? > 0)
}

/// As the table counts, and short of what could overflow there.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}
