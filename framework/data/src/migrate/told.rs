//! What is said of migrations that are not applied.

use super::Plan;
use crate::{
    Backend, OpenError,
    migration_file::{Migration, parse_name},
};
use sqlx::migrate::MigrateError;

/// PostgreSQL's error code for a statement that cannot run in a transaction.
const IN_A_TRANSACTION: &str = "25001";

impl Plan<'_> {
    pub(super) fn name(&self, version: i64) -> &'static str {
        let is = |(name, _): &&Migration| parse_name(name).is_ok_and(|(own, _)| own == version);
        self.history.migrations.iter().find(is).map_or("of a newer release", |(name, _)| name)
    }

    pub(super) fn failed(&self, error: MigrateError) -> OpenError {
        match error {
            MigrateError::ExecuteMigration(error, version) => {
                let code = error.as_database_error().and_then(|error| error.code());
                let hint = match code.as_deref() {
                    Some(IN_A_TRANSACTION) => {
                        ": it has a statement that cannot run in a transaction, so begin the file with \
                         `-- no-transaction`"
                    }
                    _ => "",
                };
                let name = self.name(version);
                let message = format!("the migration {name} failed, and changed nothing{hint}");
                OpenError::from_source(message, error)
            }
            MigrateError::Execute(error) => driver(error),
            error => OpenError::from_source("the migrations failed", error),
        }
    }

    /// A statement outside of a transaction has failed.
    pub(super) fn half_way(
        &self,
        version: i64,
        at: usize,
        line: usize,
        error: sqlx::Error,
    ) -> OpenError {
        let message = format!(
            "the migration {} failed outside of a transaction, at its statement {at} (line {line}). What the \
             statements before it did stays, and an index that was being built concurrently is there and \
             invalid. {}",
            self.name(version),
            self.how_to_go_on(version)
        );
        OpenError::from_source(message, error)
    }

    /// One outside of a transaction has a lock and a role for as long as its connection, and those of a shared pool
    /// may be a pooler's.
    pub(super) fn needs_its_own_connection(&self, version: i64) -> OpenError {
        OpenError::new(format!(
            "the migration {} runs outside of a transaction, which a pool that modules share cannot do, so nothing was \
             applied: set `migrate_url` in the module's section to a URL of the server itself (not of PgBouncer) for the \
             role that owns the tables, and apply the migrations by this program with the argument `migrate`",
            self.name(version)
        ))
    }

    /// Another process has the lock, so it may be running this one.
    pub(super) fn running(&self, version: i64) -> OpenError {
        OpenError::new(format!(
            "the migration {} was begun outside of a transaction and has not ended, and another process is migrating \
             this database: start again when that process is done",
            self.name(version)
        ))
    }

    /// One was begun earlier, and its end is not recorded. On PostgreSQL no process has the lock.
    pub(super) fn begun(&self, version: i64) -> OpenError {
        let still = match self.backend {
            Backend::Postgres => "",
            Backend::Sqlite => "it still runs, or ",
        };
        OpenError::new(format!(
            "the migration {} was begun outside of a transaction and has not ended: {still}it failed, or its process \
             died. {}",
            self.name(version),
            self.how_to_go_on(version)
        ))
    }

    fn how_to_go_on(&self, version: i64) -> String {
        let table = &self.history.table;
        format!(
            "Undo what it did and `DELETE FROM {table} WHERE version = {version}`, so that it is applied from its \
             first statement; or complete it by hand and `UPDATE {table} SET success = TRUE WHERE version = \
             {version}`"
        )
    }
}

pub(super) fn driver(error: sqlx::Error) -> OpenError {
    OpenError::of_database("the migrations failed", error)
}
