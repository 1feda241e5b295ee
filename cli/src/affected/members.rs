//! The packages of the workspace: what each depends on, and which files outside of its folder are compiled into it.

use crate::{
    paths::{relative, tidy},
    sources::{files_of_rust, table, without_comments},
};
use monolift_manifest::Workspace;
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// The packages of a workspace, by name.
pub(super) struct Members {
    pub(super) packages: BTreeMap<String, Member>,
    /// Folders of packages that a member needs and that are no members, with the name of each.
    pub(super) outside: Vec<(PathBuf, String)>,
}

/// A package.
pub(super) struct Member {
    /// Its folder, from the root of the workspace.
    pub(super) folder: PathBuf,
    /// What its library, programs and build script depend on, by the real names of packages.
    pub(super) dependencies: BTreeSet<String>,
    /// What only its tests depend on.
    pub(super) for_tests: BTreeSet<String>,
    /// The keys of `[workspace.dependencies]` that it uses.
    pub(super) inherited: BTreeSet<String>,
    /// Files and folders that its sources name in `include_str!` and the like, from the root of the workspace.
    pub(super) assets: BTreeSet<PathBuf>,
    /// The text of its sources, without comments.
    source: String,
}

impl Members {
    pub(super) fn read(workspace: &Workspace) -> Result<Self, Box<dyn Error>> {
        let root_toml = table(&workspace.root.join("Cargo.toml"))?;
        let shared = root_toml.get("workspace").and_then(|section| section.get("dependencies"));
        let shared = shared.and_then(Value::as_table).cloned().unwrap_or_default();
        let mut members = Self { packages: BTreeMap::new(), outside: Vec::new() };
        for package in workspace.packages.values() {
            let read = table(&package.cargo_toml)?;
            let named = |tables: &[&str]| dependencies(&read, tables, &shared);
            let all = named(&["dependencies", "build-dependencies", "dev-dependencies"]);
            for dependency in &all {
                let base = if dependency.inherited { &workspace.root } else { &package.directory };
                let Some(path) = &dependency.path else { continue };
                let folder = tidy(&base.join(path));
                if workspace.package_at(&folder).is_none() {
                    let folder = relative(&workspace.root, &folder);
                    members.outside.push((folder, dependency.package.clone()));
                }
            }
            let names =
                |tables: &[&str]| named(tables).into_iter().map(|one| one.package).collect();
            let (assets, source) = sources(&package.directory, &workspace.root);
            let member = Member {
                folder: relative(&workspace.root, &package.directory),
                dependencies: names(&["dependencies", "build-dependencies"]),
                for_tests: names(&["dev-dependencies"]),
                inherited: all
                    .iter()
                    .filter(|one| one.inherited)
                    .map(|one| one.key.clone())
                    .collect(),
                assets,
                source,
            };
            members.packages.insert(package.name.clone(), member);
        }
        Ok(members)
    }

    /// The package whose folder a file is in: the innermost.
    pub(super) fn owner(&self, file: &Path) -> Option<&str> {
        let own = self.packages.iter().map(|(name, member)| (&member.folder, name));
        let outside = self.outside.iter().map(|(folder, name)| (folder, name));
        let around = own.chain(outside).filter(|(folder, _)| file.starts_with(folder));
        let innermost = around.max_by_key(|(folder, _)| folder.components().count());
        innermost.map(|(_, name)| name.as_str())
    }

    /// The packages that are compiled from a file which their sources name.
    pub(super) fn compiled_from(&self, file: &Path) -> Vec<&str> {
        let names = |(name, member): (&'_ String, &Member)| {
            member.assets.iter().any(|asset| file.starts_with(asset)).then(|| name.clone())
        };
        let found: Vec<String> = self.packages.iter().filter_map(names).collect();
        self.packages.keys().filter(|name| found.contains(name)).map(String::as_str).collect()
    }
}

