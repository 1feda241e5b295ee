//! `cargo monolift config`: prints the settings in force, where each comes from, and the number of
//! connections that each database server can see.

use clap::Args;
use monolift::{
    app::ASK,
    config::{Setting, Settings},
};
use monolift_cli::up::{Built, Options};
use monolift_data::DbSettings;
use std::{collections::BTreeMap, env, error::Error, path::PathBuf, process::Command};

/// Print the settings in force of every process, and where each comes from
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
}

impl Config {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        // Each program is run once to report its own settings.
        let built = Built::of(&self.manifest, &Options::default())?;
        for (process, program) in &built.programs {
            let answer = Command::new(program)
                .env(ASK, "config")
                .env("MONOLIFT_MANIFEST", &built.manifest)
                .current_dir(&built.root)
                .output()?;
            if !answer.status.success() {
                return Err(String::from_utf8_lossy(&answer.stderr).into_owned().into());
            }
            let settings: Vec<Setting> = serde_json::from_slice(&answer.stdout)?;
            println!("{process}");
            let widest = settings.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
            for Setting { key, value, origin } in settings {
                let origin = origin.unwrap_or_else(|| "default".to_owned());
                match value {
                    Some(value) => println!("  {key:widest$}  {value}  ({origin})"),
                    None => println!("  {key:widest$}  ({origin})"),
                }
            }
        }
        for (server, count) in connections(&built)? {
            println!("{server}: at most {count} connections");
        }
        Ok(())
    }
}

/// The maximum number of connections to each database server: the pools of all modules, times the
/// replicas of their processes.
fn connections(built: &Built) -> Result<BTreeMap<String, usize>, Box<dyn Error>> {
    let file = env::var_os("MONOLIFT_SETTINGS").map(PathBuf::from);
    let file = file.unwrap_or_else(|| built.root.join("settings.toml"));
    let settings = Settings::read(&built.app, &file)?;
    let mut servers = BTreeMap::new();
    for (modules, replicas) in &built.modules {
        for module in modules {
            let db: DbSettings = settings.group(module, "db")?;
            let Some(url) = &db.url else { continue };
            let address = url.expose().split(['?']).next().unwrap_or_default();
            let Some(server) = address.strip_prefix("postgres") else { continue };
            let server = server.rsplit_once('@').map_or(server, |(_, host)| host);
            let server = server.split('/').next().unwrap_or_default();
            let connections = db.connections() as usize * replicas;
            *servers.entry(format!("postgres at {server}")).or_insert(0) += connections;
        }
    }
    Ok(servers)
}
