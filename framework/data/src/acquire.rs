//! A connection of a pool, for the call that is running.

use crate::connecting::explained;
use sqlx::{Database, Pool, pool::PoolConnection};
use std::panic::resume_unwind;
use tokio::task::JoinSet;

/// Takes a connection of `pool`. If none comes for long, the log says why: sqlx tries to make one until the call's deadline
/// has passed, and says nothing.
pub(super) async fn acquire<D: Database>(pool: &Pool<D>) -> Result<PoolConnection<D>, sqlx::Error> {
    let how = pool.connect_options();
    let say = |error| {
        tracing::warn!(%error, "no connection to the module's database can be made");
    };
    explained::<D, _>(acquired(pool), &how, say).await
}

/// Takes one. One that has to be made is made in a task of its own: the statements that set it up are none of the call's, and
/// are not recorded as such.
async fn acquired<D: Database>(pool: &Pool<D>) -> Result<PoolConnection<D>, sqlx::Error> {
    if pool.num_idle() > 0 || pool.size() >= pool.options().get_max_connections() {
        return pool.acquire().await;
    }
    let pool = pool.clone();
    // Ends with the caller.
    let mut making = JoinSet::new();
    making.spawn(async move { pool.acquire().await });
    match making.join_next().await {
        Some(Ok(made)) => made,
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        // The runtime stops.
        Some(Err(_)) | None => Err(sqlx::Error::PoolClosed),
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::call::Context;
    use sqlx::{Sqlite, pool::PoolOptions};
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    };
    use tokio::time::Instant;

    #[tokio::test]
    async fn a_connection_is_set_up_outside_of_the_call_that_needs_it() {
        let (made, by_the_call) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (made_here, by_the_call_here) = (Arc::clone(&made), Arc::clone(&by_the_call));
        let options = PoolOptions::<Sqlite>::new().max_connections(2).after_connect(move |_, _| {
            made_here.fetch_add(1, SeqCst);
            by_the_call_here.fetch_add(Context::look(|_| 1).unwrap_or(0), SeqCst);
            Box::pin(async { Ok(()) })
        });
        let pool = options.connect_lazy("sqlite::memory:").unwrap();
        let call = async {
            let both = (acquire(&pool).await.unwrap(), acquire(&pool).await.unwrap());
            drop(both);
            acquire(&pool).await.unwrap();
        };
        Context::until(Instant::now()).scope(call).await;
        assert_eq!((made.load(SeqCst), by_the_call.load(SeqCst)), (2, 0));
    }
}
