//! What one changed file reaches. The first rule that knows a file decides; a file that no rule knows reaches every
//! process.

use super::{
    Deployment,
    changes::Changes,
    lock::Lock,
    manifests::{self, Reached},
    members::Members,
};
use monolift_manifest::Manifest;
use std::{collections::BTreeSet, path::Path};
use toml::{Table, Value};

/// What a file reaches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Every process, with the reason.
    All(String),
    /// What is compiled from this package. The text says what of it.
    Package(String, String),
    /// This process, with the reason.
    Process(String, String),
    /// Nothing, with the reason.
    None(String),
}

/// What the rules know.
pub(super) struct Rules<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) changes: &'a Changes,
    pub(super) members: &'a Members,
    pub(super) lock: &'a Lock,
}

/// Files of tools that change no program.
const TOOLS: [&str; 6] = [
    ".editorconfig",
    "clippy.toml",
    ".clippy.toml",
    "rustfmt.toml",
    ".rustfmt.toml",
    "settings.reference.toml",
];

impl Rules<'_> {
    /// What a changed file reaches: at least one effect.
    pub(super) fn effects(&self, file: &str) -> Vec<Effect> {
        let all = |why: &str| vec![Effect::All(why.to_owned())];
        if file == self.deployment.file {
            return self.manifest(file);
        }
        let path = Path::new(file);
        let named = self.members.compiled_from(path);
        if !named.is_empty() {
            let of = |package: &str| package_is(package, "it is compiled into a program");
            return named.into_iter().map(of).collect();
        }
        match file {
            "Cargo.lock" => return self.lock(),
            "Cargo.toml" => return self.root_toml(),
            "rust-toolchain" | "rust-toolchain.toml" => return all("it chooses the compiler"),
            _ if file.starts_with(".cargo/") => return all("it sets how cargo compiles"),
            _ => {}
        }
        if let Some(effects) = self.migration(file) {
            return effects;
        }
        if is_documentation(path) {
            return nothing("it is documentation");
        }
        if TOOLS.contains(&file) || path.ends_with(".gitignore") {
            return nothing("no program is made from it");
        }
        if let Some(effects) = self.written(file) {
            return effects;
        }
        if self.is_another_manifest(file) {
            return nothing("it is a manifest, and the processes are built by another one");
        }
        if let Some(package) = self.members.owner(path) {
            return match path.file_name().is_some_and(|name| name == "Cargo.toml") {
                true => self.package_toml(file, package),
                false => vec![package_is(package, "it is a part")],
            };
        }
        if file.starts_with(".sqlx/") {
            return self.queries();
        }
        if self.is_of_another_workspace(path) {
            return nothing("it belongs to another workspace");
        }
        all("no rule says what is made from it")
    }

    fn manifest(&self, file: &str) -> Vec<Effect> {
        let before = self.changes.before(file).map(|text| Manifest::parse(&text, Path::new(file)));
        let Some(Ok(before)) = before else {
            return vec![Effect::All("there was no such manifest before".to_owned())];
        };
        let Deployment { manifest, graph, .. } = self.deployment;
        match manifests::reached(&before, manifest, graph) {
            Reached::Nothing => nothing("only its comments, spaces or order have changed"),
            Reached::All(what) => vec![Effect::All(format!("{what} has changed"))],
            Reached::Some(reached) => {
                let of = |(process, what): (String, BTreeSet<String>)| {
                    let what: Vec<String> = what.into_iter().collect();
                    Effect::Process(process, what.join(", "))
                };
                reached.into_iter().map(of).collect()
            }
        }
    }

    fn lock(&self) -> Vec<Effect> {
        let before = self.changes.before("Cargo.lock").and_then(|text| Lock::read(&text));
        let is_read =
            self.changes.now("Cargo.lock").is_some_and(|text| Lock::read(&text).is_some());
        let Some(before) = before.filter(|_| is_read) else {
            return vec![Effect::All("it cannot be compared with what it was".to_owned())];
        };
        let changed = self.lock.changed_from(&before);
        if changed.is_empty() {
            return nothing("it resolves to the same packages");
        }
        changed
            .into_iter()
            .map(|package| Effect::Package(package, "it resolves otherwise".to_owned()))
            .collect()
    }

    /// The Cargo.toml of the workspace, by what has changed in it.
    fn root_toml(&self) -> Vec<Effect> {
        let Some((before, now)) = self.compared("Cargo.toml") else {
            return vec![Effect::All("it cannot be compared with what it was".to_owned())];
        };
        let mut effects = Vec::new();
        for key in different(&before, &now) {
            match key.as_str() {
                "workspace" => effects.extend(self.workspace_section(&before, &now)),
                // The root can be a package too.
                "profile" | "patch" | "replace" => {
                    effects.push(Effect::All(format!("[{key}] has changed")));
                }
                _ => match self.members.owner(Path::new("Cargo.toml")) {
                    Some(package) => effects.push(package_is(package, "it is a part")),
                    None => effects.push(Effect::All(format!("`{key}` has changed"))),
                },
            }
        }
        if effects.is_empty() {
            effects.extend(nothing("only its comments or spaces have changed"));
        }
        effects
    }

    fn workspace_section(&self, before: &Table, now: &Table) -> Vec<Effect> {
        let section = |manifest: &Table| table_of(manifest, "workspace");
        let (before, now) = (section(before), section(now));
        let mut effects = Vec::new();
        for key in different(&before, &now) {
            match key.as_str() {
                "dependencies" => {
                    let (before, now) = (table_of(&before, &key), table_of(&now, &key));
                    for dependency in different(&before, &now) {
                        let users = self.members.packages.iter();
                        let users =
                            users.filter(|(_, member)| member.inherited.contains(&dependency));
                        let what = format!("`{dependency}` is another");
                        effects.extend(users.map(|(name, _)| package_is(name, &what)));
                    }
                }
                // A member that is new or gone is known by its own files, or by who depends on it.
                "members" | "exclude" | "default-members" => {
                    effects.extend(nothing("only which packages are members has changed"));
                }
                "lints" | "metadata" => {
                    effects.extend(nothing("no program is made from its lints"))
                }
                _ => effects.push(Effect::All(format!("`workspace.{key}` has changed"))),
            }
        }
        if effects.is_empty() {
            effects.extend(nothing("no package uses what has changed"));
        }
        effects
    }

    /// The Cargo.toml of a member. What a module declares to call is known to the process that it calls, too.
    fn package_toml(&self, file: &str, package: &str) -> Vec<Effect> {
        let mut effects = vec![package_is(package, "it is a part")];
        let Some((before, now)) = self.compared(file) else { return effects };
        let marks = |manifest: &Table| {
            table_of(&table_of(&table_of(manifest, "package"), "metadata"), "monolift")
        };
        if marks(&before) != marks(&now) {
            effects.push(Effect::All("[package.metadata.monolift] has changed".to_owned()));
        }
        let declared = |manifest: &Table| -> BTreeSet<String> {
            table_of(manifest, "dependencies").keys().cloned().collect()
        };
        let manifest = &self.deployment.manifest;
        for dependency in declared(&before).symmetric_difference(&declared(&now)) {
            let Some(module) = dependency.strip_suffix("-api").filter(|one| *one != package) else {
                continue;
            };
            let Some(process) = manifest.process_of(module) else { continue };
            if manifest.process_of(package).is_some()
                || self.deployment.graph.host_calls.iter().any(|one| one == module)
            {
                let why = format!("`{process}` knows whether `{package}` may call `{module}`");
                effects.push(Effect::Process(process.to_owned(), why));
            }
        }
        effects
    }

    /// A file below `migrations/<module>` at the root, or in a package's folder.
    fn migration(&self, file: &str) -> Option<Vec<Effect>> {
        let rest = match file.strip_prefix("migrations/") {
            Some(rest) => rest,
            None => file.split_once("/migrations/")?.1,
        };
        let module = rest.split_once('/')?.0;
        let node = self.deployment.graph.modules.get(module)?;
        if let Some(package) = &node.package {
            return Some(vec![package_is(package, "it is a migration")]);
        }
        let process = self.deployment.manifest.process_of(module)?.to_owned();
        Some(vec![Effect::Process(process, format!("it is a migration of `{module}`"))])
    }

    /// Which package a query is of cannot be seen from its file.
    fn queries(&self) -> Vec<Effect> {
        let users = self.members.packages.iter();
        let users = users.filter(|(_, member)| member.dependencies.contains("sqlx"));
        let effects: Vec<Effect> =
            users.map(|(name, _)| package_is(name, "its queries are checked by it")).collect();
        if effects.is_empty() {
            vec![Effect::All("no package uses sqlx".to_owned())]
        } else {
            effects
        }
    }

    /// A file that a command of `cargo monolift` has written or begun, by what is made from it.
    fn written(&self, file: &str) -> Option<Vec<Effect>> {
        if file.ends_with(".rs") {
            return None;
        }
        let text = self.changes.now(file).or_else(|| self.changes.before(file))?;
        let is_of = |command: &str| {
            text.contains(&format!("Written by `cargo monolift {command}` from "))
                || text.contains(&format!("Yours: `cargo monolift {command}` has begun this file"))
        };
        if is_of("deploy docker") {
            return Some(vec![Effect::All("images are built by it".to_owned())]);
        }
        if is_of("deploy kubernetes") {
            let path = Path::new(file);
            let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
            let host = path.file_stem().unwrap_or_default().to_string_lossy();
            let named = |process: &&str| process.replace('_', "-") == host;
            let process = self.deployment.manifest.all_processes().find(named);
            return Some(match process.filter(|_| folder == "base" || folder == "migrate") {
                Some(process) => {
                    vec![Effect::Process(process.to_owned(), "its objects are there".to_owned())]
                }
                None => vec![Effect::All("objects of the cluster are there".to_owned())],
            });
        }
        let elsewhere =
            ["deploy compose", "deploy helm-values", "deploy nginx", "ci github", "observe"];
        let is_elsewhere = elsewhere.into_iter().any(is_of);
        is_elsewhere.then(|| nothing("no image and no object of the cluster is made from it"))
    }

    fn is_another_manifest(&self, file: &str) -> bool {
        let is_manifest = |text: String| {
            file.ends_with(".toml") && Manifest::parse(&text, Path::new(file)).is_ok()
        };
        let texts = [self.changes.now(file), self.changes.before(file)];
        texts.iter().any(Option::is_some) && texts.into_iter().flatten().all(is_manifest)
    }

    /// A folder between the file and the root has a Cargo.toml with a workspace of its own, which is left out of this one.
    fn is_of_another_workspace(&self, path: &Path) -> bool {
        let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let excluded = self.excluded();
        let is_left_out = |folder: &&Path| excluded.iter().any(|one| Path::new(one) == *folder);
        !path.starts_with("..") && folders.into_iter().any(|folder| is_left_out(&folder))
    }

    fn excluded(&self) -> Vec<String> {
        let root =
            self.changes.now("Cargo.toml").and_then(|text| toml::from_str::<Table>(&text).ok());
        let workspace = root.map(|root| table_of(&root, "workspace")).unwrap_or_default();
        let listed = workspace.get("exclude").and_then(Value::as_array);
        let names = listed.into_iter().flatten().filter_map(Value::as_str);
        names.map(|name| name.trim_end_matches('/').to_owned()).collect()
    }

    fn compared(&self, file: &str) -> Option<(Table, Table)> {
        let read = |text: String| toml::from_str::<Table>(&text).ok();
        Some((read(self.changes.before(file)?)?, read(self.changes.now(file)?)?))
    }
}

fn package_is(package: &str, what: &str) -> Effect {
    Effect::Package(package.to_owned(), what.to_owned())
}

fn nothing(why: &str) -> Vec<Effect> {
    vec![Effect::None(why.to_owned())]
}

/// A page for people, or a picture of one.
fn is_documentation(path: &Path) -> bool {
    let is =
        |kinds: &[&str]| path.extension().is_some_and(|kind| kinds.iter().any(|one| kind == *one));
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    is(&["md"])
        || name.starts_with("LICENSE")
        || (path.starts_with("docs") && is(&["png", "svg", "jpg", "gif", "txt"]))
}

/// The keys whose values differ.
fn different(one: &Table, other: &Table) -> BTreeSet<String> {
    let keys = one.keys().chain(other.keys());
    keys.filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

fn table_of(table: &Table, key: &str) -> Table {
    table.get(key).and_then(Value::as_table).cloned().unwrap_or_default()
}
