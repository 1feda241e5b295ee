//! The one setting that moves a module to its new database.

use crate::{databases::Databases, db::warn_of_git};
use monolift_data::Location;
use sqlx::sqlite::SqliteConnectOptions;
use std::{
    error::Error,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    str::FromStr,
};
use toml_edit::{DocumentMut, Item, Table, value};

/// The setting that moves a module to its new database.
pub(super) struct Switch<'a> {
    databases: &'a Databases,
    module: &'a str,
    url: String,
    /// The same without a password.
    shown: String,
}

impl<'a> Switch<'a> {
    pub(super) fn new(databases: &'a Databases, module: &'a str, url: &str, to: &Location) -> Self {
        let url = absolute(url);
        let shown = if url.starts_with("sqlite:") { url.clone() } else { to.to_string() };
        Self { databases, module, url, shown }
    }

    /// Prints the setting. A password in it is left out.
    pub(super) fn print(&self) {
        let Self { module, shown, .. } = self;
        let variable = self.databases.variable(module);
        let left_out = if self.url == *shown { "" } else { " # with the password, as in --to" };
        println!("next: set this in {}, or {variable}, and start", self.databases.file.display());
        println!("the processes that run {module}\n");
        println!("[{module}.db]\nurl = \"{shown}\"{left_out}");
    }

    /// Writes the setting to the settings file.
    pub(super) fn write(&self) -> Result<(), Box<dyn Error>> {
        let file = &self.databases.file;
        set(file, self.module, &self.url)
            .map_err(|error| format!("the rows are copied, but {}: {error}", file.display()))?;
        println!(
            "{} has the new URL: start the processes that run {}",
            file.display(),
            self.module
        );
        if self.databases.is_set_by_variable(self.module) {
            let variable = self.databases.variable(self.module);
            println!("{variable} is set, and comes before the file: change it too");
        }
        warn_of_git(Some(file));
        Ok(())
    }
}

/// The URL of a SQLite file, which does not depend on the folder that a program is started in.
fn absolute(url: &str) -> String {
    let file = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url));
    match file {
        Some(Ok(options)) => match std::path::absolute(options.get_filename()) {
            Ok(path) => format!("sqlite://{}", path.display()),
            Err(_) => url.to_owned(),
        },
        _ => url.to_owned(),
    }
}

/// Sets `url` in the section `[module.db]` of a settings file, and leaves the rest as it is.
fn set(file: &Path, module: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let text = if file.exists() { fs::read_to_string(file)? } else { String::new() };
    // An error of the parser would show a line of the file.
    let mut document: DocumentMut = text.parse().map_err(|_| "it is no TOML")?;
    // The environment has no hyphens, so a section may have none either.
    let underscored = module.replace('-', "_");
    let name = if document.contains_key(&underscored) { &underscored } else { module };
    let mut parent = Table::new();
    parent.set_implicit(true);
    let section = document.entry(name).or_insert(Item::Table(parent));
    let section = section.as_table_like_mut().ok_or_else(|| format!("`{name}` is no section"))?;
    let db = section.entry("db").or_insert(Item::Table(Table::new()));
    let db = db.as_table_like_mut().ok_or_else(|| format!("`{name}.db` is no section"))?;
    db.insert("url", value(url));
    // Only its user may read a new file: the URL may hold a password.
    let mut new = File::options().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    new.write_all(document.to_string().as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_key_of_the_file_changes() {
        let folder = std::env::temp_dir().join(format!("monolift-switch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("settings.toml");
        set(&file, "orders", "postgres://db/orders").unwrap();
        let written = fs::read_to_string(&file).unwrap();
        assert_eq!(written, "[orders.db]\nurl = \"postgres://db/orders\"\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let text = "# Of the shop.\n[orders]\nmax_lines = 3 # few\n\n[orders.db]\nconnections = 2\nurl = \"old\"\n";
        fs::write(&file, text).unwrap();
        set(&file, "orders", "postgres://db/new").unwrap();
        let written = fs::read_to_string(&file).unwrap();
        assert_eq!(written, text.replace("old", "postgres://db/new"));

        fs::write(&file, "gift_cards.db.connections = 2\n").unwrap();
        set(&file, "gift-cards", "postgres://db/new").unwrap();
        let written = fs::read_to_string(&file).unwrap();
        let read: toml::Table = written.parse().unwrap();
        assert_eq!(
            read["gift_cards"]["db"]["url"].as_str(),
            Some("postgres://db/new"),
            "{written}"
        );
        assert!(!read.contains_key("gift-cards"), "{written}");

        let wrong = "orders = \"hunter2\"\n";
        fs::write(&file, wrong).unwrap();
        let told = set(&file, "orders", "postgres://db/new").unwrap_err().to_string();
        assert_eq!(told, "`orders` is no section");
        assert_eq!(fs::read_to_string(&file).unwrap(), wrong);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_path_of_a_file_is_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("sqlite:data/a.db"), format!("sqlite://{}/data/a.db", here.display()));
        assert_eq!(absolute("sqlite:///tmp/a.db?mode=rwc"), "sqlite:///tmp/a.db");
        assert_eq!(absolute("postgres://db/a"), "postgres://db/a");
    }
}
