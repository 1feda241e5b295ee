//! What transactions begin with: on a shared pool, with the role of the module.
//!
//! The statements of a beginning are sent together, so that taking on a role costs no round trip of its own.

use super::Backend;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// What the transactions of one module begin with.
#[derive(Debug, Clone)]
pub(super) struct Begins {
    /// A transaction that only reads, and sees one state of the database.
    pub(super) read: SqlStr,
    /// A transaction that writes.
    pub(super) write: SqlStr,
    /// One that writes, and sees what was committed before each of its statements.
    pub(super) migrate: SqlStr,
    /// The role that each of them takes on, if the connection is not the module's own.
    pub(super) role: Option<Role>,
}

/// A role that transactions take on.
#[derive(Debug, Clone)]
pub(super) struct Role {
    /// Its name.
    pub(super) name: String,
    /// The role that logs in, which the modules share.
    pub(super) login: String,
}

const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const WRITE: &str = "BEGIN";
/// Whatever the role's default is.
const MIGRATE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Behind a pooler such as PgBouncer, a connection of the server has the prepared statements of those who had it
/// before, under the same names as ours. This is a transaction of its own: behind it in the same one, a module could no
/// longer choose its level of isolation.
const FORGET: &str = "BEGIN; DEALLOCATE ALL; COMMIT";

impl Begins {
    /// On connections of the module's own.
    pub(super) fn own(backend: Backend) -> Self {
        let statements = match backend {
            Backend::Sqlite => ["BEGIN DEFERRED", "BEGIN IMMEDIATE", "BEGIN IMMEDIATE"],
            Backend::Postgres => [READ, WRITE, MIGRATE],
        };
        let [read, write, migrate] = statements.map(SqlStr::from_static);
        Self { read, write, migrate, role: None }
    }

    /// On connections that modules share. `settings` are statements that set what the role's login would set.
    pub(super) fn as_role(role: Role, settings: &[String]) -> Self {
        let take_on = format!("SET LOCAL ROLE {}", quoted(&role.name));
        let settings: String = settings.iter().map(|setting| format!("; {setting}")).collect();
        let [read, write, migrate] = [READ, WRITE, MIGRATE].map(|begin| {
            AssertSqlSafe(format!("{FORGET}; {begin}; {take_on}{settings}")).into_sql_str()
        });
        Self { read, write, migrate, role: Some(role) }
    }

    /// A transaction on a shared pool that takes on no role: what the login may do by itself.
    pub(super) fn as_login() -> SqlStr {
        AssertSqlSafe(format!("{FORGET}; {READ}")).into_sql_str()
    }
}

/// Quotes a name for a statement.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a\"; DROP ROLE b"), "\"a\"\"; DROP ROLE b\"");
    }

    #[test]
    fn a_role_is_taken_on_in_the_batch_that_begins() {
        let role = Role { name: "shop-orders".to_owned(), login: "shop_shared".to_owned() };
        let begins = Begins::as_role(role, &["SET LOCAL search_path TO orders".to_owned()]);
        assert_eq!(
            begins.write.as_str(),
            "BEGIN; DEALLOCATE ALL; COMMIT; \
             BEGIN; SET LOCAL ROLE \"shop-orders\"; SET LOCAL search_path TO orders"
        );
    }
}
