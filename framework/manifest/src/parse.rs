//! From the manifest's text to its types: every key known, every value in bounds, or a problem that says where.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::document::{Document, Entry, Table, Value};
use crate::manifest::{Calls, Limits, Manifest, Placement, Process, Replicas, Retries, TlsFiles};
use crate::problem::{Problem, Problems};
use crate::quantity;
use crate::suggest::nearest;

mod values;
use values::{
    address, connect, count, deadline_mode, duration, http, module_name, name, number, size, text,
};

const AN_INSTANT: Duration = Duration::from_millis(1);

pub(crate) fn manifest(text: &str, file: &Path) -> Result<Manifest, Problems> {
    let document = Document::parse(text, file)?;
    let mut parser = Parser { document: &document, problems: Problems::default() };
    let manifest = parser.manifest();
    parser.problems.0.sort_by_key(|problem| (problem.line, problem.column));
    parser.problems.unless_empty(manifest)
}

struct Parser<'a> {
    document: &'a Document,
    problems: Problems,
}

impl<'a> Parser<'a> {
    fn manifest(&mut self) -> Manifest {
        let root = &self.document.root;
        self.known(
            root,
            "at the top of a manifest",
            &["app", "host", "modules", "process", "calls", "limits", "tls"],
        );
        let app = self.value(root, "app", |value| name(text(value)?));
        let host = self.value(root, "host", |value| name(text(value)?));
        if root.get("app").is_none() {
            let problem =
                self.document.problem((1, 1), "the manifest does not name its application".into());
            self.problems
                .push(Problem { help: Some("add `app = \"…\"` at the top".into()), ..problem });
        }
        if root.get("modules").is_none() && root.get("host").is_none() {
            let problem = self.document.problem((1, 1), "the manifest places no module".into());
            self.problems.push(Problem {
                help: Some("add a [modules] table: `module = \"process\"`".into()),
                ..problem
            });
        }
        let position =
            |key: &str| root.get(key).map_or((1, 1), |entry| self.document.key_position(entry));
        let (host_position, modules_position) = (position("host"), position("modules"));
        Manifest {
            app: app.unwrap_or_default(),
            host,
            modules: self.modules(),
            processes: self.processes(),
            calls: self.calls(),
            limits: self.limits(),
            tls: self.tls(),
            file: self.document.file.clone(),
            host_position,
            modules_position,
        }
    }

    fn modules(&mut self) -> Vec<Placement> {
        let mut placements = Vec::new();
        for entry in &self.section("modules").0 {
            if let Err(message) = module_name(&entry.key) {
                self.problems
                    .push(self.document.problem(self.document.key_position(entry), message));
            }
            let process = self.entry(entry, |value| match value {
                Value::String(process) => name(process),
                other => Err(format!("must be the name of a process, found {}", other.kind())),
            });
            let (line, column) = self.document.key_position(entry);
            if let Some(process) = process {
                placements.push(Placement { module: entry.key.clone(), process, line, column });
            }
        }
        placements
    }

    fn processes(&mut self) -> BTreeMap<String, Process> {
        let mut processes = BTreeMap::new();
        for entry in &self.section("process").0 {
            let (line, column) = self.document.key_position(entry);
            if let Err(message) = name(&entry.key) {
                self.problems
                    .push(self.document.problem((line, column), format!("process {message}")));
            }
            let Value::Table(table) = &entry.value else {
                let message =
                    format!("`{}` must be a table, found {}", entry.key, entry.value.kind());
                let problem = self.document.problem(self.document.value_position(entry), message);
                self.problems.push(Problem {
                    help: Some(format!("write [process.{}]", entry.key)),
                    ..problem
                });
                continue;
            };
            self.known(
                table,
                &format!("in [process.{}]", entry.key),
                &["http", "listen", "connect", "retries", "replicas"],
            );
            let position = |key: &str| {
                table.get(key).map_or((line, column), |entry| self.document.value_position(entry))
            };
            let (http_position, listen_position) = (position("http"), position("listen"));
            let process = Process {
                http: self.value(table, "http", http),
                listen: self.value(table, "listen", address),
                connect: self.value(table, "connect", connect),
                retries: self.retries(&entry.key, table),
                replicas: self
                    .value(table, "replicas", |value| count(value, Replicas::MOST))
                    .map_or_else(Replicas::default, Replicas),
                line,
                column,
                http_position,
                listen_position,
            };
            processes.insert(entry.key.clone(), process);
        }
        processes
    }

