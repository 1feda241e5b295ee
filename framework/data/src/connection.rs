//! A connection of a module's pool, for the statements of a call that needs no transaction.

use super::tx::{IN_USE, ask};
use crate::call::{
    Context as CallContext,
    held::{self, Hold},
    turns::{Place, Turns},
};
use sqlx::{Any, Database, Pool, pool::PoolConnection};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// A connection of a module's own database, from [`Db::connection`](super::Db::connection): `&mut *connection` is what
/// sqlx's queries run on. It goes back to the pool when it is dropped.
///
/// A module has few of them. While a call has one, it must not ask for another, and must not call another module:
/// see [`Tx`](super::Tx). In an expression such as `match query.fetch_one(&mut *db.connection().await?).await? { … }`
/// it is kept until the end of the `match`: give the answer a name first.
pub struct Connection<D: Database = Any> {
    connection: PoolConnection<D>,
    _hold: Hold,
    _place: Place,
}

impl<D: Database> Connection<D> {
    pub(super) async fn acquire(
        pool: &Pool<D>,
        turns: &Arc<Turns>,
        strict: bool,
    ) -> Result<Self, sqlx::Error> {
        let place = place(turns).await?;
        let connection = pool.acquire().await?;
        Ok(Self { connection, _hold: held::hold(&IN_USE, strict), _place: place })
    }
}

impl<D: Database> fmt::Debug for Connection<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
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
