//! What a name must be, and a TOML value as the keys of sections take it.

use crate::document::{Value, shown_key};
use crate::keys::Given;

/// Settings have a section for each module beside these of their own, so no module can have their names.
const SETTINGS_SECTIONS: [&str; 15] = [
    "process", "modules", "calls", "http", "identity", "observe", "log", "limits", "db", "tls",
    "insecure", "data", "app", "host", "monolift",
];
/// A crate of the dependency graph: `cargo run -p` with this name would be ambiguous.
const AMBIGUOUS_PACKAGE: &str = "inventory";

const LONGEST_NAME: usize = 64;

pub(super) fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("must be a string, found {}", other.kind())),
    }
}

pub(super) fn truth(value: &Value) -> Result<bool, String> {
    match value {
        Value::Boolean(truth) => Ok(*truth),
        other => Err(format!("must be `true` or `false`, found {}", other.kind())),
    }
}

/// Lower-case kebab or snake: what Cargo, Rust, SQL schemas and host names can all bear.
pub(super) fn name(text: &str) -> Result<String, String> {
    let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
    let all_well = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if !starts_well || !all_well {
        Err("must be lower-case letters, digits, `-` and `_`, beginning with a letter".to_owned())
    } else if text.len() > LONGEST_NAME {
        Err(format!("must have at most {LONGEST_NAME} letters"))
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn module_name(key: &str) -> Result<(), String> {
    if SETTINGS_SECTIONS.contains(&key) {
        return Err(format!(
            "no module may be named `{key}`: settings have a section of that name"
        ));
    }
    if key == AMBIGUOUS_PACKAGE {
        return Err(format!(
            "no module may be named `{key}`: the crate of that name is in the graph, and `cargo run -p {key}` would be ambiguous"
        ));
    }
    name(key).map_err(|message| format!("module name `{}` {message}", shown_key(key)))?;
    match key.strip_suffix("-api") {
        Some(module) => {
            Err(format!("`{key}` is the name of an interface's crate: place `{module}`"))
        }
        None => Ok(()),
    }
}

/// A value, for a key to read.
pub(super) fn given(value: &Value) -> Given<'_> {
    match value {
        Value::String(text) => Given::Text(text),
        Value::Boolean(truth) => Given::Truth(*truth),
        Value::Integer(number) => Given::Whole((*number).into()),
        other => Given::Other(other.kind()),
    }
}
