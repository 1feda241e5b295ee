//! A module's migrations: applied when it starts or by a job, each module with its own history.
//!
//! A migration is applied in a transaction that holds the lock and writes the record. One whose file begins with
//! `-- no-transaction` is recorded as begun first, and as done when its last statement is.

use super::{
    Backend, Column, History, ModuleDatabase, OpenError, Value, migration_lock::Lock, newer, sql,
};
use sqlx::{
    AssertSqlSafe, Connection, Pool, SqlSafeStr, SqlStr,
    migrate::{Migrate, MigrateError, MigrationType},
};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// One file of `migrations/<module>/`: its name, such as `0001_orders.sql`, and its text.
pub type Migration = (&'static str, &'static str);

/// The first line of a file whose statements run outside of a transaction.
const OUTSIDE: &str = "-- no-transaction";

/// How a line begins that speaks to `cargo monolift check`. It can be added to a file that was applied.
const REMARK: &str = "-- monolift:";

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
    match plan.apply::<D>(&mut connection).await {
        Ok(applied) => Ok(applied),
        Err(error) => {
            // It may hold a lock, which goes with it.
            let _ = connection.close().await;
            Err(error)
        }
    }
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
        return Err(plan.begun(begun));
    }
    let Some(first) = state.missing.first() else {
        return plan.accept::<D>(&mut connection, &state.newer).await;
    };
    let more = match state.missing.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(OpenError::new(format!(
        "it lacks the migration {}{more}, and `migrate` is \"never\": apply them first, by this program with the \
         argument `migrate`",
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
    /// One that has begun outside of a transaction, and has not ended.
    begun: Option<i64>,
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
        let mut all = Vec::with_capacity(history.migrations.len());
        for (name, text) in history.migrations {
            let (version, description) = parse_name(name)?;
            let text = without_remarks(text);
            let outside = text.starts_with(OUTSIDE);
            let sql = AssertSqlSafe(text.into_owned()).into_sql_str();
            let (description, kind) = (Cow::Owned(description), MigrationType::Simple);
            all.push(sqlx::migrate::Migration::new(version, description, kind, sql, outside));
        }
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
            // The one who writes has the lock.
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
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        };
        loop {
            let mut tx = connection.begin_with(SqlStr::from_static(begin)).await.map_err(driver)?;
            if let Some(lock) = lock
                && !lock.take_in_transaction::<D>(&mut tx).await.map_err(driver)?
            {
                // One who waits must have no transaction: an index that is built concurrently waits for all.
                tx.rollback().await.map_err(driver)?;
                Lock::pause().await;
                continue;
            }
            let table = &self.history.table;
            Migrate::ensure_migrations_table(&mut *tx, table)
                .await
                .map_err(|error| self.failed(error))?;
            let state = self.state::<D>(&mut tx).await?;
            let step = match (state.begun, state.missing.first().copied()) {
                (Some(begun), _) => return Err(self.begun(begun)),
                (None, None) => Step::Nothing(state.newer),
                (None, Some(next)) if next.no_tx => Step::Outside(next),
                (None, Some(next)) => {
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
        if let Some(lock) = lock {
            lock.take::<D>(connection).await.map_err(driver)?;
        }
        let (table, version) = (&self.history.table, migration.version);
        let state = self.state::<D>(connection).await?;
        if let Some(begun) = state.begun {
            return Err(self.begun(begun));
        }
        let is_missing = state.missing.iter().any(|missing| missing.version == version);
        if is_missing {
            let record = |done| -> Arc<str> {
                format!("UPDATE {table} SET success = {done} WHERE version = $1").into()
            };
            let mut tx = connection.begin().await.map_err(driver)?;
            Migrate::skip(&mut *tx, table, migration).await.map_err(|error| self.failed(error))?;
            let values = || vec![Value::from(version)];
            D::execute(&mut tx, record("FALSE"), values()).await.map_err(driver)?;
            tx.commit().await.map_err(driver)?;
            let text = migration.sql.as_str();
            for (at, statement) in (1..).zip(sql::statements(text)) {
                let ran = D::run(connection, statement.text.into()).await;
                ran.map_err(|error| self.half_way(version, at, statement.line, error))?;
            }
            D::execute(connection, record("TRUE"), values()).await.map_err(driver)?;
        }
        if let Some(lock) = lock {
            lock.release::<D>(connection).await.map_err(driver)?;
        }
        Ok(is_missing)
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
            return Ok(State { missing, newer: Vec::new(), begun: None });
        }
        let failed = |error| self.failed(error);
        let begun = Migrate::dirty_version(&mut *connection, table).await.map_err(failed)?;
        let applied = Migrate::list_applied_migrations(&mut *connection, table).await;
        let applied: HashMap<i64, _> =
            applied.map_err(failed)?.into_iter().map(|one| (one.version, one.checksum)).collect();
        let mut missing = Vec::new();
        for migration in &self.all {
            match applied.get(&migration.version) {
                None => missing.push(migration),
                Some(checksum) if *checksum == migration.checksum => {}
                Some(_) => {
                    return Err(OpenError::new(format!(
                        "the migration {} was changed after it was applied: restore it, and write a new one",
                        self.name(migration.version)
                    )));
                }
            }
        }
        let is_newer = |version: &i64| self.all.iter().all(|known| known.version != *version);
        let newer = applied.into_keys().filter(is_newer).collect();
        Ok(State { missing, newer, begun })
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
                let message =
                    format!("the migration {} failed, and changed nothing", self.name(version));
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

    /// One was begun earlier, and its end is not recorded.
    fn begun(&self, version: i64) -> OpenError {
        OpenError::new(format!(
            "the migration {} was begun outside of a transaction and has not ended: it still runs, or it failed, or \
             its process died. {}",
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

/// The text that is applied and compared: without the lines that speak to `cargo monolift check`.
fn without_remarks(text: &'static str) -> Cow<'static, str> {
    let is_remark = |line: &str| line.trim_start().starts_with(REMARK);
    if !text.lines().any(is_remark) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive('\n').filter(|line| !is_remark(line)).collect())
}

/// `0001_create_orders.sql` to 1 and `create orders`.
fn parse_name(name: &str) -> Result<(i64, String), OpenError> {
    let parsed = name.strip_suffix(".sql").and_then(|stem| {
        let (number, description) = stem.split_once('_')?;
        Some((number.parse().ok()?, description.replace('_', " ")))
    });
    parsed.ok_or_else(|| {
        OpenError::new(format!("the migration {name} is not named like 0001_what_it_does.sql"))
    })
}
