//! `cargo monolift config`: prints the settings in force, where each comes from, and the number of
//! connections that each database server can see.

use clap::Args;
use monolift::{
    app::ASK,
    config::{Setting, Settings, overlay},
};
use monolift_cli::up::{Built, Options};
use monolift_data::DbSettings;
use monolift_manifest::{Hidden, Manifest};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs,
    path::PathBuf,
    process::Command,
};

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
        let mut servers = Servers::of(&built)?;
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
            servers.add(process, &settings)?;
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
        for (server, count) in servers.connections {
            println!("{server}: at most {count} connections");
        }
        Ok(())
    }
}

/// The maximum number of connections to each database server: the pools of all processes, times their replicas.
struct Servers<'a> {
    built: &'a Built,
    settings: Settings,
    manifest: Manifest,
    connections: BTreeMap<String, usize>,
}

impl<'a> Servers<'a> {
    fn of(built: &'a Built) -> Result<Self, Box<dyn Error>> {
        let file = env::var_os("MONOLIFT_SETTINGS").map(PathBuf::from);
        let file = file.unwrap_or_else(|| built.root.join("settings.toml"));
        let settings = Settings::read(&built.app, &file)?;
        let mut manifest = Manifest::parse(&fs::read_to_string(&built.manifest)?, &built.manifest)?;
        overlay(&mut manifest, &settings)?;
        Ok(Self { built, settings, manifest, connections: BTreeMap::new() })
    }

    /// Adds the pools of a process. It reports its modules that have a database.
    fn add(&mut self, process: &str, reported: &[Setting]) -> Result<(), Box<dyn Error>> {
        let replicas = self.built.replicas.get(process).copied().unwrap_or(1);
        let mut shared = BTreeSet::new();
        for setting in reported {
            let Some(module) = setting.key.strip_suffix(".db.url") else { continue };
            let db: DbSettings = self.settings.group(module, "db")?;
            let common = self.manifest.db.url.as_ref().map(Hidden::expose);
            let own = db.url.as_ref().map(|url| url.expose().as_str());
            let Some(url) = own.or(common) else { continue };
            let Some(server) = server_of(url) else { continue };
            let is_shared = own.is_none() || db.role.is_some();
            let pool = match is_shared {
                true if shared.insert(url.to_owned()) => self.manifest.db.connections,
                true => 0,
                false => db.connections(),
            };
            *self.connections.entry(server).or_insert(0) += pool as usize * replicas;
        }
        Ok(())
    }
}

/// The server of a URL, if that is one of PostgreSQL.
fn server_of(url: &str) -> Option<String> {
    let address = url.split('?').next().unwrap_or_default();
    let (scheme, server) = address.split_once("://")?;
    if !scheme.starts_with("postgres") {
        return None;
    }
    let server = server.rsplit_once('@').map_or(server, |(_, host)| host);
    let server = server.split('/').next().unwrap_or_default();
    Some(format!("postgres at {server}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_pool_is_counted_once_for_each_replica_of_a_process() {
        let manifest = "app = \"shop\"\n[modules]\nstock = \"shop\"\norders = \"shop\"\nusers = \"shop\"\n\
                        [process.shop]\nlisten = \"127.0.0.1:7100\"\n\
                        [db]\nurl = \"postgres://shop_shared:p@db/shop\"\nconnections = 8\n";
        let built = Built {
            app: "shop".to_owned(),
            manifest: PathBuf::new(),
            root: PathBuf::new(),
            programs: BTreeMap::new(),
            replicas: BTreeMap::from([("shop".to_owned(), 3)]),
        };
        let own = BTreeMap::from([("url", "postgres://shop_users:p@other/shop")]);
        let section = BTreeMap::from([("db", own)]);
        let section = section.into_iter().map(|(key, value)| (key.to_owned(), value.into()));
        let mut servers = Servers {
            built: &built,
            settings: Settings::default().with_section("users", section.collect()),
            manifest: Manifest::parse(manifest, "deployment.toml".as_ref()).unwrap(),
            connections: BTreeMap::new(),
        };
        let reported = ["stock", "orders", "users"].map(|module| Setting {
            key: format!("{module}.db.url"),
            value: Some("…".to_owned()),
            origin: None,
        });
        servers.add("shop", &reported).unwrap();
        let expected = [("postgres at db", 24), ("postgres at other", 15)];
        let expected = expected.map(|(server, count)| (server.to_owned(), count));
        assert_eq!(servers.connections, BTreeMap::from(expected));
    }
}
