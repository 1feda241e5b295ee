//! A module's migrations: applied when it starts or by a job, each module with its own history.
//!
//! A migration is applied in a transaction that holds the lock and writes the record. One whose file begins with
//! `-- no-transaction` is recorded as begun first, and as done when its last statement is.
//!
//! All else is in transactions, so that it can be done on a shared pool and through a pooler.

mod told;

use self::told::driver;
use super::{
    Backend, Column, Db, History, ModuleDatabase, OpenError, Value,
    begins::Begins,
    migration_file,
    migration_lock::{Lock, Waiting},
    newer, sql,
};
use sqlx::{Connection, migrate::Migrate};
use std::{collections::HashMap, sync::Arc};

/// Applies what has not been applied, writes down what was in the table of `history`, and returns the names. A
/// migration that was changed after it was applied is refused. Ones that only a newer release has are left
/// alone, so that releases overlap and can be rolled back: see [`newer`].
pub(super) async fn migrate<D: ModuleDatabase>(
    db: &Db<D>,
    history: &History<'_>,
) -> Result<Vec<&'static str>, OpenError> {
    let Some(plan) = Plan::of(history, db)? else { return Ok(Vec::new()) };
    let mut connection = db.pool().acquire().await.map_err(|error| plan.failed(error.into()))?;
    let result = plan.apply::<D>(&mut connection).await;
    let was_used = !matches!(&result, Ok(applied) if applied.is_empty());
    if was_used && outlives_its_connections::<D>(&mut connection, db.backend()).await {
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
    db: &Db<D>,
    history: &History<'_>,
) -> Result<(), OpenError> {
    let Some(plan) = Plan::of(history, db)? else { return Ok(()) };
    let backend = db.backend();
    let mut connection = db.pool().acquire().await.map_err(|error| plan.failed(error.into()))?;
    let mut tx = connection.begin_with(plan.begins.read.clone()).await.map_err(driver)?;
    let state = plan.state::<D>(&mut tx).await?;
    if let Some(begun) = state.begun {
        let is_running = match backend {
            Backend::Postgres => {
                let lock = Lock::of::<D>(&mut tx).await.map_err(driver)?;
                lock.is_taken::<D>(&mut tx).await.map_err(driver)?
            }
            Backend::Sqlite => false,
        };
        return Err(if is_running { plan.running(begun) } else { plan.begun(begun) });
    }
    let Some(first) = state.missing.first() else {
        plan.accept::<D>(&mut tx, &state.newer).await?;
        return tx.commit().await.map_err(driver);
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
    begins: &'a Begins,
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
    fn of<D: ModuleDatabase>(
        history: &'a History<'a>,
        db: &'a Db<D>,
    ) -> Result<Option<Self>, OpenError> {
        if history.migrations.is_empty() {
            return Ok(None);
        }
        let mut all: Vec<_> =
            history.migrations.iter().map(migration_file::parse).collect::<Result<_, _>>()?;
        all.sort();
        Ok(Some(Self { history, backend: db.backend(), begins: &db.begins, all }))
    }

    /// Applies what is missing. Where nothing is, this only reads.
    async fn apply<D: ModuleDatabase>(
        &self,
        connection: &mut D::Connection,
    ) -> Result<Vec<&'static str>, OpenError> {
        let mut tx = connection.begin_with(self.begins.read.clone()).await.map_err(driver)?;
        let state = self.state::<D>(&mut tx).await?;
        if state.missing.is_empty() && state.begun.is_none() {
            self.accept::<D>(&mut tx, &state.newer).await?;
            tx.commit().await.map_err(driver)?;
            return Ok(Vec::new());
        }
        let lock = match self.backend {
            Backend::Postgres => Some(Lock::of::<D>(&mut tx).await.map_err(driver)?),
            // A transaction that writes has SQLite's own lock.
            Backend::Sqlite => None,
        };
        tx.commit().await.map_err(driver)?;
        if self.begins.role.is_some()
            && let Some(outside) = state.missing.iter().find(|one| one.no_tx)
        {
            return Err(self.needs_its_own_connection(outside.version));
        }
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
            let mut tx =
                connection.begin_with(self.begins.migrate.clone()).await.map_err(driver)?;
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
        let mut tx = connection.begin_with(self.begins.migrate.clone()).await.map_err(driver)?;
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
}
