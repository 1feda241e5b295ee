//! What of the manifest can be replaced at the start: all but which modules are linked.

use super::{Settings, SettingsErrors};
use monolift_manifest::{Address, Connect, DeadlineMode, Manifest, TlsFiles, quantity};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Display, path::PathBuf};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProcessSettings {
    http: Option<String>,
    listen: Option<String>,
    connect: Option<String>,
    retries: RetriesSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RetriesSettings {
    attempts: Option<u32>,
    percent: Option<u32>,
    per_second: Option<u32>,
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
    running: Option<usize>,
    waiting: Option<usize>,
    wait: Option<String>,
    connections: Option<usize>,
    hello: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsSettings {
    authority: Option<PathBuf>,
    certificate: Option<String>,
    key: Option<String>,
}

/// Lays the sections `process`, `calls`, `limits` and `tls` over the manifest. All that is wrong with
/// them is said at once.
pub fn overlay(manifest: &mut Manifest, settings: &Settings) -> Result<(), SettingsErrors> {
    let mut errors = SettingsErrors::default();
    let processes: BTreeMap<String, ProcessSettings> =
        errors.keep(settings.own("process")).unwrap_or_default();
    let calls: CallsSettings = errors.keep(settings.own("calls")).unwrap_or_default();
    let limits: LimitsSettings = errors.keep(settings.own("limits")).unwrap_or_default();
    let tls: TlsSettings = errors.keep(settings.own("tls")).unwrap_or_default();
    let mut over = Over { settings, errors };
    for (name, stated) in processes {
        let at = |key: &str| format!("process.{name}.{key}");
        let process = manifest.processes.entry(name.clone()).or_default();
        process.http = stated.http.or_else(|| process.http.take());
        let listen = over.read(stated.listen, &at("listen"), str::parse::<Address>);
        process.listen = listen.or_else(|| process.listen.take());
        let connect = over.read(stated.connect, &at("connect"), str::parse::<Connect>);
        process.connect = connect.or_else(|| process.connect.take());
        let (own, retries) = (&mut process.retries, stated.retries);
        own.attempts = retries.attempts.unwrap_or(own.attempts);
        own.percent = retries.percent.unwrap_or(own.percent);
        own.per_second = retries.per_second.unwrap_or(own.per_second);
    }
    let own = &mut manifest.calls;
    over.set(&mut own.deadline, calls.deadline, "calls.deadline", quantity::duration);
    over.set(&mut own.drain, calls.drain, "calls.drain", quantity::duration);
    over.set(
        &mut own.deadline_mode,
        calls.deadline_mode,
        "calls.deadline_mode",
        |text| match text {
            "enforce" => Ok(DeadlineMode::Enforce),
            "observe" => Ok(DeadlineMode::Observe),
            _ => Err("expected `enforce` or `observe`"),
        },
    );
    own.connections = calls.connections.or(own.connections);
    let own = &mut manifest.limits;
    over.set(&mut own.frame, limits.frame, "limits.frame", |text| {
        let bytes = quantity::size(text).map_err(|error| error.to_string())?;
        usize::try_from(bytes).map_err(|error| error.to_string())
    });
    over.set(&mut own.hello, limits.hello, "limits.hello", quantity::duration);
    own.nesting = limits.nesting.unwrap_or(own.nesting);
    own.in_flight = limits.in_flight.unwrap_or(own.in_flight);
    own.running = limits.running.unwrap_or(own.running);
    own.waiting = limits.waiting.unwrap_or(own.waiting);
    over.set(&mut own.wait, limits.wait, "limits.wait", quantity::duration);
    own.connections = limits.connections.unwrap_or(own.connections);
    let stated = manifest.tls.take();
    let (authority, certificate, key) = match stated {
        Some(TlsFiles { authority, certificate, key }) => {
            (Some(authority), Some(certificate), Some(key))
        }
        None => (None, None, None),
    };
    manifest.tls =
        match (tls.authority.or(authority), tls.certificate.or(certificate), tls.key.or(key)) {
            (Some(authority), Some(certificate), Some(key)) => {
                Some(TlsFiles { authority, certificate, key })
            }
            (None, None, None) => None,
            _ => {
                let message = "it takes all of `authority`, `certificate` and `key`: each a file";
                over.errors.0.push(settings.error("tls", message.to_owned()));
                None
            }
        };
    over.errors.or(())
}

/// What is laid over, and what is wrong with it.
struct Over<'a> {
    settings: &'a Settings,
    errors: SettingsErrors,
}

impl Over<'_> {
    fn read<T, E: Display>(
        &mut self,
        text: Option<String>,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = text?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                let error = self.settings.error(key, format!("{text:?}: {error}"));
                self.errors.0.push(error);
                None
            }
        }
    }

    fn set<T, E: Display>(
        &mut self,
        place: &mut T,
        text: Option<String>,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) {
        if let Some(value) = self.read(text, key, read) {
            *place = value;
        }
    }
}
