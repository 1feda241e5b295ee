//! What Monolift reads of one package's Cargo.toml. It knows nothing of the other packages.

use std::path::{Path, PathBuf};

use crate::document::{Document, Entry, Table, Value};

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The folder that holds it.
    pub directory: PathBuf,
    /// Its Cargo.toml.
    pub cargo_toml: PathBuf,
    /// Its direct dependencies, those for one target only included; not those for development or build scripts.
    pub dependencies: Vec<Dependency>,
    /// `[package.metadata.monolift] module = …`: `true` makes it a module although it provides no interface, `false`
    /// says that it is none although a package of its name and `-api` exists.
    pub module: Option<bool>,
    /// `[package.metadata.monolift] api = false`: it is no interface's crate although its name ends in `-api`.
    pub api: Option<bool>,
    /// `[package.metadata.monolift] process = "…"`: its program of this name is `process!(env, …)`,
    /// and can be built as any process of a manifest.
    pub process: Option<String>,
    /// `[package.metadata.monolift] host = …`.
    pub host: HostMark,
    /// `[package.metadata.monolift] local = ["Stock::reserve_in"]`: the methods of its interfaces that take their
    /// caller's transaction. `#[interface]` checks that these are the methods with `#[local]`.
    pub local: Vec<String>,
    /// `[package.metadata.monolift] auth = true`: each routed method of its interfaces states who may call it.
    /// `#[interface]` checks that.
    pub auth: bool,
    /// `[package.metadata.monolift] local_calls = […]`: the methods of that kind that it calls. Without it, all of the
    /// interfaces that it depends on.
    pub local_calls: Option<LocalCallsMark>,
}

/// The methods that take their caller's transaction and that a package calls, as its Cargo.toml lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCallsMark {
    /// Each as `Stock::reserve_in`.
    pub methods: Vec<String>,
    /// The line of the list, from 1.
    pub line: usize,
    /// Its column, from 1.
    pub column: usize,
}

/// Whether a package says that it is the host: the existing program of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostMark {
    /// It does not.
    #[default]
    None,
    /// `host = true`: of any application of this workspace that has a host.
    Any,
    /// `host = "shop"`: of that application.
    Of(String),
}

/// A direct dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The real name of the package, also where the dependency is renamed.
    pub package: String,
    /// The folder, where it is given by path.
    pub path: Option<PathBuf>,
    /// The line of Cargo.toml, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

/// The package of a Cargo.toml, if it has one. `inherited` are the `[workspace.dependencies]` and the root to which
/// their paths are relative.
pub(crate) fn package(document: &Document, inherited: (&Table, &Path)) -> Option<Package> {
    let section = document.root.table("package")?;
    let marks = section.table("metadata").and_then(|metadata| metadata.table("monolift"));
    let directory = document.file.parent().unwrap_or(Path::new("")).to_owned();
    Some(Package {
        name: section.string("name")?.to_owned(),
        dependencies: entries(document, &["dependencies"])
            .map(|entry| dependency(document, entry, &directory, inherited))
            .collect(),
        module: marks.and_then(|marks| marks.boolean("module")),
        api: marks.and_then(|marks| marks.boolean("api")),
        process: marks.and_then(|marks| marks.string("process")).map(str::to_owned),
        host: match marks.and_then(|marks| marks.get("host")).map(|entry| &entry.value) {
            Some(Value::Boolean(true)) => HostMark::Any,
            Some(Value::String(app)) => HostMark::Of(app.clone()),
            _ => HostMark::None,
        },
        local: marks.map(listed_local).unwrap_or_default(),
        auth: marks.is_some_and(says_auth),
        local_calls: marks.and_then(|marks| {
            let (line, column) = document.key_position(marks.get("local_calls")?);
            let methods = owned(marks.strings("local_calls"));
            Some(LocalCallsMark { methods, line, column })
        }),
        cargo_toml: document.file.clone(),
        directory,
    })
}

