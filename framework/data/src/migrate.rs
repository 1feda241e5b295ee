//! A module's migrations: applied when it starts or by a job, each module with its own history.
//!
//! A migration is applied in a transaction that holds the lock and writes the record. One whose file begins with
//! `-- no-transaction` is recorded as begun first, and as done when its last statement is.

use super::{
    Backend, Column, History, ModuleDatabase, OpenError, Value,
    migration_file::{self, Migration, parse_name},
    migration_lock::{Lock, Waiting},
    newer, sql,
};
use sqlx::{
    Connection, Pool, SqlStr,
    migrate::{Migrate, MigrateError},
};
use std::{collections::HashMap, sync::Arc};

/// PostgreSQL's error code for a statement that cannot run in a transaction.
const IN_A_TRANSACTION: &str = "25001";

/// Applies what has not been applied, writes down what was in the table of `history`, and returns the names. A
/// migration that was changed after it was applied is refused. Ones that only a newer release has are left
/// alone, so that releases overlap and can be rolled back: see [`newer`].
pub(super) async fn migrate<D: ModuleDatabase>(
    pool: &Pool<D>,
    backend: Backend,
    history: &History<'_>,
) -> Result<Vec<&'static str>, OpenError> {
    let Some(plan) = Plan::of(history, backend)? else { return Ok(Vec::new()) };
    let mut connection = pool.acquire().await.map_err(|error| plan.failed(error.into()))?;
    let result = plan.apply::<D>(&mut connection).await;
    let was_used = !matches!(&result, Ok(applied) if applied.is_empty());
    if was_used && outlives_its_connections::<D>(&mut connection, backend).await {
        // What migrations have set goes with it, and so does a lock after an error.
        let _ = connection.close().await;
    }
    result
}

/// A SQLite database in memory ends with its connection.
async fn outlives_its_connections<D: ModuleDatabase>(
    connection: &mut D::Connection,
    backend: Backend,
) -> bool {
    if backend == Backend::Postgres {
        return true;
    }
    let sql = "SELECT COUNT(*) FROM pragma_database_list WHERE name = 'main' AND file <> ''";
    let files = D::rows(connection, sql.into(), Vec::new(), &[Column::Number]).await;
    files.is_ok_and(|files| files[0][0].number() != 0)
}

/// Refuses a database in which a migration is missing, and changes nothing.
pub(super) async fn verify<D: ModuleDatabase>(
    pool: &Pool<D>,
    backend: Backend,
    history: &History<'_>,
) -> Result<(), OpenError> {
    let Some(plan) = Plan::of(history, backend)? else { return Ok(()) };
    let mut connection = pool.acquire().await.map_err(|error| plan.failed(error.into()))?;
    let state = plan.state::<D>(&mut connection).await?;
    if let Some(begun) = state.begun {
        let is_running = match backend {
            Backend::Postgres => {
                let lock = Lock::of::<D>(&mut connection).await.map_err(driver)?;
                lock.is_taken::<D>(&mut connection).await.map_err(driver)?
            }
            Backend::Sqlite => false,
        };
        return Err(if is_running { plan.running(begun) } else { plan.begun(begun) });
    }
    let Some(first) = state.missing.first() else {
        return plan.accept::<D>(&mut connection, &state.newer).await;
    };
    let more = match state.missing.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let unseen = match backend {
        Backend::Postgres if !state.has_table => format!(
            ". The role sees no table `{}`: if it exists, the role lacks USAGE on its schema, or has another search_path",
            history.table
        ),
        Backend::Postgres | Backend::Sqlite => String::new(),
    };
    Err(OpenError::new(format!(
        "it lacks the migration {}{more}, and `migrate` is \"never\": apply them first, by this program with the \
         argument `migrate` or by `App::migrate`{unseen}",
        plan.name(first.version)
    )))
}

/// The migrations of a history, for one database.
struct Plan<'a> {
    history: &'a History<'a>,
    backend: Backend,
    all: Vec<sqlx::migrate::Migration>,
}

/// What a database has of a plan.
struct State<'a> {
    /// Migrations to apply, in order.
    missing: Vec<&'a sqlx::migrate::Migration>,
    /// Migrations that only a newer release has.
    newer: Vec<i64>,
    /// One of this plan that has begun outside of a transaction, and has not ended.
    begun: Option<i64>,
    /// Whether the table of its history was found.
    has_table: bool,
}

/// What one step has done.
enum Step<'a> {
    Nothing(Vec<i64>),
    Applied(i64),
    /// The next one runs outside of a transaction.
    Outside(&'a sqlx::migrate::Migration),
}

