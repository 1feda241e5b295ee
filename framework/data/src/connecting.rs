//! Connecting to a database, and why that takes long.
//!
//! If a server refuses connections, sqlx retries until the pool's timeout, because the server may be starting. It logs nothing,
//! and its error says only that the pool timed out. So a separate attempt to connect finds out the reason.

use crate::ModuleDatabase;
use sqlx::{ConnectOptions, Connection, Database, Error, Pool, pool::PoolOptions};
use std::{fmt::Display, io, pin::pin, time::Duration};
use tokio::{task::JoinSet, time::timeout};

/// If a connection takes this long, the log says why.
const LONG: Duration = Duration::from_secs(1);

/// How connections to a database are made.
pub(super) type Options<D> = <<D as Database>::Connection as Connection>::Options;

/// Opens a pool with its first connection. `shown` is its database as a log may show it.
pub(super) async fn connect<D: ModuleDatabase>(
    options: PoolOptions<D>,
    url: &str,
    shown: impl Display,
) -> Result<Pool<D>, Error> {
    let patience = options.get_acquire_timeout();
    let how: Options<D> = url.parse()?;
    let opened = explained::<D, _>(options.connect_with(how.clone()), &how, |error| {
        tracing::warn!(database = %shown, %error, "a database is waited for, {patience:?} at most");
    });
    match opened.await {
        Err(Error::PoolTimedOut) => Err(failure::<D>(&how).await.unwrap_or(Error::PoolTimedOut)),
        pool => pool,
    }
}

/// Waits for something that needs a connection. If that takes long, `say` gets the reason.
pub(super) async fn explained<D: Database, T>(
    waiting: impl Future<Output = T>,
    how: &Options<D>,
    say: impl Fn(Error),
) -> T {
    let mut waiting = pin!(waiting);
    if let Ok(done) = timeout(LONG, &mut waiting).await {
        return done;
    }
    tokio::select! {
        done = &mut waiting => return done,
        error = failure::<D>(how) => error.into_iter().for_each(say),
    }
    waiting.await
}

/// Why no connection can be made now, if none can. It is tried in a task of its own, so that the statements of the new
/// connection are not recorded as a call's.
async fn failure<D: Database>(how: &Options<D>) -> Option<Error> {
    let how = how.clone();
    let mut trying = JoinSet::new();
    trying.spawn(async move { how.connect().await?.close_hard().await });
    match timeout(LONG, trying.join_next()).await {
        Ok(tried) => tried?.ok()?.err(),
        Err(_) => {
            let late = format!("no answer within {LONG:?}");
            Some(Error::Io(io::Error::new(io::ErrorKind::TimedOut, late)))
        }
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;
    use sqlx::Postgres;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_said_to_be_the_reason() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error_at = async |address| {
            let options = PoolOptions::<Postgres>::new().acquire_timeout(LONG + LONG / 4);
            let url = format!("postgres://shop@{address}/shop");
            connect(options, &url, "the shop's").await.unwrap_err().to_string()
        };
        let (refused, late) = tokio::join!(error_at(gone), error_at(silent.local_addr().unwrap()));
        assert!(refused.contains("Connection refused"), "{refused}");
        assert!(late.contains("no answer within 1s"), "{late}");
    }
}
