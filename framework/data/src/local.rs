//! Transactions that a caller lends to a method with `#[local]`, and how the method's module joins them.

use super::{Db, ModuleDatabase, Tx, identity};
use crate::call::{
    CallError,
    held::{self, Hold},
    local::{Loan, LocalTx, Opaque, Run, Running, mistaken},
};
use sqlx::{Any, AnyConnection, Connection, Database};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::AtomicBool},
};

/// Lends the transaction that is open on a connection to a method with `#[local]`: `stock.reserve_in(tx.lend(), order)`.
///
/// It is for old code, which passes sqlx's own types: a `Transaction`, or a `&mut PgConnection` within one. A transaction of
/// a module, [`Tx`], has the method itself. sqlx has to have begun the transaction, by `begin`.
///
/// Do not put a timeout of your own around such a call and go on with the connection: what was cut may be done in part.
/// (A [`Tx`] then refuses to commit; a connection of sqlx cannot.)
///
/// ```
/// # use monolift_call::{CallError, LocalTx, async_trait}; use monolift_data::Lend; use sqlx::{PgConnection, PgPool};
/// # struct StockClient;
/// # impl StockClient { async fn reserve_in(&self, _: LocalTx<'_>, _: i64) -> Result<(), CallError> { Ok(()) } }
/// async fn place(pool: PgPool, stock: StockClient) -> Result<(), Box<dyn std::error::Error>> {
///     let mut tx = pool.begin().await?;
///     old_code(&mut tx, &stock).await?;
///     Ok(tx.commit().await?)
/// }
///
/// async fn old_code(connection: &mut PgConnection, stock: &StockClient) -> Result<(), CallError> {
///     stock.reserve_in(connection.lend(), 7).await
/// }
/// ```
pub trait Lend {
    /// The transaction, for one call.
    fn lend(&mut self) -> LocalTx<'_>;
}

impl<C> Lend for C
where
    C: Connection + 'static,
    C::Database: ModuleDatabase<Connection = C>,
{
    fn lend(&mut self) -> LocalTx<'_> {
        LocalTx::of(loan::<C::Database>(self, None, Arc::default()))
    }
}

/// What a connection is, to the rooms that know no database.
fn loan<'a, D: ModuleDatabase>(
    connection: &'a mut D::Connection,
    hold: Option<&'a Hold>,
    cut: Arc<AtomicBool>,
) -> Loan<'a> {
    let is_open = connection.is_in_transaction();
    let any: &Opaque = &*connection;
    let driver = any.downcast_ref::<AnyConnection>();
    // The drivers' names are short and few.
    let database = match driver.map(AnyConnection::backend_name) {
        None => D::NAME,
        Some(name) if name == identity::POSTGRES => identity::POSTGRES,
        Some(_) => identity::SQLITE,
    };
    let run: Run = run::<D>;
    Loan { connection, database, is_open, run, hold, cut }
}

fn run<D: ModuleDatabase>(connection: &mut Opaque, statements: String) -> Running<'_> {
    Box::pin(async move {
        let connection = connection.downcast_mut::<D::Connection>();
        let connection = connection.expect("the loan was made of a connection of this type");
        Ok(D::run(connection, statements.into()).await?)
    })
}

impl<D: ModuleDatabase> Tx<'_, D> {
    /// Lends it to one call of a method with `#[local]`: `self.stock.reserve_in(tx.lend(), order)`.
    ///
    /// If the call is dropped before it has ended, by a timeout of the caller's own, the transaction can only be rolled
    /// back: a commit is refused.
    pub fn lend(&mut self) -> LocalTx<'_> {
        let (connection, hold, cut) = self.parts();
        LocalTx::of(loan::<D>(connection, Some(hold), Arc::clone(cut)))
    }
}

/// A caller's transaction in the module's own database, from [`Db::join`]: `&mut *tx` is what sqlx's queries run on.
///
/// The caller commits it or rolls it back.
pub struct Joined<'a, D: Database = Any> {
    connection: &'a mut D::Connection,
    hold: Option<&'a Hold>,
    cut: Arc<AtomicBool>,
}

impl<D: ModuleDatabase> Joined<'_, D> {
    /// Lends it on, to one call of a method with `#[local]` of another module.
    pub fn lend(&mut self) -> LocalTx<'_> {
        LocalTx::of(loan::<D>(self.connection, self.hold, Arc::clone(&self.cut)))
    }
}

impl<D: Database> Deref for Joined<'_, D> {
    type Target = D::Connection;

    fn deref(&self) -> &D::Connection {
        self.connection
    }
}

impl<D: Database> DerefMut for Joined<'_, D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        self.connection
    }
}

impl<D: Database> fmt::Debug for Joined<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Joined")
    }
}

impl<D: ModuleDatabase> Db<D> {
    /// The caller's transaction, for a method with `#[local]`: the method's statements run in it, and see what the caller
    /// has not committed.
    ///
    /// The transaction has to be in this module's own database, with the same role and the same schemas. That is asked of
    /// the connection, each time. It is an error if it is not, since the statements would reach other tables, or none.
    /// Modules that share a pool have a role each, so there the settings have to give both the same `role`.
    ///
    /// Do not begin a transaction of sqlx within it. If sqlx's `begin` is cut by the call's deadline, sqlx rolls back the
    /// transaction around it too.
    pub async fn join<'a>(&self, tx: LocalTx<'a>) -> Result<Joined<'a, D>, CallError> {
        if self.strict {
            held::insist();
        }
        let Loan { connection, database, hold, cut, .. } = tx.into_loan();
        let own = identity::name_of(self.backend());
        if database != own {
            return Err(mistaken(format!(
                "the transaction that was lent is one of {database}, and this module's database is {own}"
            )));
        }
        let Some(connection) = connection.downcast_mut::<D::Connection>() else {
            return Err(mistaken(format!(
                "the transaction that was lent has another type than this module's `Db`, which is a `Db<{}>`: give caller \
                 and module the same one of `Db`, `Db<Postgres>` and `Db<Sqlite>`",
                D::NAME
            )));
        };
        let (lent, own) = (self.identity_of(connection).await?, self.identity().await?);
        if !lent.is_same(own) {
            tracing::error!(%lent, %own, "a transaction of another database was lent");
            return Err(mistaken(
                "the transaction that was lent is in another database than this module's own, or has another role or other \
                 schemas: the log says both; hand the same pool to caller and module (`app.pool`), where modules share a pool \
                 give both the same `role`, or give up `#[local]`",
            ));
        }
        Ok(Joined { connection, hold, cut })
    }
}
