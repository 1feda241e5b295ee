//! A violated constraint as an error of the module's own.

use sqlx::error::DatabaseError;

/// Turns the violation of a constraint into an error of the module's own; the other errors of a
/// database become internal ones, as with `?`.
///
/// ```
/// # use monolift_call::{CallError, InterfaceError}; use monolift_data::{Db, OnConstraint};
/// # #[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, schemars::JsonSchema, InterfaceError)]
/// # pub enum UsersError { #[error("taken")] Taken, #[error(transparent)] Call(CallError) }
/// # async fn register(db: Db, email: String) -> Result<(), UsersError> {
/// sqlx::query("INSERT INTO users (email) VALUES ($1)")
///     .bind(email)
///     .execute(&mut *db.connection().await?)
///     .await
///     .on_constraint("users_email_key", |_| UsersError::Taken)?;
/// # Ok(()) }
/// ```
pub trait OnConstraint<T> {
    /// The error is `error` where the constraint `name` is violated.
    ///
    /// The name is the one that PostgreSQL knows it by: its own, or, where it has none,
    /// `<table>_<columns>_key` of a UNIQUE and `<table>_pkey` of a primary key. SQLite tells only
    /// tables and columns, so there it is made of those: give a UNIQUE no other name.
    fn on_constraint<E: From<sqlx::Error>>(
        self,
        name: &str,
        error: impl FnOnce(&dyn DatabaseError) -> E,
    ) -> Result<T, E>;
}

impl<T> OnConstraint<T> for Result<T, sqlx::Error> {
    #[track_caller]
    fn on_constraint<E: From<sqlx::Error>>(
        self,
        name: &str,
        error: impl FnOnce(&dyn DatabaseError) -> E,
    ) -> Result<T, E> {
        match self {
            Ok(done) => Ok(done),
            Err(sqlx::Error::Database(violated)) if is_of(&*violated, name) => {
                Err(error(&*violated))
            }
            Err(other) => Err(other.into()),
        }
    }
}

fn is_of(violated: &dyn DatabaseError, name: &str) -> bool {
    match violated.constraint() {
        Some(constraint) => constraint == name,
        None => {
            let code = violated.code().unwrap_or_default();
            told_by_sqlite(violated.message(), &code).is_some_and(|told| told == name)
        }
    }
}

/// The name of the constraint that SQLite's message is about, as PostgreSQL would give it.
fn told_by_sqlite(message: &str, code: &str) -> Option<String> {
    if let Some(check) = message.strip_prefix("CHECK constraint failed: ") {
        return Some(check.to_owned());
    }
    let unique = message.strip_prefix("UNIQUE constraint failed: ")?;
    if let Some(index) = unique.strip_prefix("index '") {
        return Some(index.trim_end_matches('\'').to_owned());
    }
    let mut columns = unique.split(", ").filter_map(|column| column.split_once('.'));
    let (table, first) = columns.next()?;
    // Of a primary key, and of one that is the row's number.
    if matches!(code, "1555" | "2579") {
        return Some(format!("{table}_pkey"));
    }
    let rest = columns.fold(first.to_owned(), |all, (_, column)| all + "_" + column);
    Some(format!("{table}_{rest}_key"))
}

#[cfg(test)]
mod tests {
    use super::told_by_sqlite;

    #[test]
    fn what_sqlite_says_has_the_name_that_postgres_gives() {
        let told = |message: &str, code: &str| told_by_sqlite(message, code).unwrap_or_default();
        let unique = |rest: &str| format!("UNIQUE constraint failed: {rest}");
        assert_eq!(told(&unique("users.email"), "2067"), "users_email_key");
        assert_eq!(told(&unique("a.b, a.c"), "2067"), "a_b_c_key");
        assert_eq!(told(&unique("users.id"), "1555"), "users_pkey");
        assert_eq!(told(&unique("index 'lower_name'"), "2067"), "lower_name");
        assert_eq!(told("CHECK constraint failed: positive", "275"), "positive");
        assert_eq!(told("NOT NULL constraint failed: users.id", "1299"), "");
    }
}
