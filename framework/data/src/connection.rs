//! A connection of a module's pool, and `&Db` as what sqlx's queries run on.

use super::{Db, tx::ask};
use crate::call::{
    Context as CallContext,
    turns::{Place, Turns},
};
use futures_util::{Stream, TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{Database, Either, Execute, Executor, Pool, SqlStr, pool::PoolConnection};
use std::{
    future::poll_fn,
    mem,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

/// A connection, with the place among those that take turns for the pool's connections.
pub(super) struct Connection<D: Database> {
    connection: PoolConnection<D>,
    _place: Place,
}

impl<D: Database> Connection<D> {
    pub(super) async fn acquire(pool: &Pool<D>, turns: &Arc<Turns>) -> Result<Self, sqlx::Error> {
        let place = place(turns).await?;
        Ok(Self { connection: pool.acquire().await?, _place: place })
    }
}

impl<D: Database> Deref for Connection<D> {
    type Target = D::Connection;

    fn deref(&self) -> &D::Connection {
        &self.connection
    }
}

impl<D: Database> DerefMut for Connection<D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        &mut self.connection
    }
}

/// As many places as the pool has connections. Calls beyond them wait, as many as run.
pub(super) fn turns<D: Database>(pool: &Pool<D>) -> Arc<Turns> {
    Turns::new(pool.options().get_max_connections() as usize, usize::MAX)
}

/// A place for one connection, when it is the turn of the call that is running.
pub(super) async fn place(turns: &Arc<Turns>) -> Result<Place, sqlx::Error> {
    ask()?;
    let waiting = turns.wait(CallContext::current_origin());
    Ok(waiting.expect("there is room for any number of calls").await)
}

/// What a query that is run has answered so far, one after the other: rows, and the ends of statements.
type Answers<D> = Either<<D as Database>::QueryResult, <D as Database>::Row>;

impl<'c, D: Database> Executor<'c> for &'c Db<D>
where
    for<'a> &'a mut D::Connection: Executor<'a, Database = D>,
{
    type Database = D;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Answers<D>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, D>,
    {
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let work = async move {
            let mut connection = self.acquire().await?;
            let mut answers = connection.fetch_many(query);
            while let Some(answer) = answers.try_next().await? {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                taken().await;
            }
            Ok(())
        };
        Box::pin(Fetching { work: Some(Box::pin(work)), answer })
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<D::Row>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, D>,
    {
        Box::pin(async move { self.acquire().await?.fetch_optional(query).await })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<D::Row>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, D>,
    {
        Box::pin(async move { self.acquire().await?.fetch_all(query).await })
    }

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<D::QueryResult, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, D>,
    {
        Box::pin(async move { self.acquire().await?.execute(query).await })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [D::TypeInfo],
    ) -> BoxFuture<'e, Result<D::Statement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.acquire().await?.prepare_with(sql, parameters).await })
    }
}

/// A stream of what a future leaves in a slot, one item at a time. So the stream can own the connection that its
/// rows are read from.
struct Fetching<'e, T> {
    work: Option<BoxFuture<'e, Result<(), sqlx::Error>>>,
    answer: Arc<Mutex<Option<T>>>,
}

impl<T> Stream for Fetching<'_, T> {
    type Item = Result<T, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        match work.as_mut().poll(cx) {
            Poll::Pending => {
                let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                answer.map_or(Poll::Pending, |answer| Poll::Ready(Some(Ok(answer))))
            }
            Poll::Ready(ended) => {
                self.work = None;
                Poll::Ready(ended.err().map(Err))
            }
        }
    }
}

/// Ready when the stream is polled for the next item, by which time the last one was taken.
async fn taken() {
    let mut left = false;
    poll_fn(|_| if mem::replace(&mut left, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
