//! A transaction of a module's own database, and how one begins.

use super::{
    Backend,
    begun::Begun,
    line::{Line, Places},
};
use crate::call::{
    held::{self, Hold, Scarce},
    local::CUT,
};
use futures_util::future::BoxFuture;
use sqlx::{Any, Database, Pool, SqlStr};
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};
use tokio::runtime::Handle;

/// What a transaction is to the call that holds it.
const CONNECTION: Scarce = Scarce {
    held: "a transaction that is neither committed nor rolled back",
    another: "another database connection",
    instead: "commit, roll back or drop the transaction first, or pass `&mut tx` on",
    before_a_call: "end the transaction before the call, and leave what must follow its commit to \
                    durable work (`Work`)",
};

/// What a connection without a transaction is to the call that has it.
pub(super) const IN_USE: Scarce = Scarce {
    held: "a database connection",
    another: "another one",
    instead: "drop it first: give the answer of its query a name, rather than match on the expression",
    before_a_call: "drop it before the call: give the answer of its query a name, rather than match on \
                    the expression",
};

/// A transaction of a module's own database, from [`Db::write`](super::Db::write) or
/// [`Db::read`](super::Db::read): `&mut *tx` is what sqlx's queries run on, and `&mut tx` can be passed
/// on.
///
/// One that is dropped before its commit is rolled back.
///
/// It holds one of the few connections of the module's pool. Until it is committed, rolled back or
/// dropped, its call must not ask its [`Db`](super::Db) for another connection, and must not call
/// another module: as many callers at once as the pool has connections would each hold one and wait for
/// one more, and none of them would go on. A process warns of a method that does so, once. In a
/// `testing::System` the call fails.
pub struct Tx<'a, D: Database = Any> {
    tx: Begun<D>,
    hold: Hold,
    _places: Places,
    /// Set when a call that it was lent to was cut short.
    cut: Arc<AtomicBool>,
    db: PhantomData<&'a ()>,
}

impl<D: Database> Tx<'_, D> {
    /// Makes what was done in it last.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        if self.cut.load(Relaxed) {
            self.rollback().await?;
            return Err(sqlx::Error::InvalidArgument(CUT.to_owned()));
        }
        let Self { tx, hold, _places: places, .. } = self;
        let committed = tx.commit().await;
        drop((hold, places));
        committed
    }

    /// Undoes what was done in it.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        let Self { tx, hold, _places: places, .. } = self;
        let rolled_back = tx.rollback().await;
        drop((hold, places));
        rolled_back
    }

    /// One that began elsewhere. The call that is polled now holds it from here on.
    pub(super) fn taken_over(tx: Begun<D>, places: Places, strict: bool) -> Self {
        let (hold, cut) = (held::hold(&CONNECTION, strict), Arc::default());
        Self { tx, hold, _places: places, cut, db: PhantomData }
    }

    /// What it consists of, which its call no longer holds, and whether it can only be rolled back.
    pub(super) fn handed_over(self) -> (Begun<D>, Places, bool) {
        let Self { tx, _places: places, cut, .. } = self;
        (tx, places, cut.load(Relaxed))
    }

    /// What lending it needs.
    pub(super) fn parts(&mut self) -> (&mut D::Connection, &Hold, &Arc<AtomicBool>) {
        (self.tx.connection_mut(), &self.hold, &self.cut)
    }
}

impl<D: Database> Deref for Tx<'_, D> {
    type Target = D::Connection;

    fn deref(&self) -> &D::Connection {
        self.tx.connection()
    }
}

impl<D: Database> DerefMut for Tx<'_, D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        self.tx.connection_mut()
    }
}

impl<D: Database> fmt::Debug for Tx<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

/// The call that runs is about to wait for a connection: an error is that it holds one, in a test.
pub(super) fn ask() -> Result<(), sqlx::Error> {
    held::ask().map_err(sqlx::Error::InvalidArgument)
}

/// A caller can go away while a transaction begins, and sqlx would then return a connection to the
/// pool with the transaction open on it. So a begin is never cut. If its caller goes away, it goes on
/// in a task of its own. The transaction is then dropped, which rolls it back.
pub(super) async fn begin<'a, D: Database>(
    pool: &Pool<D>,
    line: &Line,
    backend: Backend,
    statement: &SqlStr,
    strict: bool,
) -> Result<Tx<'a, D>, sqlx::Error> {
    let (tx, places) = begin_in_turn(pool, line, backend, statement).await?;
    let (hold, cut) = (held::hold(&CONNECTION, strict), Arc::default());
    Ok(Tx { tx, hold, _places: places, cut, db: PhantomData })
}

/// Begins when it is the turn of the call that is running.
pub(super) async fn begin_in_turn<D: Database>(
    pool: &Pool<D>,
    line: &Line,
    backend: Backend,
    statement: &SqlStr,
) -> Result<(Begun<D>, Places), sqlx::Error> {
    // Here a caller may go away: nothing has begun.
    let places = line.wait().await?;
    begin_with(places, pool, backend, statement).await
}

/// Begins without waiting in line, for the framework's own statements.
pub(super) async fn begin_out_of_turn<D: Database>(
    pool: &Pool<D>,
    backend: Backend,
    statement: &SqlStr,
) -> Result<Begun<D>, sqlx::Error> {
    let (begun, ()) = begin_with((), pool, backend, statement).await?;
    Ok(begun)
}

/// Begins, and keeps `right` for as long as that takes.
async fn begin_with<R: Send + 'static, D: Database>(
    right: R,
    pool: &Pool<D>,
    backend: Backend,
    statement: &SqlStr,
) -> Result<(Begun<D>, R), sqlx::Error> {
    let (pool, statement) = (pool.clone(), statement.clone());
    let begun = Uncut(Some(Box::pin(async move {
        let begun = Begun::begin(&pool, backend, statement).await;
        begun.map(|begun| (begun, right))
    })));
    begun.await
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
