//! What a single value or name must be: each function gives what was read, or says what was expected.

use std::fmt;
use std::time::Duration;

use crate::address::{Address, AddressError};
use crate::connect::{Connect, ConnectError};
use crate::document::Value;
use crate::manifest::DeadlineMode;
use crate::quantity::{self, show_duration, show_size};

/// Settings have a section for each module beside these of their own, so no module can have their names.
const SETTINGS_SECTIONS: [&str; 8] =
    ["process", "modules", "calls", "limits", "tls", "data", "app", "host"];
/// A crate of the dependency graph: `cargo run -p` with this name would be ambiguous.
const AMBIGUOUS_PACKAGE: &str = "inventory";

const LONGEST_NAME: usize = 64;

pub(super) fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("must be a string, found {}", other.kind())),
    }
}

/// Lower-case kebab or snake: what Cargo, Rust, SQL schemas and host names can all bear.
pub(super) fn name(text: &str) -> Result<String, String> {
    let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
    let all_well = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if !starts_well || !all_well {
        Err(format!(
            "name `{text}` must be lower-case letters, digits, `-` and `_`, beginning with a letter"
        ))
    } else if text.len() > LONGEST_NAME {
        Err(format!("name `{text}` must have at most {LONGEST_NAME} letters"))
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
    name(key).map_err(|message| format!("module {message}"))?;
    match key.strip_suffix("-api") {
        Some(module) => {
            Err(format!("`{key}` is the name of an interface's crate: place `{module}`"))
        }
        None => Ok(()),
    }
}

pub(super) fn address(value: &Value) -> Result<Address, String> {
    text(value)?.parse().map_err(|error: AddressError| error.to_string())
}

pub(super) fn connect(value: &Value) -> Result<Connect, String> {
    text(value)?.parse().map_err(|error: ConnectError| error.to_string())
}

pub(super) fn http(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    match text.parse() {
        Ok(Address::Tcp(address)) => Ok(address),
        _ => Err(format!("expected `host:port`, found `{text}`")),
    }
}

pub(super) fn deadline_mode(value: &Value) -> Result<DeadlineMode, String> {
    match text(value)? {
        "enforce" => Ok(DeadlineMode::Enforce),
        "observe" => Ok(DeadlineMode::Observe),
        other => Err(format!("expected `enforce` or `observe`, found `{other}`")),
    }
}

pub(super) fn duration(value: &Value, least: Duration, most: Duration) -> Result<Duration, String> {
    let Value::String(text) = value else {
        return Err(format!(
            "expected a duration such as `250ms`, `5s`, `2m` or `1h`, found {}",
            value.kind()
        ));
    };
    let duration = quantity::duration(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("must be from {} to {}, found `{text}`", show_duration(least), show_duration(most)))
}

pub(super) fn size(value: &Value, least: u64, most: u64) -> Result<usize, String> {
    let (bytes, written) = match value {
        Value::String(text) => {
            (quantity::size(text).map_err(|error| error.to_string())?, text.clone())
        }
        Value::Integer(bytes) => (u64::try_from(*bytes).unwrap_or(0), bytes.to_string()),
        other => {
            return Err(format!(
                "expected a size such as `64KiB`, `4MiB` or a number of bytes, found {}",
                other.kind()
            ));
        }
    };
    let fits = (least..=most).contains(&bytes).then(|| usize::try_from(bytes).ok()).flatten();
    fits.ok_or_else(|| {
        format!("must be from {} to {}, found `{written}`", show_size(least), show_size(most))
    })
}

pub(super) fn count(value: &Value, most: usize) -> Result<usize, String> {
    number(value, 1, most)
}

pub(super) fn number<N>(value: &Value, least: N, most: N) -> Result<N, String>
where
    N: TryFrom<i64> + PartialOrd + fmt::Display,
{
    let Value::Integer(number) = value else {
        return Err(format!(
            "must be a whole number from {least} to {most}, found {}",
            value.kind()
        ));
    };
    let fits = N::try_from(*number).ok().filter(|number| (&least..=&most).contains(&number));
    fits.ok_or_else(|| format!("must be from {least} to {most}, found `{number}`"))
}
