//! What is wrong with an argument, in words for the client that sent it.
//!
//! No text repeats a value: it may be a secret in the wrong place, and texts end up in logs and screenshots. What serde would
//! quote is left out. What a type's own code says is kept, unless it quotes what the client sent.

use super::quotes::quotes;
use crate::http::HttpCall;
use serde::de::{Error, Expected, Unexpected};
use std::fmt;

/// The most of a message that is shown: it may be a type's own, and long.
const LONGEST: usize = 400;

/// Begins the text of an error of a type's own, while it passes through another deserializer. No JSON text of serde's
/// begins so.
const FOREIGN: char = '\u{1}';

/// Why the arguments of a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BindError {
    /// An argument is nowhere.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// What a type's own code says of a value, which may hold the value.
    #[error("{0}{1}")]
    Foreign(String, String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl BindError {
    /// What a deserializer of JSON says, whose errors were [`Plain`] on the way.
    pub(super) fn of_json(error: &impl fmt::Display) -> Self {
        let text = error.to_string();
        match text.strip_prefix(FOREIGN) {
            Some(text) => Self::Foreign(String::new(), shortened(text.to_owned())),
            None => Self::Other(shortened(text)),
        }
    }

    /// The same, of that argument.
    pub(super) fn of_argument(self, name: &str) -> Self {
        match self {
            Self::Foreign(at, text) => Self::Foreign(format!("argument `{name}`: {at}"), text),
            error => Self::Other(format!("argument `{name}`: {error}")),
        }
    }

    /// The text for the client of `call`.
    pub(super) fn told(self, call: &HttpCall) -> String {
        match self {
            Self::Foreign(at, text) if quotes(&text, call) => {
                format!("{at}the value is not one that this argument takes")
            }
            error => error.to_string(),
        }
    }
}

impl Error for BindError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Foreign(String::new(), shortened(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Other(Plain::invalid_type(found, expected).0)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Other(Plain::invalid_value(found, expected).0)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::Other(format!("invalid length {length}, expected {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Other(Plain::unknown_variant(variant, expected).0)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Other(Plain::unknown_field(field, expected).0)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Other(format!("argument `{name}` is given twice"))
    }
}

/// An error of a deserializer that does not repeat what was found.
#[derive(Debug)]
pub(super) struct Plain(String);

impl Plain {
    /// What another deserializer says. That of JSON quotes what it found where it did not ask a type.
    pub(super) fn of(error: impl fmt::Display) -> Self {
        Self(without_value(error.to_string()))
    }

    /// The same, as an error of another deserializer.
    pub(super) fn passed_on<E: Error>(self) -> E {
        E::custom(self.0)
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Plain {}

impl Error for Plain {
    fn custom<T: fmt::Display>(text: T) -> Self {
        let text = text.to_string();
        if text.starts_with(FOREIGN) { Self(text) } else { Self(format!("{FOREIGN}{text}")) }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid type: {}, expected {expected}", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid value: {}, expected {expected}", kind(found)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self(format!("invalid length {length}, expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        match expected {
            [] => Self("unknown variant, there are none".to_owned()),
            expected => Self(format!("unknown variant, expected {}", one_of(expected))),
        }
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        match expected {
            [] => Self("unknown field, there are none".to_owned()),
            expected => Self(format!("unknown field, expected {}", one_of(expected))),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("missing field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("duplicate field `{field}`"))
    }
}

/// `invalid type: string "7", expected u32` without the 7. What is expected is the type's, and stands at the end.
fn without_value(text: String) -> String {
    let told = ["invalid type: ", "invalid value: "].into_iter().find_map(|begin| {
        let (found, expected) = text.strip_prefix(begin)?.rsplit_once(", expected ")?;
        let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
        Some(format!("{begin}{kind}, expected {expected}"))
    });
    told.unwrap_or(text)
}

fn one_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [one, other] => format!("{one} or {other}"),
        names => names.join(", "),
    }
}

/// What was found, as serde calls it and without its value.
fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "floating point",
        Unexpected::Char(_) | Unexpected::Str(_) => "string",
        Unexpected::Bytes(_) => "byte array",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "sequence",
        Unexpected::Map => "map",
        _ => "something else",
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}
