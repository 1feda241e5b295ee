//! `cargo monolift check`: checks a manifest like a build would, without building.

use clap::Args;
use monolift_manifest::{Graph, Manifest, Workspace};
use std::{env, error::Error, fs, path::PathBuf};

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
        println!("\n{ONE_CONNECTION}");
        Ok(())
    }
}

/// What cannot be seen in a manifest: how long a module's code holds a connection.
const ONE_CONNECTION: &str = "\
not checked here, but when it runs: a call that holds a transaction must not ask its database for
another connection or call another module, since callers could then wait for each other for ever.
A process warns of such a method once, and tests with `monolift::testing::System` fail.";
