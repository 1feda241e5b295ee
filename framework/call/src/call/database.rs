//! What a database's error is to the callers of the module that met it.

use super::error::Known;
use sqlx::error::ErrorKind;
use std::error::Error;

/// What is known of the database's error that `error` is, or comes from.
pub(super) fn known(error: &(dyn Error + 'static)) -> Option<Known> {
    let mut error = error;
    let error = loop {
        match error.downcast_ref::<sqlx::Error>() {
            Some(error) => break error,
            None => error = error.source()?,
        }
    };
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::Encode(_) => {
            let details = "a value cannot be encoded".to_owned();
            return Some(Known { details, of_the_data: true });
        }
        _ => return None,
    };
    let code = error.code()?;
    let constraint = error.constraint().map(|name| format!(", constraint {name}"));
    // SQLSTATE has five characters; what SQLite has is a number of at most four.
    let (system, class) = match code.len() {
        5 => ("SQLSTATE", matches!(&code[..2], "22" | "23")),
        _ => ("SQLite's code", code.parse().is_ok_and(is_of_the_data)),
    };
    let details = format!("{system} {code}{}", constraint.unwrap_or_default());
    let of_the_data = class || !matches!(error.kind(), ErrorKind::Other);
    Some(Known { details, of_the_data })
}

/// SQLite's codes: a constraint, a value of the wrong type, and one that is too long. What is added to
/// them above the lowest byte says which constraint it was.
fn is_of_the_data(code: u32) -> bool {
    const TOO_BIG: u32 = 18;
    const CONSTRAINT: u32 = 19;
    const MISMATCH: u32 = 20;
    matches!(code & 0xff, TOO_BIG | CONSTRAINT | MISMATCH)
}
