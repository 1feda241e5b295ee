//! A module's migrations: applied when it starts, each module with its own history.

use super::{Backend, OpenError};
use sqlx::{
    Database, Pool, SqlSafeStr,
    migrate::{Migrate, MigrationType, Migrator},
};
use std::borrow::Cow;

/// One file of `migrations/<module>/`: its name, such as `0001_orders.sql`, and its text.
pub type Migration = (&'static str, &'static str);

/// Applies what has not been applied. A migration that was changed after it was applied is refused;
/// ones that only a newer release has are left alone, so that a release can be rolled back.
pub async fn migrate<D>(
    pool: &Pool<D>,
    backend: Backend,
    migrations: &[Migration],
) -> Result<(), OpenError>
where
    D: Database,
    D::Connection: Migrate,
{
    if migrations.is_empty() {
        return Ok(());
    }
    let mut all = Vec::with_capacity(migrations.len());
    for (name, text) in migrations {
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
    migrator.set_ignore_missing(true);
    // On SQLite sqlx's lock does nothing; whoever opens the file holds one of its own.
    migrator.set_locking(backend == Backend::Postgres);
    migrator.run(pool).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::VersionMismatch(version) => {
            let of_version = |(name, _): &&Migration| {
                parse_name(name).is_ok_and(|(number, _)| number == version)
            };
            let name = migrations.iter().find(of_version).map_or("?", |(name, _)| name);
            OpenError::new(format!(
                "the migration {name} was changed after it was applied: restore it, and write a \
                 new one"
            ))
        }
        error => OpenError::from_source("the migrations failed", error),
    })
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
