//! A connection of a pool with a transaction open on it.

use super::{Backend, acquire::acquire};
use sqlx::{Database, Pool, SqlStr, pool::PoolConnection};
use sqlx_core::transaction::TransactionManager;

/// A connection of a pool with a transaction open on it. One that is dropped is rolled back.
pub(super) struct Begun<D: Database> {
    connection: PoolConnection<D>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A transaction is open, and sqlx knows of it.
    Open,
    /// None is open.
    Ended,
    /// One begins or ends, or that was cut or has failed: the connection is of no more use.
    Unknown,
}

impl<D: Database> Begun<D> {
    /// Takes a connection and begins. If the connection turns out to be dead, it is another one's turn: nothing has
    /// begun. This must not be cut: the statement may have been sent, and sqlx would not know of the transaction.
    pub(super) async fn begin(
        pool: &Pool<D>,
        backend: Backend,
        statement: SqlStr,
    ) -> Result<Self, sqlx::Error> {
        // At most all that are idle are dead. One that has just been made is not.
        let mut others = pool.size();
        loop {
            let mut connection = acquire(pool).await?;
            let begun =
                D::TransactionManager::begin(&mut connection, Some(statement.clone())).await;
            let Err(error) = begun else { return Ok(Self { connection, state: State::Open }) };
            if backend == Backend::Postgres {
                // Of several statements the first may have been done: sqlx does not know that a transaction is open.
                connection.close_on_drop();
            }
            if others == 0 || !is_of_a_dead_connection(&error) {
                return Err(error);
            }
            others -= 1;
        }
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        D::TransactionManager::commit(&mut self.connection).await?;
        self.state = State::Ended;
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        D::TransactionManager::rollback(&mut self.connection).await?;
        self.state = State::Ended;
        Ok(())
    }

    /// Begins another transaction on the same connection, unless one is open.
    pub(super) async fn reopen(&mut self, statement: &SqlStr) -> Result<(), sqlx::Error> {
        match self.state {
            State::Open => return Ok(()),
            State::Ended => {}
            State::Unknown => return Err(sqlx::Error::BeginFailed),
        }
        self.state = State::Unknown;
        D::TransactionManager::begin(&mut self.connection, Some(statement.clone())).await?;
        self.state = State::Open;
        Ok(())
    }

    /// Ends the transaction as its statement has ended, and keeps the connection.
    pub(super) async fn end<T>(&mut self, ran: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        match ran {
            Ok(answer) => {
                self.state = State::Unknown;
                D::TransactionManager::commit(&mut self.connection).await?;
                self.state = State::Ended;
                Ok(answer)
            }
            Err(error) => {
                self.start_rollback();
                Err(error)
            }
        }
    }

    /// Rolls back as soon as the connection is used again.
    fn start_rollback(&mut self) {
        D::TransactionManager::start_rollback(&mut self.connection);
        self.state = State::Ended;
    }

    pub(super) fn connection(&self) -> &D::Connection {
        &self.connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut D::Connection {
        &mut self.connection
    }
}

impl<D: Database> Drop for Begun<D> {
    fn drop(&mut self) {
        match self.state {
            State::Open => self.start_rollback(),
            State::Ended => {}
            State::Unknown => self.connection.close_on_drop(),
        }
    }
}

/// Whether an error says that the connection is lost, rather than that a statement was refused.
fn is_of_a_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Connection exceptions, and servers that stop or were told to end the connection.
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            code.starts_with("08") || code.starts_with("57P")
        }
        _ => false,
    }
}
