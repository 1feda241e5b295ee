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

/// Writes an internal error to the log.
pub(super) fn log(reference: Reference, details: &str, at: Option<&Location<'_>>) {
    let trace = super::Context::current().map(|context| context.trace().to_string());
    tracing::error!(
        %reference,
        at = at.map(tracing::field::display),
        trace = trace.as_deref(),
        "internal error: {details}"
    );
}

/// Logs that a database refused the data of a call. This is no failure of the process.
pub(super) fn log_refused_data(reference: Reference, details: &str, at: &Location<'_>) {
    let trace = super::Context::current().map(|context| context.trace().to_string());
    tracing::warn!(
        %reference,
        at = tracing::field::display(at),
        trace = trace.as_deref(),
        "the database refused the data: {details}"
    );
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
