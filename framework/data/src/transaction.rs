//! A transaction that runs again when another one is in its way.

use super::{Db, ModuleDatabase, Tx};
use crate::call::{
    Backoff, Context,
    database::{is_conflict, watch_for_conflicts},
};
use sqlx::{Any, Database};
use std::{
    error::Error,
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    time::Duration,
};
use tokio::sync::oneshot;

/// A transaction is attempted this many times.
const ATTEMPTS: u32 = 8;
/// Transactions that were in each other's way do not come back together.
const PAUSES: Backoff = Backoff::full(Duration::from_millis(10), Duration::from_millis(500));

impl<D: ModuleDatabase> Db<D> {
    /// Runs `work` in a transaction that writes, and commits it. An error of `work` rolls it back.
    ///
    /// Where another transaction is in its way, all of it runs again after a growing pause: 8 attempts at most, and
    /// none after the call's deadline. Such conflicts are PostgreSQL's serialization failures (`40001`) and deadlocks
    /// (`40P01`), and SQLite's `SQLITE_BUSY`. So `work` must not do anything that a rollback does not undo.
    ///
    /// `work` is an async closure without `move`: it borrows what it uses, since it may run more than once.
    ///
    /// ```
    /// # use monolift_call::{CallError, InterfaceError}; use monolift_data::Db;
    /// # #[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, schemars::JsonSchema, InterfaceError)]
    /// # pub enum BankError { #[error("too little")] TooLittle, #[error(transparent)] Call(CallError) }
    /// # async fn pay(db: Db, from: i64, to: i64, amount: i64) -> Result<i64, BankError> {
    /// let left = db
    ///     .transaction(async |mut tx| {
    ///         let (left,): (i64,) = sqlx::query_as(
    ///             "UPDATE accounts SET balance = balance - $2 WHERE id = $1 RETURNING balance",
    ///         )
    ///         .bind(from)
    ///         .bind(amount)
    ///         .fetch_one(&mut **tx)
    ///         .await?;
    ///         if left < 0 {
    ///             return Err(BankError::TooLittle); // which rolls back
    ///         }
    ///         sqlx::query("UPDATE accounts SET balance = balance + $2 WHERE id = $1")
    ///             .bind(to)
    ///             .bind(amount)
    ///             .execute(&mut **tx)
    ///             .await?;
    ///         Ok(left)
    ///     })
    ///     .await?;
    /// # Ok(left) }
    /// ```
    pub async fn transaction<'a, T, E, F>(&'a self, work: impl Fn(Lent<'a, D>) -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: Error + From<sqlx::Error> + 'static,
    {
        let mut failures = 0;
        loop {
            let conflict = match self.attempt(&work).await {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Conflict(conflict)) => conflict,
            };
            let pause = PAUSES.pause(failures);
            failures += 1;
            let in_time = Context::look(|context| context.remaining() > pause).unwrap_or(true);
            if failures == ATTEMPTS || !in_time {
                tracing::warn!(attempts = failures, "a transaction conflicts with others");
                return Err(conflict.into_error());
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt<'a, T, E, F>(
        &'a self,
        work: &impl Fn(Lent<'a, D>) -> F,
    ) -> Result<T, Failure<E>>
    where
        F: Future<Output = Result<T, E>>,
        E: Error + From<sqlx::Error> + 'static,
    {
        let (lent, mut back) = Lent::of(self.write().await.map_err(Failure::of_the_database)?);
        let (worked, conflict) = watch_for_conflicts(work(lent)).await;
        let tx = back.try_recv();
        match worked {
            Ok(done) => {
                let mut tx = tx.map_err(|_| Failure::Final(kept().into()))?;
                // A conflict ends the whole transaction on PostgreSQL, unless it was within a savepoint. A commit would
                // then roll back and report no error.
                if conflict && let Err(error) = D::execute(&mut tx, "SELECT 1".into(), vec![]).await
                {
                    return Err(Failure::Conflict(Conflict::OfTheDatabase(error)));
                }
                tx.commit().await.map_err(Failure::of_the_database)?;
                Ok(done)
            }
            Err(error) => {
                // The connection has to be free before the pause. If this fails, it is closed.
                if let Ok(tx) = tx {
                    let _ = tx.rollback().await;
                }
                Err(if conflict || is_conflict(&error) {
                    Failure::Conflict(Conflict::OfTheWork(error))
                } else {
                    Failure::Final(error)
                })
            }
        }
    }
}

/// The transaction that [`Db::transaction`] lends to its closure: `&mut **tx` is what sqlx's queries run on, and
/// `&mut tx` can be passed on as a `&mut Tx`.
///
/// When it is dropped it goes back to `transaction`, which commits it or rolls it back. It is not a reference, since the
/// future of a closure that takes one cannot be proven to be `Send`.
pub struct Lent<'a, D: Database = Any>(Option<(Tx<'a, D>, oneshot::Sender<Tx<'a, D>>)>);

impl<'a, D: Database> Lent<'a, D> {
    fn of(tx: Tx<'a, D>) -> (Self, oneshot::Receiver<Tx<'a, D>>) {
        let (back, returned) = oneshot::channel();
        (Self(Some((tx, back))), returned)
    }
}

impl<D: Database> Drop for Lent<'_, D> {
    fn drop(&mut self) {
        if let Some((tx, back)) = self.0.take() {
            // If the caller has gone away, this rolls it back.
            drop(back.send(tx));
        }
    }
}

impl<'a, D: Database> Deref for Lent<'a, D> {
    type Target = Tx<'a, D>;

    fn deref(&self) -> &Tx<'a, D> {
        &self.0.as_ref().expect(HERE).0
    }
}

impl<'a, D: Database> DerefMut for Lent<'a, D> {
    fn deref_mut(&mut self) -> &mut Tx<'a, D> {
        &mut self.0.as_mut().expect(HERE).0
    }
}

impl<D: Database> fmt::Debug for Lent<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}

const HERE: &str = "it is taken out only by the drop";

fn kept() -> sqlx::Error {
    let text =
        "the closure of `transaction` keeps its transaction: drop it before the closure ends";
    sqlx::Error::InvalidArgument(text.to_owned())
}

/// Why an attempt did not succeed.
enum Failure<E> {
    /// It would not succeed in another attempt either.
    Final(E),
    /// Another transaction was in the way.
    Conflict(Conflict<E>),
}

/// An error is converted only when it is returned: the conversion logs it.
enum Conflict<E> {
    OfTheDatabase(sqlx::Error),
    OfTheWork(E),
}

impl<E: From<sqlx::Error>> Failure<E> {
    fn of_the_database(error: sqlx::Error) -> Self {
        if is_conflict(&error) {
            Self::Conflict(Conflict::OfTheDatabase(error))
        } else {
            Self::Final(error.into())
        }
    }
}

impl<E: From<sqlx::Error>> Conflict<E> {
    fn into_error(self) -> E {
        match self {
            Self::OfTheDatabase(error) => error.into(),
            Self::OfTheWork(error) => error,
        }
    }
}
