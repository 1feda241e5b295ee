//! The packages of a Cargo workspace and what they depend on, read from the Cargo.toml files alone: nothing is run,
//! built or linked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cargo_toml::{self, Dependency, Package};
use crate::document::{Document, Table};
use crate::members::{Members, tidy};
use crate::problem::{Problem, Problems};

/// A workspace, as far as modules go.
///
/// - An *api package* is one whose name ends in `-api`.
/// - A *module* is a package `p` beside an api package `p-api`, or one whose Cargo.toml says
///   `[package.metadata.monolift] module = true` (a module that provides no interface).
/// - The modules that a package *declares* to call are its direct api dependencies, but its own.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Its packages, by name.
    pub packages: BTreeMap<String, Package>,
    /// Every Cargo.toml that was read: when none of them changes, neither does this.
    pub files: Vec<PathBuf>,
}

impl Workspace {
    /// Finds the workspace of a package's folder, or of any folder within one, and reads every member's Cargo.toml.
    ///
    /// A package that is in no workspace counts as a workspace of its own.
    pub fn find(from: &Path) -> Result<Workspace, Problems> {
        let from = std::path::absolute(from).map_or_else(|_| from.to_owned(), |path| tidy(&path));
        let mut above = from.ancestors().filter(|folder| folder.join("Cargo.toml").is_file());
        let Some(package) = above.next() else {
            let message = "no Cargo.toml here or in any folder above".to_owned();
            return Err(Problem { file: from, line: 0, column: 0, message, help: None }.into());
        };
        let document = Document::read(&package.join("Cargo.toml"))?;
        if document.root.table("workspace").is_some() {
            return Workspace::read(document, package);
        }
        if let Some(root) =
            document.root.table("package").and_then(|package| package.string("workspace"))
        {
            let root = tidy(&package.join(root));
            return Workspace::read(Document::read(&root.join("Cargo.toml"))?, &root);
        }
        for root in above {
            let candidate = Document::read(&root.join("Cargo.toml"))?;
            if candidate.root.table("workspace").is_some() {
                let workspace = Workspace::read(candidate, root)?;
                if workspace.package_at(package).is_some() {
                    return Ok(workspace);
                }
            }
        }
        Workspace::read(document, package)
    }

    /// The package of that name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.get(name)
    }

    /// The package in that folder.
    pub fn package_at(&self, directory: &Path) -> Option<&Package> {
        self.packages.values().find(|package| package.directory == directory)
    }

    /// The packages that are modules, by name.
    pub fn modules(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| self.is_module(&package.name))
    }

    /// Whether there is a package of that name and it is a module.
    pub fn is_module(&self, name: &str) -> bool {
        self.package(name).is_some_and(|package| {
            package.module.unwrap_or_else(|| !self.is_api(name) && self.api_of(name).is_some())
        })
    }

    /// Whether there is a package of that name and it is an interface's crate.
    pub fn is_api(&self, name: &str) -> bool {
        let module = name.strip_suffix("-api").unwrap_or_default();
        !module.is_empty() && self.package(name).is_some_and(|package| package.api != Some(false))
    }

    /// The package that holds a module's interface.
    pub fn api_of(&self, module: &str) -> Option<&Package> {
        let name = format!("{module}-api");
        if self.is_api(&name) { self.package(&name) } else { None }
    }

    /// The modules that a package declares to call, and the dependencies that declare it: its direct dependencies on
    /// api packages but its own, in the order of the file.
    ///
    /// An api package is one of this workspace, or one given by path, or any other whose module `is_placed`: a crate
    /// from elsewhere whose name happens to end in `-api` declares nothing.
    pub fn declared<'a>(
        &'a self,
        package: &'a Package,
        is_placed: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a str, &'a Dependency)> {
        package.dependencies.iter().filter_map(move |dependency| {
            let module =
                dependency.package.strip_suffix("-api").filter(|module| !module.is_empty())?;
            let is_interface = match self.package(&dependency.package) {
                Some(_) => self.is_api(&dependency.package),
                None => dependency.path.is_some() || is_placed(module),
            };
            (is_interface && module != package.name).then_some((module, dependency))
        })
    }

    /// A path as it is best shown: relative to the root, if it is within.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    fn read(root_document: Document, root: &Path) -> Result<Workspace, Problems> {
        let nothing = Table::default();
        let section = root_document.root.table("workspace").unwrap_or(&nothing);
        let inherited = (section.table("dependencies").unwrap_or(&nothing), root);
        let members = Members::new(root, section);
        let mut problems = Problems::default();
        let mut workspace =
            Workspace { root: root.to_owned(), packages: BTreeMap::new(), files: Vec::new() };
        // Cargo takes what a member depends on by path, beneath the root, for a member too.
        let beneath = |document: &Document| {
            let mut folders = cargo_toml::path_dependencies(document, inherited);
            folders.retain(|path| {
                path.starts_with(root)
                    && !members.excludes(path)
                    && path.join("Cargo.toml").is_file()
            });
            folders
        };
        workspace.add(&root_document, inherited);
        let mut left = beneath(&root_document);
        left.extend(members.folders(&root_document, &mut problems).into_iter().rev());
        while let Some(folder) = left.pop() {
            let file = folder.join("Cargo.toml");
            if workspace.files.contains(&file) {
                continue;
            }
            match Document::read(&file) {
                Ok(document) => {
                    workspace.add(&document, inherited);
                    left.extend(beneath(&document));
                }
                Err(problem) => problems.push(problem),
            }
        }
        problems.unless_empty(workspace)
    }

    fn add(&mut self, document: &Document, inherited: (&Table, &Path)) {
        self.files.push(document.file.clone());
        if let Some(package) = cargo_toml::package(document, inherited) {
            self.packages.insert(package.name.clone(), package);
        }
    }
}
