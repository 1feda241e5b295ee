//! `cargo monolift check`: checks a manifest like a build would, without building, and warns of migrations that break
//! the release before them.

mod breaking;
mod known;
mod reader;

use crate::migrations;
use breaking::{Breaking, breaking};
use clap::Args;
use monolift_manifest::{Graph, Manifest, Workspace};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// Check a manifest and the modules' Cargo.toml files, and print which module calls which
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let text = fs::read_to_string(&self.manifest)
            .map_err(|error| format!("{} cannot be read: {error}", self.manifest.display()))?;
        let workspace = Workspace::find(&env::current_dir()?)?;
        let manifest = Manifest::parse_in(&text, &self.manifest, &workspace, None)?;
        let graph = Graph::check(&manifest, &workspace, None)?;
        for process in manifest.all_processes() {
            println!("{process}");
            for module in manifest.modules_of(process) {
                let calls = graph.modules.get(module).map(|node| node.calls.join(", "));
                match calls.filter(|calls| !calls.is_empty()) {
                    Some(calls) => println!("  {module} calls {calls}"),
                    None => println!("  {module}"),
                }
            }
        }
        let modules: Vec<&str> = manifest.modules.iter().map(|one| one.module.as_str()).collect();
        let warnings = warnings(&self.manifest, &modules)?;
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        if !warnings.is_empty() {
            eprintln!("{BREAKING}");
        }
        println!("\n{ONE_CONNECTION}");
        Ok(())
    }
}

/// Each statement of the modules' migrations that breaks the release before, with its place.
fn warnings(manifest: &Path, modules: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut warnings = Vec::new();
    for module in modules {
        let Some(folder) = migrations::of(manifest, module) else { continue };
        let (paths, texts): (Vec<PathBuf>, Vec<String>) =
            migrations::files(&folder)?.into_iter().unzip();
        for Breaking { file, line, what } in breaking(&texts) {
            warnings.push(format!("{}:{line}: {what}", paths[file].display()));
        }
    }
    Ok(warnings)
}

/// What to do about statements that break the release before.
const BREAKING: &str = "\
these statements usually break the release before them, which still runs during a rolling restart and after a
roll-back. Release the code that no longer uses what is removed first, and the statement with the next
release. A comment on the statement accepts it: `-- monolift: breaks nothing, because …`.";

/// What cannot be seen in a manifest: how long a module's code holds a connection.
const ONE_CONNECTION: &str = "\
not checked here, but when it runs: a call that holds a transaction must not ask its database for
another connection or call another module, since callers could then wait for each other for ever.
A process warns of such a method once, and tests with `monolift::testing::System` fail.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_has_the_file_and_the_line_of_its_statement() {
        let root = env::temp_dir().join(format!("monolift-breaking-{}", std::process::id()));
        let folder = root.join("migrations/orders");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0001_orders.sql"), "CREATE TABLE orders (note TEXT);\n").unwrap();
        let drop = "-- Nothing reads it.\n\nALTER TABLE orders\n    DROP COLUMN note;\n";
        fs::write(folder.join("0002_drop.sql"), drop).unwrap();
        let found = warnings(&root.join("deployment.toml"), &["orders", "stock"]).unwrap();
        let file = folder.join("0002_drop.sql");
        assert_eq!(found, [format!("{}:3: drops the column note of orders", file.display())]);
        fs::remove_dir_all(&root).unwrap();
    }
}
