//! `cargo monolift top`, `traces`, `logs`, `log`, `call`, `events`: what a program does on call, from its workspace.

use clap::Args;
use monolift::{
    config::{Settings, overlay},
    observe::operate::{self, Place},
};
use monolift_cli::target_of;
use monolift_manifest::{Address, Manifest, Workspace};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// A command that the programs of the application have as well.
#[derive(Debug, Args)]
pub(crate) struct Operate {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// As of the programs: `traces --failed`, `log stock=debug`, `--admin ADDR`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    rest: Vec<String>,
}

impl Operate {
    pub(crate) fn run(self, command: &str) -> Result<ExitCode, Box<dyn Error>> {
        let place = place(&self.manifest)?;
        let arguments: Vec<String> = [command.to_owned()].into_iter().chain(self.rest).collect();
        Ok(operate::run(&place, &arguments))
    }
}

/// The process with the gateway: it knows the whole application.
fn place(file: &Path) -> Result<Place, Box<dyn Error>> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let mut manifest = Manifest::parse(&text, file)?;
    let root = Workspace::find(&env::current_dir()?)?.root;
    let settings = env::var_os("MONOLIFT_SETTINGS").map(PathBuf::from);
    let settings = settings.unwrap_or_else(|| root.join("settings.toml"));
    let settings = Settings::read(&manifest.app, &settings)?;
    overlay(&mut manifest, &settings)?;
    let front = manifest.processes.iter().find(|(_, process)| process.http.is_some());
    let texts = |addresses: Vec<Address>| addresses.into_iter().map(|address| address.to_string());
    let others = manifest.processes.values();
    let others = others.flat_map(|process| texts(process.listens()).chain(texts(process.https())));
    let target = target_of(&root);
    Ok(Place {
        program: "cargo monolift".to_owned(),
        app: manifest.app.clone(),
        process: front.map(|(name, _)| name.clone()),
        admins: front.into_iter().flat_map(|(_, process)| texts(process.admins())).collect(),
        others: others.collect(),
        runs: target.canonicalize().unwrap_or(target),
        token: settings.own("admin_token")?,
        settings: Vec::new(),
    })
}
