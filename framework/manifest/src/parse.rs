//! From the manifest's text to its types: every key known, every value in bounds, or a problem that says where.

use std::collections::BTreeMap;
use std::path::Path;

use crate::document::{Document, Entry, Table, Value, shown_key};
use crate::identity::Identity;
use crate::keys::Section;
use crate::manifest::{Manifest, Placement, Process, TlsFiles};
use crate::problem::{Problem, Problems, UNKNOWN_KEY};
use crate::sections::{IdentityKeys, IssuerKeys, Otlp, TlsKeys};
use crate::suggest::nearest;

mod values;
use values::{given, module_name, name, text, truth};

/// As the value of `tls`: a service mesh encrypts.
pub const MESH: &str = "mesh";

/// A manifest, and what is wrong with its text.
pub(crate) struct Parsed {
    pub(crate) manifest: Manifest,
    pub(crate) problems: Problems,
    /// Whether the mistakes leave the modules and processes as they were meant. Otherwise what a check of the
    /// graph finds may follow from these mistakes.
    pub(crate) graph_is_known: bool,
}

pub(crate) fn manifest(text: &str, file: &Path) -> Result<Parsed, Problems> {
    let document = Document::parse(text, file)?;
    let mut parser =
        Parser { document: &document, problems: Problems::default(), graph_is_known: true };
    let manifest = parser.manifest();
    let Parser { mut problems, graph_is_known, .. } = parser;
    problems.0.sort_by_key(|problem| (problem.line, problem.column));
    Ok(Parsed { manifest, problems, graph_is_known })
}

struct Parser<'a> {
    document: &'a Document,
    problems: Problems,
    graph_is_known: bool,
}

