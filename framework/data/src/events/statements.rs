//! The clock of a database, and lists of values, for the statements of events.

use crate::{Backend, Column, ModuleDatabase, Value};

/// The database's clock in milliseconds, as an expression.
pub(super) fn now(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS BIGINT)",
        Backend::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    }
}

/// Locks the rows of a question. SQLite has one writer at a time.
pub(super) fn for_update(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "",
        Backend::Postgres => "FOR UPDATE",
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

/// The same values, with the last one repeated until they are as many as one of a few lengths. So a connection keeps few
/// prepared statements.
pub(super) fn filled<T: Copy>(values: &[T]) -> impl Iterator<Item = T> {
    let length = [1, 8, 32, 64, LIST].into_iter().find(|length| *length >= values.len());
    let missing = length.unwrap_or_default().saturating_sub(values.len());
    let last = values.last().copied();
    values.iter().copied().chain(last.into_iter().cycle().take(missing))
}

/// `$4, $5, …`, for `values` from number `from` on, which are filled.
pub(super) fn list(from: usize, values: &[&str]) -> (String, Vec<Value>) {
    let filled: Vec<Value> = filled(values).map(Value::from).collect();
    let places: Vec<String> =
        (from..from + filled.len()).map(|number| format!("${number}")).collect();
    (places.join(", "), filled)
}

/// That `column` is one of `ids`, which are in order, and in the range that they span. PostgreSQL goes to that range, also
/// without statistics of the table: by the list alone it would then read all rows of a module.
pub(super) fn among(column: &str, from: usize, ids: &[&str]) -> (String, Vec<Value>) {
    let (places, mut values) = list(from + 2, ids);
    let ends = [ids.first(), ids.last()].map(|end| Value::from(end.copied().unwrap_or_default()));
    values.splice(0..0, ends);
    let condition =
        format!("{column} >= ${from} AND {column} <= ${} AND {column} IN ({places})", from + 1);
    (condition, values)
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
