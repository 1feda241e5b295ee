//! Statements that commit by themselves, also on a connection that modules share.
//!
//! There each statement is a transaction, since only a transaction can take on the role of a module and give it up for
//! certain, and only within one does a pooler leave the connection to us. The answer is handed out when the commit is
//! done.

use super::begun::Begun;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use sqlx::{Any, Database, Error, SqlStr, pool::PoolConnection};
use std::{
    fmt,
    future::Future,
    task::Poll::{Pending, Ready},
};
use tokio::sync::mpsc;

/// What sqlx's queries run on, one at a time: `&mut *connection`. Each commits by itself.
///
/// For what sqlx has beyond queries, such as `COPY`, use a transaction: a [`Tx`](super::Tx) is the driver's connection.
pub struct Autocommit<D: Database = Any>(pub(crate) On<D>);

pub(crate) enum On<D: Database> {
    /// A connection of the module's own pool: the server commits.
    Own(PoolConnection<D>),
    /// A connection of a shared pool, on which a transaction is open or was, and what the next one begins with.
    Shared(Begun<D>, SqlStr),
}

impl<D: Database> Autocommit<D> {
    pub(super) fn own(connection: PoolConnection<D>) -> Self {
        Self(On::Own(connection))
    }

    /// On a connection whose transaction is open already, and is that of the first statement.
    pub(super) fn shared(begun: Begun<D>, begin: SqlStr) -> Self {
        Self(On::Shared(begun, begin))
    }
}

impl<D: Database> fmt::Debug for Autocommit<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Autocommit")
    }
}

/// Implements sqlx's `Executor` for one driver. One implementation for all would have a bound that asks for `Executor`
/// again, in which the compiler loses itself where a database is yet to be inferred.
macro_rules! executor {
    ($database:ty) => {
        impl<'c> ::sqlx::Executor<'c> for &'c mut $crate::Autocommit<$database> {
            type Database = $database;

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> ::futures_util::stream::BoxStream<
                'e,
                Result<
                    ::sqlx::Either<
                        <$database as ::sqlx::Database>::QueryResult,
                        <$database as ::sqlx::Database>::Row,
                    >,
                    ::sqlx::Error,
                >,
            >
            where
                'c: 'e,
                E: 'q + ::sqlx::Execute<'q, $database>,
            {
                match &mut self.0 {
                    $crate::autocommit::On::Own(connection) => connection.fetch_many(query),
                    $crate::autocommit::On::Shared(begun, begin) => {
                        $crate::autocommit::in_steps(|items| async move {
                            begun.reopen(begin).await?;
                            let rows = begun.connection_mut().fetch_many(query);
                            let ran = $crate::autocommit::pass_on(rows, items).await;
                            begun.end(ran).await
                        })
                    }
                }
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> ::futures_util::future::BoxFuture<
                'e,
                Result<Option<<$database as ::sqlx::Database>::Row>, ::sqlx::Error>,
            >
            where
                'c: 'e,
                E: 'q + ::sqlx::Execute<'q, $database>,
            {
                match &mut self.0 {
                    $crate::autocommit::On::Own(connection) => connection.fetch_optional(query),
                    $crate::autocommit::On::Shared(begun, begin) => {
                        ::std::boxed::Box::pin(async move {
                            begun.reopen(begin).await?;
                            let done = begun.connection_mut().fetch_optional(query).await;
                            begun.end(done).await
                        })
                    }
                }
            }

            fn prepare_with<'e>(
                self,
                sql: ::sqlx::SqlStr,
                parameters: &'e [<$database as ::sqlx::Database>::TypeInfo],
            ) -> ::futures_util::future::BoxFuture<
                'e,
                Result<<$database as ::sqlx::Database>::Statement, ::sqlx::Error>,
            >
            where
                'c: 'e,
            {
                match &mut self.0 {
                    $crate::autocommit::On::Own(connection) => {
                        connection.prepare_with(sql, parameters)
                    }
                    $crate::autocommit::On::Shared(begun, begin) => {
                        ::std::boxed::Box::pin(async move {
                            begun.reopen(begin).await?;
                            let done = begun.connection_mut().prepare_with(sql, parameters).await;
                            begun.end(done).await
                        })
                    }
                }
            }

            // The trait has this method only with sqlx-core's feature `offline`, so this crate turns that on.
            fn describe<'e>(
                self,
                sql: ::sqlx::SqlStr,
            ) -> ::futures_util::future::BoxFuture<
                'e,
                Result<::sqlx::Describe<$database>, ::sqlx::Error>,
            >
            where
                'c: 'e,
            {
                match &mut self.0 {
                    $crate::autocommit::On::Own(connection) => connection.describe(sql),
                    $crate::autocommit::On::Shared(begun, begin) => {
                        ::std::boxed::Box::pin(async move {
                            begun.reopen(begin).await?;
                            let done = begun.connection_mut().describe(sql).await;
                            begun.end(done).await
                        })
                    }
                }
            }
        }
    };
}

pub(super) use executor;

/// Passes on what a statement gives, as fast as it is taken.
pub(crate) async fn pass_on<T>(
    mut from: BoxStream<'_, Result<T, Error>>,
    to: mpsc::Sender<T>,
) -> Result<(), Error> {
    while let Some(item) = from.try_next().await? {
        if to.send(item).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// A stream of what a future sends, and then of its error if it has one. It ends when the future has ended.
pub(crate) fn in_steps<'e, T: Send + 'e, F>(
    run: impl FnOnce(mpsc::Sender<T>) -> F,
) -> BoxStream<'e, Result<T, Error>>
where
    F: Future<Output = Result<(), Error>> + Send + 'e,
{
    let (items, mut received) = mpsc::channel(1);
    let mut running = Some(Box::pin(run(items)));
    let mut failed = None;
    let stream = stream::poll_fn(move |cx| {
        if let Some(future) = &mut running
            && let Ready(ended) = future.as_mut().poll(cx)
        {
            running = None;
            failed = ended.err();
        }
        match received.poll_recv(cx) {
            Ready(Some(item)) => Ready(Some(Ok(item))),
            Ready(None) if running.is_none() => Ready(failed.take().map(Err)),
            // It sends no more, and has yet to commit.
            Ready(None) | Pending => Pending,
        }
    });
    stream.boxed()
}
