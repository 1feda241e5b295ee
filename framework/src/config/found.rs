//! What was found where something else was expected: its kind or its name, never its value.

use figment::value::Value;
use monolift_manifest::{Given, nearest};

/// A value, for a key of the manifest to read.
pub(super) fn given(value: &Value) -> Given<'_> {
    match value {
        Value::String(_, text) => Given::Text(text),
        Value::Num(_, number) => match (number.to_u128(), number.to_i128()) {
            (Some(number), _) => Given::Whole(i128::try_from(number).unwrap_or(i128::MAX)),
            (None, Some(number)) => Given::Whole(number),
            (None, None) => Given::Other("a float"),
        },
        Value::Bool(_, truth) => Given::Truth(*truth),
        Value::Char(..) => Given::Other("a character"),
        Value::Empty(..) => Given::Other("nothing"),
        Value::Dict(..) => Given::Other("a section"),
        Value::Array(..) => Given::Other("a list"),
    }
}

/// An unknown key, and which one may be meant.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key: did you mean `{near}`?"),
        None if known.is_empty() => "unknown key: there are none".to_owned(),
        None => format!("unknown key: there are {}", known.join(", ")),
    }
}