impl<'a> Plan<'a> {
    fn of(history: &'a History<'a>, backend: Backend) -> Result<Option<Self>, OpenError> {
        if history.migrations.is_empty() {
            return Ok(None);
        }
        let mut all: Vec<_> =
            history.migrations.iter().map(migration_file::parse).collect::<Result<_, _>>()?;
        all.sort();
        Ok(Some(Self { history, backend, all }))
    }

    /// Applies what is missing. Where nothing is, this only reads.
    async fn apply<D: ModuleDatabase>(
        &self,
        connection: &mut D::Connection,
    ) -> Result<Vec<&'static str>, OpenError> {
        let state = self.state::<D>(connection).await?;
        if state.missing.is_empty() && state.begun.is_none() {
            self.accept::<D>(connection, &state.newer).await?;
            return Ok(Vec::new());
        }
        let lock = match self.backend {
            Backend::Postgres => Some(Lock::of::<D>(connection).await.map_err(driver)?),
            // A transaction that writes has SQLite's own lock.
            Backend::Sqlite => None,
        };
        let mut applied = Vec::new();
        loop {
            match self.step::<D>(connection, lock).await? {
                Step::Applied(version) => applied.push(self.name(version)),
                Step::Nothing(newer) => {
                    self.accept::<D>(connection, &newer).await?;
                    return Ok(applied);
                }
                Step::Outside(migration) => {
                    if self.apply_outside::<D>(connection, lock, migration).await? {
                        applied.push(self.name(migration.version));
                    }
                }
            }
        }
    }

    /// Applies the next migration in a transaction, which has the lock.
    async fn step<D: ModuleDatabase>(
        &self,
        connection: &mut D::Connection,
        lock: Option<Lock>,
    ) -> Result<Step<'_>, OpenError> {
        let mut waiting = Waiting::of(&self.history.table);
        loop {
            let mut tx = connection.begin_with(self.begin()).await.map_err(driver)?;
            if let Some(lock) = lock
                && !lock.take_in_transaction::<D>(&mut tx).await.map_err(driver)?
            {
                // A process that waits must have no open transaction: building an index concurrently waits for all.
                tx.rollback().await.map_err(driver)?;
                waiting.pause().await;
                continue;
            }
            let table = &self.history.table;
            let state = self.state::<D>(&mut tx).await?;
            // PostgreSQL would log a notice for a table that exists.
            if !state.has_table {
                let made = Migrate::ensure_migrations_table(&mut *tx, table).await;
                made.map_err(|error| self.failed(error))?;
            }
            let step = match (state.begun, state.missing.first().copied()) {
                (Some(begun), _) => return Err(self.begun(begun)),
                (None, None) => Step::Nothing(state.newer),
                (None, Some(next)) if next.no_tx => Step::Outside(next),
                (None, Some(next)) => {
                    migration_file::refuse_own_transaction(self.name(next.version), next)?;
                    let applied = Migrate::apply(&mut *tx, table, next).await;
                    applied.map_err(|error| self.failed(error))?;
                    Step::Applied(next.version)
                }
            };
            tx.commit().await.map_err(driver)?;
            return Ok(step);
        }
    }

    /// Runs the statements of a migration one by one, while this connection has the lock. `false` if another
    /// process has done so meanwhile.
    async fn apply_outside<D: ModuleDatabase>(
        &self,
        connection: &mut D::Connection,
        lock: Option<Lock>,
        migration: &sqlx::migrate::Migration,
    ) -> Result<bool, OpenError> {
        let (table, version) = (&self.history.table, migration.version);
        migration_file::refuse_own_transaction(self.name(version), migration)?;
        if let Some(lock) = lock {
            lock.take::<D>(connection, &mut Waiting::of(table)).await.map_err(driver)?;
        }
        let record = |done, was| -> Arc<str> {
            format!("UPDATE {table} SET success = {done} WHERE version = $1 AND success = {was}")
                .into()
        };
        let values = || vec![Value::from(version)];
        // On SQLite this transaction is the lock, so it both looks and records.
        let mut tx = connection.begin_with(self.begin()).await.map_err(driver)?;
        let state = self.state::<D>(&mut tx).await?;
        if let Some(begun) = state.begun {
            return Err(self.begun(begun));
        }
        let is_missing = state.missing.iter().any(|missing| missing.version == version);
        if is_missing {
            Migrate::skip(&mut *tx, table, migration).await.map_err(|error| self.failed(error))?;
            D::execute(&mut tx, record("FALSE", "TRUE"), values()).await.map_err(driver)?;
        }
        tx.commit().await.map_err(driver)?;
        if is_missing {
            let text = migration.sql.as_str();
            for (at, statement) in (1..).zip(sql::statements(text)) {
                let ran = D::run(connection, statement.text.into()).await;
                ran.map_err(|error| self.half_way(version, at, statement.line, error))?;
            }
            let recorded = D::execute(connection, record("TRUE", "FALSE"), values()).await;
            if recorded.map_err(driver)? != 1 {
                return Err(OpenError::new(format!(
                    "the migration {} was applied, and its record in {table} was removed or changed meanwhile: look at \
                     what the database has, and record it by hand",
                    self.name(version)
                )));
            }
        }
        if let Some(lock) = lock {
            lock.release::<D>(connection).await.map_err(driver)?;
        }
        Ok(is_missing)
    }

    /// Begins a transaction that sees what was committed before each of its statements, whatever the role's default
    /// is: the state is read after the lock was taken.
    fn begin(&self) -> SqlStr {
        SqlStr::from_static(match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        })
    }

    /// Looks at what the database has.
    async fn state<D: ModuleDatabase>(
        &self,
        connection: &mut D::Connection,
    ) -> Result<State<'_>, OpenError> {
        let table = &self.history.table;
        let exists = match self.backend {
            Backend::Postgres => "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass($1)",
            Backend::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = $1",
        };
        let values = vec![Value::from(table.as_str())];
        let found = D::rows(connection, exists.into(), values, &[Column::Number]).await;
        if found.map_err(driver)?[0][0].number() == 0 {
            let missing = self.all.iter().collect();
            return Ok(State { missing, newer: Vec::new(), begun: None, has_table: false });
        }
        let is_known = |version: i64| self.all.iter().any(|known| known.version == version);
        let sql = format!("SELECT version FROM {table} WHERE NOT success ORDER BY version");
        let unfinished = D::rows(connection, sql.into(), Vec::new(), &[Column::Number]).await;
        // One of a newer release is that release's to finish.
        let begun = unfinished
            .map_err(driver)?
            .iter()
            .map(|row| row[0].number())
            .find(|&version| is_known(version));
        let applied = Migrate::list_applied_migrations(&mut *connection, table).await;
        let applied: HashMap<i64, _> = applied
            .map_err(|error| self.failed(error))?
            .into_iter()
            .map(|one| (one.version, one.checksum))
            .collect();
        let mut missing = Vec::new();
        for migration in &self.all {
            match applied.get(&migration.version) {
                None => missing.push(migration),
                Some(checksum) if *checksum == migration.checksum => {}
                // A file that failed half-way may be corrected. Its record tells how to go on.
                Some(_) if begun == Some(migration.version) => {}
                Some(_) => {
                    return Err(OpenError::new(format!(
                        "the migration {} was changed after it was applied: restore it, and write a new one",
                        self.name(migration.version)
                    )));
                }
            }
        }
        let newer = applied.into_keys().filter(|&version| !is_known(version)).collect();
        Ok(State { missing, newer, begun, has_table: true })
    }

    async fn accept<D: ModuleDatabase>(
        &self,
        connection: &mut D::Connection,
        newer: &[i64],
    ) -> Result<(), OpenError> {
        let known = self.all.iter().map(|one| one.version).max().unwrap_or_default();
        newer::accept::<D>(connection, self.history, known, newer).await
    }

    fn name(&self, version: i64) -> &'static str {
        let is = |(name, _): &&Migration| parse_name(name).is_ok_and(|(own, _)| own == version);
        self.history.migrations.iter().find(is).map_or("of a newer release", |(name, _)| name)
    }

    fn failed(&self, error: MigrateError) -> OpenError {
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
            error => OpenError::from_source("the migrations failed", error),
        }
    }

    /// A statement outside of a transaction has failed.
    fn half_way(&self, version: i64, at: usize, line: usize, error: sqlx::Error) -> OpenError {
        let message = format!(
            "the migration {} failed outside of a transaction, at its statement {at} (line {line}). What the \
             statements before it did stays, and an index that was being built concurrently is there and \
             invalid. {}",
            self.name(version),
            self.how_to_go_on(version)
        );
        OpenError::from_source(message, error)
    }

    /// Another process has the lock, so it may be running this one.
    fn running(&self, version: i64) -> OpenError {
        OpenError::new(format!(
            "the migration {} was begun outside of a transaction and has not ended, and another process is migrating \
             this database: start again when that process is done",
            self.name(version)
        ))
    }

    /// One was begun earlier, and its end is not recorded. On PostgreSQL no process has the lock.
    fn begun(&self, version: i64) -> OpenError {
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

fn driver(error: sqlx::Error) -> OpenError {
    OpenError::from_source("the migrations failed", error)
}
