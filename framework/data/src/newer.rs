//! Migrations that only a newer release has: may this release use what they leave?
//!
//! A module's own migrations are its author's affair, so those are warned of. The framework's state in a
//! table which versions can still use the tables after them.

use super::{Column, History, ModuleDatabase, OpenError};
use std::collections::HashMap;

/// Goes on or refuses. `known` is the last migration of this release, `newer` are the ones that it lacks.
pub(super) async fn accept<D: ModuleDatabase>(
    connection: &mut D::Connection,
    history: &History<'_>,
    known: i64,
    newer: &[i64],
) -> Result<(), OpenError> {
    let Some(&newest) = newer.iter().max() else { return Ok(()) };
    let Some(table) = history.readers else {
        tracing::warn!(
            history = history.table,
            migrations = ?newer,
            "this database has migrations that this release does not know: a newer one was here"
        );
        return Ok(());
    };
    let sql = format!("SELECT version, readable_since FROM {table}");
    const COLUMNS: &[Column] = &[Column::Number, Column::Number];
    let rows = D::rows(connection, sql.into(), Vec::new(), COLUMNS).await.map_err(|error| {
        OpenError::from_source(format!("the versions of Monolift's tables ({table})"), error)
    })?;
    let stated = rows.iter().map(|row| (row[0].number(), row[1].number())).collect();
    let needed = needed(newer, &stated);
    if known < needed {
        return Err(OpenError::new(format!(
            "Monolift's tables in it have version {newest}, which releases can use from version {needed} \
             on, and this program was built with version {known}: build it with the release of Monolift \
             that the other processes have, and upgrade by one release at a time"
        )));
    }
    tracing::warn!(
        version = newest,
        known,
        "Monolift's tables in this database have a newer version, which this release can use"
    );
    Ok(())
}

/// The oldest version that can use the tables after the migrations `newer`. One that states nothing is for
/// releases that know it.
fn needed(newer: &[i64], stated: &HashMap<i64, i64>) -> i64 {
    newer.iter().map(|version| *stated.get(version).unwrap_or(version)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::needed;
    use std::collections::HashMap;

    #[test]
    fn the_strictest_of_the_newer_migrations_decides() {
        let stated = HashMap::from([(2, 1), (3, 3), (4, 1)]);
        assert_eq!(needed(&[2], &stated), 1);
        assert_eq!(needed(&[2, 3, 4], &stated), 3);
        assert_eq!(needed(&[4], &stated), 1);
    }

    #[test]
    fn a_migration_that_states_nothing_is_for_releases_that_know_it() {
        assert_eq!(needed(&[2, 5], &HashMap::from([(2, 1)])), 5);
    }
}
