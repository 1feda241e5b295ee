//! A connection of a module's pool, for the statements of a call that needs no transaction.

use super::{
    Db,
    acquire::acquire,
    autocommit::Autocommit,
    line::Places,
    tx::{IN_USE, begin_in_turn},
};
use crate::call::held::{self, Hold};
use sqlx::{Any, Database};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// A connection of a module's own database, from [`Db::connection`](super::Db::connection): `&mut *connection` is what
/// sqlx's queries run on. It goes back to the pool when it is dropped.
///
/// A module has few of them. While a call has one, it must not ask for another, and must not call another module:
/// see [`Tx`](super::Tx). In an expression such as `match query.fetch_one(&mut *db.connection().await?).await? { … }`
/// it is kept until the end of the `match`: give the answer a name first.
pub struct Connection<D: Database = Any> {
    statements: Autocommit<D>,
    _hold: Hold,
    _places: Places,
}

impl<D: Database> Connection<D> {
    pub(super) async fn of(db: &Db<D>) -> Result<Self, sqlx::Error> {
        // Only within a transaction is there a role, or the name of a caller.
        let (statements, places) = if db.begins.role.is_none() && !db.caller {
            let places = db.line.wait().await?;
            (Autocommit::own(acquire(&db.pool).await?), places)
        } else {
            let begin = db.beginning(&db.begins.write)?;
            let (begun, places) = begin_in_turn(&db.pool, &db.line, db.backend, &begin).await?;
            (Autocommit::shared(begun, begin), places)
        };
        Ok(Self { statements, _hold: held::hold(&IN_USE, db.strict), _places: places })
    }
}

impl<D: Database> fmt::Debug for Connection<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl<D: Database> Deref for Connection<D> {
    type Target = Autocommit<D>;

    fn deref(&self) -> &Autocommit<D> {
        &self.statements
    }
}

impl<D: Database> DerefMut for Connection<D> {
    fn deref_mut(&mut self) -> &mut Autocommit<D> {
        &mut self.statements
    }
}