impl<'a> Parser<'a> {
    fn manifest(&mut self) -> Manifest {
        let root = &self.document.root;
        self.known(
            root,
            "at the top of a manifest",
            &[
                "app", "host", "modules", "process", "calls", "http", "identity", "log", "observe",
                "limits", "db", "tls", "insecure",
            ],
        );
        self.graph_is_known = !root.0.iter().any(|entry| {
            let near = nearest(&entry.key, ["host", "modules", "process"]);
            near.is_some_and(|near| near != entry.key)
        });
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
        let (modules, processes) = (self.modules(), self.processes());
        self.graph_is_known &= self.problems.0.iter().all(|problem| problem.is_unknown_key());
        Manifest {
            app: app.unwrap_or_default(),
            host,
            modules,
            processes,
            calls: self.top_section("calls"),
            http: self.top_section("http"),
            identity: self.identity(),
            observe: self.section_with("observe", &["otlp"]),
            otlp: match root.get("observe") {
                Some(Entry { value: Value::Table(observe), .. }) => {
                    self.nested("observe", observe, "otlp")
                }
                _ => Otlp::default(),
            },
            log: self.top_section("log"),
            limits: self.top_section("limits"),
            db: self.top_section("db"),
            mesh: self.says_mesh(),
            tls: self.tls(),
            insecure: self.value(root, "insecure", truth).unwrap_or_default(),
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
                self.problems.push(self.document.problem(
                    (line, column),
                    format!("process name `{}` {message}", shown_key(&entry.key)),
                ));
            }
            let Value::Table(table) = &entry.value else {
                let key = shown_key(&entry.key);
                let message = format!("`{key}` must be a table, found {}", entry.value.kind());
                let problem = self.document.problem(self.document.value_position(entry), message);
                self.problems
                    .push(Problem { help: Some(format!("write [process.{key}]")), ..problem });
                continue;
            };
            let known = [&Process::names()[..], &["retries"]].concat();
            self.known(table, &format!("in [process.{}]", shown_key(&entry.key)), &known);
            self.graph_is_known &= table.0.iter().all(|entry| {
                known.contains(&entry.key.as_str())
                    || nearest(&entry.key, known.iter().copied()).is_none()
            });
            let position = |key: &str| {
                table.get(key).map_or((line, column), |entry| self.document.value_position(entry))
            };
            let (http_position, listen_position) = (position("http"), position("listen"));
            let admin_position = position("admin");
            let mut process = Process {
                retries: self.nested(&format!("process.{}", entry.key), table, "retries"),
                line,
                column,
                http_position,
                listen_position,
                admin_position,
                ..Process::default()
            };
            self.keys(table, &mut process);
            processes.insert(entry.key.clone(), process);
        }
        processes
    }

    /// A section within the table that stands at `above`: `[process.orders.retries]`.
    fn nested<S: Section + Default>(&mut self, above: &str, table: &'a Table, name: &str) -> S {
        let Some(entry) = table.get(name) else { return S::default() };
        let Value::Table(table) = &entry.value else {
            let message = format!("`{name}` must be a table, found {}", entry.value.kind());
            let problem = self.document.problem(self.document.value_position(entry), message);
            self.problems
                .push(Problem { help: Some(format!("write [{above}.{name}]")), ..problem });
            return S::default();
        };
        self.known(table, &format!("in [{above}.{name}]"), &S::names());
        let mut section = S::default();
        self.keys(table, &mut section);
        section
    }

    fn identity(&mut self) -> Identity {
        const ISSUERS: &str = "issuers";
        let table = self.section("identity");
        let known = [&IdentityKeys::names()[..], &[ISSUERS]].concat();
        self.known(table, "in [identity]", &known);
        let mut identity = Identity {
            stated: self.document.root.get("identity").is_some(),
            ..Identity::default()
        };
        self.keys(table, &mut identity.keys);
        let Some(entry) = table.get(ISSUERS) else { return identity };
        let no_table = |parser: &mut Self, entry: &Entry| {
            let (key, kind) = (shown_key(&entry.key), entry.value.kind());
            let position = parser.document.value_position(entry);
            let message = format!("`{key}` must be a table, found {kind}");
            parser.problems.push(parser.document.problem(position, message));
        };
        let Value::Table(issuers) = &entry.value else {
            no_table(self, entry);
            return identity;
        };
        for entry in &issuers.0 {
            let Value::Table(table) = &entry.value else {
                no_table(self, entry);
                continue;
            };
            let place = format!("in [identity.issuers.{}]", shown_key(&entry.key));
            self.known(table, &place, &IssuerKeys::names());
            let mut issuer = IssuerKeys::default();
            self.keys(table, &mut issuer);
            identity.issuers.insert(entry.key.clone(), issuer);
        }
        identity
    }

    /// A section that stands at the top: all its keys, and no others.
    fn top_section<S: Section + Default>(&mut self, name: &str) -> S {
        self.section_with(name, &[])
    }

    /// The same, beside `others`, which are read elsewhere.
    fn section_with<S: Section + Default>(&mut self, name: &str, others: &[&str]) -> S {
        let table = self.section(name);
        self.known(table, &format!("in [{name}]"), &[&S::names()[..], others].concat());
        let mut section = S::default();
        self.keys(table, &mut section);
        section
    }

    /// Reads the keys that `table` has into `section`.
    fn keys<S: Section>(&mut self, table: &Table, section: &mut S) {
        for key in S::KEYS {
            self.value(table, key.name, |value| key.set(section, given(value)));
        }
        if let Some((key, message)) = section.contradiction() {
            let at = table.get(key).or(table.0.first());
            let position = at.map_or((1, 1), |entry| self.document.value_position(entry));
            self.problems.push(self.document.problem(position, format!("`{key}`: {message}")));
        }
    }

    /// Whether `tls` is not a table, but says that the network encrypts.
    fn says_mesh(&mut self) -> bool {
        matches!(self.document.root.get("tls"), Some(Entry { value: Value::String(text), .. }) if text == MESH)
    }

    fn tls(&mut self) -> Option<TlsFiles> {
        let entry = self.document.root.get("tls")?;
        if let Value::String(text) = &entry.value {
            if text != MESH {
                let message = format!("`tls` must be a table, or `{MESH}`");
                let position = self.document.value_position(entry);
                self.problems.push(self.document.problem(position, message));
            }
            return None;
        }
        let before = self.problems.0.len();
        let keys: TlsKeys = self.top_section("tls");
        match keys.files() {
            // A key that cannot be read is not missing as well.
            Err(_) if self.problems.0.len() > before => None,
            Ok(Some(files)) => Some(files),
            missing => {
                let missing = missing.err().unwrap_or_else(TlsKeys::names);
                let message = format!("[tls] does not say `{}`", missing.join("`, `"));
                let problem = self.document.problem(self.document.key_position(entry), message);
                self.problems.push(Problem { help: Some(TlsKeys::HELP.into()), ..problem });
                None
            }
        }
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
            let message = format!("{UNKNOWN_KEY}`{}` {place}", shown_key(&entry.key));
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
                let message = format!("`{}`: {message}", shown_key(&entry.key));
                self.problems
                    .push(self.document.problem(self.document.value_position(entry), message));
                None
            }
        }
    }
}