    fn retries(&mut self, process: &str, table: &'a Table) -> Retries {
        let Some(entry) = table.get("retries") else { return Retries::default() };
        let Value::Table(table) = &entry.value else {
            let message = format!("`retries` must be a table, found {}", entry.value.kind());
            let problem = self.document.problem(self.document.value_position(entry), message);
            self.problems.push(Problem {
                help: Some(format!("write [process.{process}.retries]")),
                ..problem
            });
            return Retries::default();
        };
        self.known(
            table,
            &format!("in [process.{process}.retries]"),
            &["attempts", "percent", "per_second"],
        );
        let default = Retries::default();
        let mut number = |key, least, most, default| {
            self.value(table, key, |value| number(value, least, most)).unwrap_or(default)
        };
        Retries {
            attempts: number("attempts", 1, 10, default.attempts),
            percent: number("percent", 0, 100, default.percent),
            per_second: number("per_second", 0, 10_000, default.per_second),
        }
    }

    fn calls(&mut self) -> Calls {
        let table = self.section("calls");
        self.known(table, "in [calls]", &["deadline", "deadline_mode", "connections", "drain"]);
        let default = Calls::default();
        Calls {
            deadline: self
                .value(table, "deadline", |value| duration(value, AN_INSTANT, quantity::LONGEST))
                .unwrap_or(default.deadline),
            deadline_mode: self
                .value(table, "deadline_mode", deadline_mode)
                .unwrap_or(default.deadline_mode),
            connections: self.value(table, "connections", |value| count(value, 1024)),
            drain: self
                .value(table, "drain", |value| duration(value, Duration::ZERO, quantity::LONGEST))
                .unwrap_or(default.drain),
        }
    }

    fn limits(&mut self) -> Limits {
        let table = self.section("limits");
        self.known(
            table,
            "in [limits]",
            &[
                "frame",
                "nesting",
                "in_flight",
                "running",
                "waiting",
                "wait",
                "connections",
                "hello",
            ],
        );
        let default = Limits::default();
        Limits {
            frame: self
                .value(table, "frame", |value| size(value, 1 << 10, 1 << 30))
                .unwrap_or(default.frame),
            nesting: self
                .value(table, "nesting", |value| count(value, 128))
                .unwrap_or(default.nesting),
            in_flight: self
                .value(table, "in_flight", |value| count(value, 1 << 20))
                .unwrap_or(default.in_flight),
            running: self
                .value(table, "running", |value| count(value, 1 << 20))
                .unwrap_or(default.running),
            waiting: self
                .value(table, "waiting", |value| count(value, 1 << 20))
                .unwrap_or(default.waiting),
            wait: self
                .value(table, "wait", |value| duration(value, AN_INSTANT, quantity::LONGEST))
                .unwrap_or(default.wait),
            connections: self
                .value(table, "connections", |value| count(value, 1 << 20))
                .unwrap_or(default.connections),
            hello: self
                .value(table, "hello", |value| {
                    duration(value, AN_INSTANT, Duration::from_secs(3600))
                })
                .unwrap_or(default.hello),
        }
    }

    fn tls(&mut self) -> Option<TlsFiles> {
        const KEYS: [&str; 3] = ["authority", "certificate", "key"];
        let entry = self.document.root.get("tls")?;
        let table = self.section("tls");
        self.known(table, "in [tls]", &KEYS);
        let missing: Vec<&str> = KEYS.into_iter().filter(|key| table.get(key).is_none()).collect();
        if !missing.is_empty() {
            let message = format!("[tls] does not say `{}`", missing.join("`, `"));
            let help = "TLS takes all of `authority`, `certificate` and `key`: each a file".into();
            let problem = self.document.problem(self.document.key_position(entry), message);
            self.problems.push(Problem { help: Some(help), ..problem });
        }
        let mut file = |key| self.value(table, key, |value| text(value).map(str::to_owned));
        let (authority, certificate, key) = (file("authority"), file("certificate"), file("key"));
        Some(TlsFiles { authority: authority?.into(), certificate: certificate?, key: key? })
    }

    /// A table at the top; an empty one if it is not there.
    fn section(&mut self, key: &str) -> &'a Table {
        const NOTHING: &Table = &Table(Vec::new());
        match self.document.root.get(key) {
            None => NOTHING,
            Some(Entry { value: Value::Table(table), .. }) => table,
            Some(entry) => {
                let message = format!("`{key}` must be a table, found {}", entry.value.kind());
                self.problems
                    .push(self.document.problem(self.document.value_position(entry), message));
                NOTHING
            }
        }
    }

    fn known(&mut self, table: &Table, place: &str, known: &[&str]) {
        for entry in table.0.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("unknown key `{}` {place}", entry.key);
            let help = match nearest(&entry.key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys are `{}`", known.join("`, `")),
            };
            let problem = self.document.problem(self.document.key_position(entry), message);
            self.problems.push(Problem { help: Some(help), ..problem });
        }
    }

    fn value<T>(
        &mut self,
        table: &Table,
        key: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.entry(table.get(key)?, read)
    }

    fn entry<T>(
        &mut self,
        entry: &Entry,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        match read(&entry.value) {
            Ok(value) => Some(value),
            Err(message) => {
                let message = format!("`{}`: {message}", entry.key);
                self.problems
                    .push(self.document.problem(self.document.value_position(entry), message));
                None
            }
        }
    }
}
