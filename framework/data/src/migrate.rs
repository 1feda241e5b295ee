//! A module's migrations: applied when it starts, each module with its own history.

use super::{Backend, History, ModuleDatabase, OpenError, newer};
use sqlx::{
    Pool, SqlSafeStr,
    migrate::{Migrate, MigrateError, MigrationType, Migrator},
};
use std::borrow::Cow;

/// One file of `migrations/<module>/`: its name, such as `0001_orders.sql`, and its text.
pub type Migration = (&'static str, &'static str);

/// Applies what has not been applied, and writes down what was in the table of `history`. A migration
/// that was changed after it was applied is refused. Ones that only a newer release has are left
/// alone, so that releases overlap and can be rolled back: see [`newer`].
pub(super) async fn migrate<D: ModuleDatabase>(
    pool: &Pool<D>,
    backend: Backend,
    history: &History<'_>,
) -> Result<(), OpenError> {
    let History { table, migrations, .. } = history;
    if migrations.is_empty() {
        return Ok(());
    }
    let mut all = Vec::with_capacity(migrations.len());
    for (name, text) in *migrations {
        let (version, description) = parse_name(name)?;
        all.push(sqlx::migrate::Migration::new(
            version,
            Cow::Owned(description),
            MigrationType::Simple,
            text.into_sql_str(),
            false,
        ));
    }
    let mut migrator = Migrator::with_migrations(all);
    migrator.dangerous_set_table_name(table.clone());
    migrator.set_ignore_missing(true);
    // On SQLite sqlx's lock does nothing; whoever opens the file holds one of its own.
    migrator.set_locking(backend == Backend::Postgres);
    let named = |version| {
        let is = |(name, _): &&Migration| parse_name(name).is_ok_and(|(own, _)| own == version);
        migrations.iter().find(is).map_or("?", |(name, _)| name)
    };
    let failed = |error| match error {
        MigrateError::VersionMismatch(version) => OpenError::new(format!(
            "the migration {} was changed after it was applied: restore it, and write a new one",
            named(version)
        )),
        MigrateError::ExecuteMigration(error, version) => {
            OpenError::from_source(format!("the migration {} failed", named(version)), error)
        }
        error => OpenError::from_source("the migrations failed", error),
    };
    let mut connection = pool.acquire().await.map_err(MigrateError::from).map_err(failed)?;
    let migrated = migrator.run_direct(None, &mut *connection, false).await;
    if let Err(error) = migrated {
        // It may hold sqlx's lock, which goes with it.
        let _ = connection.close().await;
        return Err(failed(error));
    }
    let applied =
        Migrate::list_applied_migrations(&mut *connection, table).await.map_err(failed)?;
    let newer: Vec<i64> = applied.iter().map(|one| one.version).collect();
    let newer: Vec<i64> =
        newer.into_iter().filter(|version| !migrator.version_exists(*version)).collect();
    let known = migrator.iter().map(|one| one.version).max().unwrap_or_default();
    newer::accept::<D>(&mut connection, history, known, &newer).await
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
