//! Internal errors. They are logged in full under a reference number, which is all that callers
//! get.

use super::chance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{any::Any, error::Error, fmt, panic::Location};

/// The number under which an internal error was logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Reference(u64);

impl Reference {
    #[doc(hidden)]
    pub fn random() -> Self {
        Self(chance::number())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// As it is shown everywhere else, so that one search finds every line about it.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What is known of a database's error: its codes are fields of the log line, so that a search finds them.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// PostgreSQL's code.
    pub(super) sqlstate: Option<String>,
    /// SQLite's code.
    pub(super) sqlite_code: Option<String>,
    /// The constraint that it is about.
    pub(super) constraint: Option<String>,
    /// Whether the data causes it: a value that its column does not take, a constraint that is
    /// violated. It would come again with the same data, from any replica.
    pub(super) of_the_data: bool,
    /// Whether another transaction causes it. The same transaction can succeed if it runs again.
    #[cfg(feature = "sqlx")]
    pub(super) conflict: bool,
}

/// Writes a line with the fields that every line about an internal error has.
macro_rules! log_line {
    ($level:ident, $reference:expr, $known:expr, $at:expr, $($text:tt)*) => {{
        let trace = super::current_trace();
        let known: Option<&Known> = $known;
        tracing::$level!(
            reference = %$reference,
            at = $at.map(tracing::field::display),
            trace = trace.as_deref(),
            sqlstate = known.and_then(|known| known.sqlstate.as_deref()),
            sqlite_code = known.and_then(|known| known.sqlite_code.as_deref()),
            constraint = known.and_then(|known| known.constraint.as_deref()),
            $($text)*
        );
    }};
}

/// Writes an internal error to the log.
pub(super) fn log(
    reference: Reference,
    details: &str,
    database: Option<&Known>,
    at: Option<&Location<'_>>,
) {
    log_line!(error, reference, database, at, "internal error: {details}");
}

/// Logs that a database refused the data of a call. This is no failure of the process.
pub(super) fn log_refused_data(
    reference: Reference,
    details: &str,
    database: &Known,
    at: &Location<'_>,
) {
    log_line!(
        warn,
        reference,
        Some(database),
        Some(at),
        "the database refused the data: {details}"
    );
}

/// Logs that a transaction conflicted with another one. It is about to run again.
#[cfg(feature = "sqlx")]
pub(super) fn log_conflict(
    reference: Reference,
    details: &str,
    database: &Known,
    at: &Location<'_>,
) {
    log_line!(info, reference, Some(database), Some(at), "transactions conflict: {details}");
}

/// An error and all its sources in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The text of a panic.
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