fn listed_local(marks: &Table) -> Vec<String> {
    owned(marks.strings("local"))
}

fn says_auth(marks: &Table) -> bool {
    marks.boolean("auth") == Some(true)
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The methods that the Cargo.toml in a folder lists as those that take their caller's transaction.
pub fn local_methods(directory: &Path) -> Vec<String> {
    marks_in(directory, listed_local).unwrap_or_default()
}

/// Whether the Cargo.toml in a folder says that each routed method of its interfaces states who may call it.
pub fn states_auth(directory: &Path) -> bool {
    marks_in(directory, says_auth).unwrap_or_default()
}

fn marks_in<T>(directory: &Path, read: impl FnOnce(&Table) -> T) -> Option<T> {
    let document = Document::read(&directory.join("Cargo.toml")).ok()?;
    Some(read(document.root.table("package")?.table("metadata")?.table("monolift")?))
}

/// The name that the package in a folder has for the first of `packages` that it is or depends on, for whatever purpose.
pub fn name_of(directory: &Path, packages: &[&str]) -> Option<String> {
    let document = Document::read(&directory.join("Cargo.toml")).ok()?;
    let own = document.root.table("package").and_then(|package| package.string("name"));
    let above = directory.ancestors().skip(1).filter_map(|folder| {
        let document = Document::read(&folder.join("Cargo.toml")).ok()?;
        document.root.table("workspace").is_some().then_some(document)
    });
    let roots: Vec<Document> = above.collect();
    let nothing = Table::default();
    let shared = roots.iter().find_map(|root| root.root.table("workspace")?.table("dependencies"));
    let inherited = (shared.unwrap_or(&nothing), directory);
    let tables = ["dependencies", "dev-dependencies"];
    let known: Vec<(String, &str)> = entries(&document, &tables)
        .map(|entry| (dependency(&document, entry, directory, inherited).package, &*entry.key))
        .collect();
    packages.iter().find_map(|package| {
        if own == Some(package) {
            return Some((*package).to_owned());
        }
        known.iter().find(|(known, _)| known == package).map(|(_, key)| (*key).to_owned())
    })
}

/// The folders of everything that a package depends on by path, for whatever purpose.
pub(crate) fn path_dependencies(document: &Document, inherited: (&Table, &Path)) -> Vec<PathBuf> {
    let directory = document.file.parent().unwrap_or(Path::new(""));
    entries(document, &["dependencies", "dev-dependencies", "build-dependencies"])
        .filter_map(|entry| dependency(document, entry, directory, inherited).path)
        .collect()
}

/// The entries of the named tables of dependencies, for all targets.
fn entries<'a>(document: &'a Document, tables: &'a [&str]) -> impl Iterator<Item = &'a Entry> {
    let targets = document.root.table("target").into_iter().flat_map(|targets| &targets.0);
    let for_targets = targets.filter_map(|target| {
        if let Value::Table(table) = &target.value { Some(table) } else { None }
    });
    std::iter::once(&document.root)
        .chain(for_targets)
        .flat_map(move |table| tables.iter().filter_map(move |name| table.table(name)))
        .flat_map(|dependencies| &dependencies.0)
}

fn dependency(
    document: &Document,
    entry: &Entry,
    directory: &Path,
    (shared, root): (&Table, &Path),
) -> Dependency {
    let (line, column) = document.key_position(entry);
    let mut settings = if let Value::Table(table) = &entry.value { Some(table) } else { None };
    let mut base = directory;
    if settings.and_then(|table| table.boolean("workspace")) == Some(true) {
        settings = shared.table(&entry.key);
        base = root;
    }
    let setting = |key| settings.and_then(|table: &Table| table.string(key));
    Dependency {
        package: setting("package").unwrap_or(&entry.key).to_owned(),
        path: setting("path").map(|path| crate::members::tidy(&base.join(path))),
        line,
        column,
    }
}
