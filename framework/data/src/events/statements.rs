//! The clock of a database, and lists of values, for the statements of events.

use crate::{Backend, Column, ModuleDatabase, Value};

/// The database's clock in milliseconds, as an expression.
pub(super) fn now(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS BIGINT)",
        Backend::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    }
}

/// Skips rows that another claim has locked. SQLite has one writer at a time.
pub(super) fn skip_locked(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "",
        Backend::Postgres => "FOR UPDATE SKIP LOCKED",
    }
}

/// The most values in one list.
pub(super) const LIST: usize = 128;

/// `$4, $5, …`, for `values` from number `from` on. The length of a list is one of a few, so that a connection keeps few
/// prepared statements. A list that is too short is filled with its last value.
pub(super) fn list(from: usize, values: &[&str]) -> (String, Vec<Value>) {
    let length = [1, 8, 32, LIST].into_iter().find(|length| *length >= values.len());
    let length = length.unwrap_or(values.len());
    let places: Vec<String> = (from..from + length).map(|number| format!("${number}")).collect();
    let last = values.last().copied().unwrap_or_default();
    let filled = (0..length).map(|at| values.get(at).copied().unwrap_or(last).into()).collect();
    (places.join(", "), filled)
}

/// The number that a statement answers with, if it answers with a row.
pub(super) async fn number<D: ModuleDatabase>(
    connection: &mut D::Connection,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<i64>, sqlx::Error> {
    let rows = D::rows(connection, sql.into(), values, &[Column::Number]).await?;
    Ok(rows.first().map(|row| row[0].number()))
}
