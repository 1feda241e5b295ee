//! What is wrong with an argument, in words for the client that sent it.

use std::fmt;

/// The most of a message that is shown: it may quote what a client sent, which may be long.
const LONGEST: usize = 400;

/// Why the arguments of a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BindError {
    /// An argument is nowhere.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl BindError {
    pub(super) fn of_json(error: &serde_json::Error) -> Self {
        Self::Other(shortened(error.to_string()))
    }

    /// The same, of that argument.
    pub(super) fn of_argument(self, name: &str) -> Self {
        Self::Other(format!("argument `{name}`: {self}"))
    }
}

impl serde::de::Error for BindError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Other(shortened(text.to_string()))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Other(format!("argument `{name}` is given twice"))
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}