impl Member {
    /// Whether its code names a crate, as `orders::…`.
    pub(super) fn mentions(&self, package: &str) -> bool {
        let path = format!("{}::", package.replace('-', "_"));
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        self.source.match_indices(&path).any(|(at, _)| !self.source[..at].ends_with(is_name))
    }
}

/// A dependency as a Cargo.toml states it.
struct Stated {
    key: String,
    package: String,
    path: Option<String>,
    inherited: bool,
}

fn dependencies(manifest: &Table, tables: &[&str], shared: &Table) -> Vec<Stated> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let for_targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let places = std::iter::once(manifest).chain(for_targets);
    let entries = places.flat_map(|place| {
        let named = tables.iter().filter_map(|name| place.get(*name)?.as_table());
        named.flat_map(Table::iter).collect::<Vec<_>>()
    });
    let stated = entries.map(|(key, value)| {
        let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
        let value = if inherited { shared.get(key).unwrap_or(value) } else { value };
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let package = text("package").unwrap_or_else(|| key.clone());
        Stated { key: key.clone(), package, path: text("path"), inherited }
    });
    stated.collect()
}

/// What a source names beside it: each with the text that stands before the path, and whether the path is from the
/// package's folder.
const NAMES: [(&str, bool); 7] = [
    ("include_str!(", false),
    ("include_bytes!(", false),
    ("include!(", false),
    ("#[path =", false),
    ("migrate!(", true),
    ("folder =", true),
    ("rerun-if-changed=", true),
];

/// The files and folders outside of the package that its sources name, and their text.
fn sources(package: &Path, root: &Path) -> (BTreeSet<PathBuf>, String) {
    let (mut assets, mut all) = (BTreeSet::new(), String::new());
    for file in files_of_rust(package) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let text = without_comments(&text);
        for (before, from_package) in NAMES {
            for (at, _) in text.match_indices(before) {
                let Some((path, of_package)) = path_in(&text[at + before.len()..]) else {
                    continue;
                };
                let beside = file.parent().unwrap_or(package);
                let base = if from_package || of_package { package } else { beside };
                let path = tidy(&base.join(path.trim_start_matches('/')));
                // In the package's own folder only what would not count otherwise: a page of documentation.
                if !path.starts_with(package) || path.extension().is_some_and(|kind| kind == "md") {
                    assets.insert(relative(root, &path));
                }
            }
        }
        all.push_str(&text);
    }
    (assets, all)
}

/// The path at the beginning of a text: what is in quotes next, or up to the end of the quotes that it stands in. The
/// second says whether `CARGO_MANIFEST_DIR` stands before it.
fn path_in(text: &str) -> Option<(&str, bool)> {
    let text = text.trim_start();
    if text.starts_with("concat!") {
        // `concat!(env!("CARGO_MANIFEST_DIR"), "/…")`
        let (_, rest) = text.split_once("CARGO_MANIFEST_DIR\"")?;
        return rest.split('"').nth(1).map(|path| (path, true));
    }
    let statement = text.split([')', '\n', ';']).next()?;
    if statement.starts_with(|first: char| first.is_alphanumeric() || first == '.') {
        return statement.split('"').next().map(|path| (path, false));
    }
    statement.split('"').nth(1).map(|path| (path, false))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn paths_in_sources_are_found() {
        let path = |text| path_in(text);
        assert_eq!(path("\"../../docs/a.md\");"), Some(("../../docs/a.md", false)));
        assert_eq!(
            path("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../x.json\"))"),
            Some(("/../x.json", true))
        );
        assert_eq!(path("../../migrations/orders\");"), Some(("../../migrations/orders", false)));
        assert_eq!(
            path(" \"../../cli/src/cargo.rs\"]\nmod cargo;"),
            Some(("../../cli/src/cargo.rs", false))
        );
        assert_eq!(path("name)"), Some(("name", false)));
        assert_eq!(path("#file)"), None);
    }
}
