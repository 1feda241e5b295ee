//! Which tables a connection reaches: the database, and by which role and schemas.

use super::{Backend, Column, Db, ModuleDatabase, tx::begin_out_of_turn};
use std::{fmt, sync::Arc};

/// The names of the databases, as sqlx has them.
pub(super) const POSTGRES: &str = "PostgreSQL";
pub(super) const SQLITE: &str = "SQLite";

pub(super) fn name_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => POSTGRES,
        Backend::Sqlite => SQLITE,
    }
}

/// What one connection reaches. Two that reach the same find the same tables under the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A file. It is empty for a database in memory.
    File(String),
    /// A database of a server.
    Server {
        /// The cluster's own number, which its replicas have too.
        server: String,
        /// The database.
        database: String,
        /// The role.
        role: String,
        /// The schemas in which tables are looked for.
        schemas: String,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) if file.is_empty() => f.write_str("a database in memory"),
            Self::File(file) => write!(f, "the file {file}"),
            Self::Server { server, database, role, schemas } => {
                write!(
                    f,
                    "the database {database} as {role} in the schemas {schemas}, server {server}"
                )
            }
        }
    }
}

impl Identity {
    /// Whether both reach the same. Databases in memory cannot be told apart, so none is the same as another.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_known = !matches!(self, Self::File(file) if file.is_empty());
        is_known && self == other
    }
}

const SERVER: &str = "SELECT (pg_control_system()).system_identifier::TEXT, current_database()::TEXT, \
    current_user::TEXT, current_schemas(false)::TEXT";
const FILE: &str = "SELECT file FROM pragma_database_list WHERE name = 'main'";

impl<D: ModuleDatabase> Db<D> {
    /// What the module's own connections reach. It is asked once: at the start of a module that shares transactions.
    pub async fn identity(&self) -> Result<&Identity, sqlx::Error> {
        let ask = async || {
            // On a pool that modules share, only a transaction has the module's role. It takes no turns: a call that
            // joins a transaction holds that one.
            let mut begun = begin_out_of_turn(&self.pool, self.backend, &self.begins.read).await?;
            let identity = self.identity_of(begun.connection_mut()).await?;
            begun.commit().await?;
            Ok(identity)
        };
        self.identity.get_or_try_init(ask).await
    }

    /// What a connection of the same type reaches.
    pub(super) async fn identity_of(
        &self,
        connection: &mut D::Connection,
    ) -> Result<Identity, sqlx::Error> {
        let (statement, columns) = match self.backend() {
            Backend::Postgres => (SERVER, [Column::Text; 4].as_slice()),
            Backend::Sqlite => (FILE, [Column::Text].as_slice()),
        };
        let rows = D::rows(connection, Arc::from(statement), Vec::new(), columns).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let text = |at: usize| row[at].text().unwrap_or_default().to_owned();
        Ok(match self.backend() {
            Backend::Sqlite => Identity::File(text(0)),
            Backend::Postgres => Identity::Server {
                server: text(0),
                database: text(1),
                role: text(2),
                schemas: text(3),
            },
        })
    }
}
