//! `cargo monolift new`: creates an application, or a module with its interface, a migration and its place in the
//! manifests.

mod app;
mod edit;
mod files;

use clap::{Args, Subcommand};
use files::Names;
use monolift_manifest::{Manifest, Package, Workspace};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// Create an application, or a module in this workspace
#[derive(Debug, Args)]
pub(crate) struct New {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create an application: a workspace with a first module, a program that runs it in one process and one
    /// that runs it in several
    App {
        /// Its name, which is also the name of its folder
        name: String,
        /// A checkout of Monolift that it depends on. Without it: the checkout that this tool was built from,
        /// or else the registry
        #[arg(long, value_name = "FOLDER")]
        monolift: Option<PathBuf>,
    },
    /// Create a module: its api package, its package, a first migration, and its line in the
    /// manifests
    Module {
        /// Its name, which is also the name of its package: coupons, gift-cards
        name: String,
    },
}

impl New {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        match self.command {
            Command::App { name, monolift } => new_app(&name, monolift.as_deref()),
            Command::Module { name } => new_module(&name),
        }
    }
}

fn new_app(name: &str, monolift: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let here = env::current_dir()?;
    let monolift = app::Monolift::find(monolift)?;
    for file in app::write(&here, name, &monolift)? {
        println!("  {}", file.strip_prefix(&here).unwrap_or(&file).display());
    }
    println!(
        "the application `{name}` is there. Try it: cd {name}; then cargo test --workspace, and cargo run"
    );
    Ok(())
}

fn new_module(name: &str) -> Result<(), Box<dyn Error>> {
    let workspace = Workspace::find(&env::current_dir()?)?;
    let names = Names::of(name)?;
    if let Some(taken) = [name.to_owned(), format!("{name}-api")]
        .into_iter()
        .find(|name| workspace.package(name).is_some())
    {
        return Err(format!("there is a package `{taken}` already").into());
    }
    let root = workspace.root.clone();
    if let Some(taken) = locked(&root, name) {
        return Err(format!(
            "`{name}` cannot be a module's name: {} has a package `{taken}`, and `cargo run -p {name}` \
             could mean either",
            root.join("Cargo.lock").display()
        )
        .into());
    }
    let programs = programs(&workspace);
    let manifests = manifests(&root, &programs);
    let states = |file: &PathBuf| readable(file).is_some_and(|manifest| manifest.identity.stated);
    let mut written = files::write(&root, &names, manifests.iter().any(states))?;
    written.extend(edit::members(&root, &names)?);
    for program in &programs {
        written.push(edit::dependencies(&program.cargo_toml, &root, &names)?);
    }
    for file in manifests {
        written.push(edit::manifest(&file, &names)?);
    }
    for file in &written {
        println!("  {}", file.strip_prefix(&root).unwrap_or(file).display());
    }
    println!(
        "the module `{name}` is there. Try it: cargo test -p {name}; then cargo run, and\n\
         curl -X PUT localhost:8080/{name}/one -H 'content-type: application/json' \
         -d '{{\"text\": \"hello\"}}'"
    );
    Ok(())
}

/// The package of the dependency graph that has this name, or is the same in Rust.
fn locked(root: &Path, name: &str) -> Option<String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let crate_name = |name: &str| name.replace('-', "_");
    names.into_iter().find(|known| crate_name(known) == crate_name(name)).map(str::to_owned)
}

/// The packages that link modules: they depend on a module and are none themselves.
fn programs(workspace: &Workspace) -> Vec<&Package> {
    let links = |package: &&Package| {
        let is_module = workspace.is_module(&package.name) || workspace.is_api(&package.name);
        let on_modules =
            package.dependencies.iter().any(|dependency| workspace.is_module(&dependency.package));
        !is_module && on_modules
    };
    workspace.packages.values().filter(links).collect()
}

/// The manifests at the root of the workspace and beside programs.
fn manifests(root: &Path, programs: &[&Package]) -> Vec<PathBuf> {
    let folders = std::iter::once(root.to_owned())
        .chain(programs.iter().map(|program| program.directory.clone()));
    let files = folders.map(|folder| folder.join("deployment.toml"));
    files.filter(|file| readable(file).is_some()).collect()
}

fn readable(file: &Path) -> Option<Manifest> {
    Manifest::parse(&fs::read_to_string(file).ok()?, file).ok()
}
