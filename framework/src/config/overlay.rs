//! What of the manifest can be replaced at the start: all but which modules are linked.

use super::{Settings, SettingsError};
use monolift_manifest::{Address, DeadlineMode, Manifest, quantity};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Display};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProcessSettings {
    http: Option<String>,
    listen: Option<String>,
    connect: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CallsSettings {
    deadline: Option<String>,
    deadline_mode: Option<String>,
    connections: Option<usize>,
    drain: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsSettings {
    frame: Option<String>,
    nesting: Option<usize>,
    in_flight: Option<usize>,
    connections: Option<usize>,
    hello: Option<String>,
}

/// Lays the sections `process`, `calls` and `limits` over the manifest.
pub fn overlay(manifest: &mut Manifest, settings: &Settings) -> Result<(), SettingsError> {
    let processes: BTreeMap<String, ProcessSettings> = settings.own("process")?;
    for (name, over) in processes {
        let at = |key: &str| format!("process.{name}.{key}");
        let process = manifest.processes.entry(name.clone()).or_default();
        if let Some(http) = over.http {
            process.http = Some(http);
        }
        set_some(&mut process.listen, over.listen, &at("listen"), str::parse::<Address>)?;
        set_some(&mut process.connect, over.connect, &at("connect"), str::parse::<Address>)?;
    }
    let calls: CallsSettings = settings.own("calls")?;
    set(&mut manifest.calls.deadline, calls.deadline, "calls.deadline", quantity::duration)?;
    set(&mut manifest.calls.drain, calls.drain, "calls.drain", quantity::duration)?;
    set(&mut manifest.calls.deadline_mode, calls.deadline_mode, "calls.deadline_mode", |text| {
        match text {
            "enforce" => Ok(DeadlineMode::Enforce),
            "observe" => Ok(DeadlineMode::Observe),
            _ => Err("expected `enforce` or `observe`"),
        }
    })?;
    manifest.calls.connections = calls.connections.or(manifest.calls.connections);
    let limits: LimitsSettings = settings.own("limits")?;
    set(&mut manifest.limits.frame, limits.frame, "limits.frame", |text| {
        let bytes = quantity::size(text).map_err(|error| error.to_string())?;
        usize::try_from(bytes).map_err(|error| error.to_string())
    })?;
    set(&mut manifest.limits.hello, limits.hello, "limits.hello", quantity::duration)?;
    manifest.limits.nesting = limits.nesting.unwrap_or(manifest.limits.nesting);
    manifest.limits.in_flight = limits.in_flight.unwrap_or(manifest.limits.in_flight);
    manifest.limits.connections = limits.connections.unwrap_or(manifest.limits.connections);
    Ok(())
}

fn set<T, E: Display>(
    place: &mut T,
    text: Option<String>,
    key: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<(), SettingsError> {
    if let Some(text) = text {
        *place =
            read(&text).map_err(|error| SettingsError(format!("{key} = {text:?}: {error}")))?;
    }
    Ok(())
}

fn set_some<T, E: Display>(
    place: &mut Option<T>,
    text: Option<String>,
    key: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<(), SettingsError> {
    if let Some(text) = text {
        let mut read_text = None;
        set(&mut read_text, Some(text), key, |text| read(text).map(Some))?;
        *place = read_text;
    }
    Ok(())
}
