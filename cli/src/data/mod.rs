//! `cargo monolift data copy`: copies a module's rows to another database of the same kind.

mod digest;
mod postgres;
mod progress;
mod sqlite;
mod switch;
mod table;

use crate::{databases::Databases, migrations};
use clap::{Args, Subcommand};
use digest::Difference;
use monolift_data::{
    Backend, DbSettings, History, Location, Migration, ModuleDatabase, check_url, quoted, schema_of,
};
use monolift_manifest::quantity::{duration, show_duration};
use progress::Progress;
use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};
use switch::Switch;

/// Move a module's rows
#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Copy(Copy),
}

/// Copy a module's rows to another database of the same kind
///
/// Stop the processes that run the module first: what they write after the copy stays in the old
/// database. The command applies the module's migrations to the new database, copies the rows of its
/// tables and its durable work in one transaction, compares all rows, and says which setting to
/// change. The old rows stay where they are.
///
/// Meanwhile writes wait, and reads go on: PostgreSQL holds SHARE locks on the tables, and SQLite the
/// lock of the file, for which a writer waits 5 s unless its program says otherwise. If --hold is
/// over before all is copied, nothing is copied. There is no copy that goes on while the module
/// writes.
///
/// The new tables have to be empty. If they have the same rows already, the command only says so.
#[derive(Debug, Args)]
struct Copy {
    /// The module
    module: String,
    /// The URL of the new database, for the role that owns its tables:
    /// postgres://shop_orders:password@db/orders, sqlite:data/orders-2.db
    #[arg(long, env = "MONOLIFT_TO_URL", hide_env_values = true, value_name = "URL")]
    to: String,
    /// The URL of the database that has the rows. The default is the module's, by the settings
    #[arg(long, env = "MONOLIFT_FROM_URL", hide_env_values = true, value_name = "URL")]
    from: Option<String>,
    /// Only these tables, for example of old code. The default is all tables that the module's
    /// migrations create
    #[arg(long = "table", value_delimiter = ',', value_name = "NAMES")]
    tables: Vec<String>,
    /// The longest time for which writes may wait
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    hold: Duration,
    /// Write the setting to the settings file, instead of printing it
    #[arg(long)]
    write: bool,
    /// The manifest that names the modules
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
}

/// What to copy, and how long that may take.
struct Task<'a> {
    module: &'a str,
    /// The tables, if the user names them.
    named: &'a [String],
    /// The module's migrations.
    migrations: &'a [Migration],
    hold: Duration,
}

/// What a copy has done.
#[derive(Debug)]
struct Copied {
    /// The tables, each with its number of rows.
    tables: Vec<(String, u64)>,
    /// Whether the rows were there before.
    was_there: bool,
    /// For how long writes waited.
    held: Duration,
}

impl Data {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let Command::Copy(copy) = self.command;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(copy.run())
    }
}

impl Copy {
    async fn run(self) -> Result<(), Box<dyn Error>> {
        let databases = Databases::of(&self.manifest)?;
        databases.check(&self.module)?;
        let settings = databases.settings_of(&self.module)?;
        let to = self.location(&databases, &settings, "--to (or MONOLIFT_TO_URL)", &self.to)?;
        let from = match &self.from {
            Some(url) => {
                self.location(&databases, &settings, "--from (or MONOLIFT_FROM_URL)", url)?
            }
            None => self.source(&databases, &settings)?,
        };
        let migrations = migrations_of(&self.manifest, &self.module)?;
        let task = Task {
            module: &self.module,
            named: &self.tables,
            migrations: &migrations,
            hold: self.hold,
        };
        println!("{}: from {from} to {to}", self.module);
        let mut progress = Progress::new(&self.module);
        let copied =
            match (from.backend(), to.backend()) {
                (Some(Backend::Postgres), Some(Backend::Postgres)) => {
                    postgres::copy(&task, &from, &to, &mut progress).await
                }
                (Some(Backend::Sqlite), Some(Backend::Sqlite)) => {
                    sqlite::copy(&task, &from, &to, &mut progress).await
                }
                _ => Err("a copy needs two databases of one kind: both SQLite, or both PostgreSQL"
                    .into()),
            };
        drop(progress);
        let copied = copied?;
        print!("{}", copied.shown());
        let switch = Switch::new(&databases, &self.module, &self.to, &to);
        if self.write {
            switch.write()?
        } else {
            switch.print()
        }
        if settings.migrate_url.is_some() {
            println!(
                "`migrate_url` of {} has the old database too: change it as well",
                self.module
            );
        }
        if settings.role.is_some() {
            println!(
                "`role` of {} is one of the old database: take it out, unless the new one has that role for it",
                self.module
            );
        }
        Ok(())
    }

    /// Where a URL of the command line points. What is wrong with one is told without any part of it.
    fn location(
        &self,
        databases: &Databases,
        settings: &DbSettings,
        argument: &str,
        url: &str,
    ) -> Result<Location, String> {
        check_url(url).map_err(|expected| format!("{argument}: expected {expected}"))?;
        // As it would be where the module's section has no URL, or has it with a role.
        let unset = DbSettings { url: None, ..settings.clone() };
        for settings in [settings, &unset] {
            match databases.location(&self.module, settings) {
                Location::Shared { url: shared, role } if shared == url => {
                    return Err(format!("{argument} is the URL of {}", self.of_a_role(&role)));
                }
                _ => {}
            }
        }
        Ok(Location::Url(url.to_owned()))
    }

    /// Where the module's rows are, by the settings.
    fn source(&self, databases: &Databases, settings: &DbSettings) -> Result<Location, String> {
        // The role that owns the tables may lock them and read their sequences.
        if let Some(url) = &settings.migrate_url {
            return Ok(Location::Url(url.expose().clone()));
        }
        match databases.location(&self.module, settings) {
            Location::Shared { role, .. } => Err(format!(
                "by its settings, {} uses {}, as --from (or MONOLIFT_FROM_URL)",
                self.module,
                self.of_a_role(&role)
            )),
            location => Ok(location),
        }
    }

    /// What is told of a shared pool. A copy takes on no role by itself: its connection would keep it, and a pooler would
    /// give that to others.
    fn of_a_role(&self, role: &str) -> String {
        let schema = schema_of(&self.module);
        format!(
            "a pool that modules share, whose login reaches no table by itself: give a URL that logs in as the role {role}, or \
             this one with the parameters `options[role]={role}` and `options[search_path]={schema}`, of the server itself rather \
             than PgBouncer"
        )
    }
}

impl Copied {
    fn shown(&self) -> String {
        let widest = self.tables.iter().map(|(table, _)| table.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (table, rows) in &self.tables {
            text.push_str(&format!("  {table:widest$}  {rows} rows, equal\n"));
        }
        let rows: u64 = self.tables.iter().map(|(_, rows)| rows).sum();
        text.push_str(&if self.was_there {
            format!("already copied: all {rows} rows are there\n")
        } else {
            let held = self.held.as_secs_f64();
            format!(
                "copied {rows} rows. Writes waited for {held:.1} s, and go on in the old database now\n"
            )
        });
        text
    }
}

/// The files of a module's migrations, as a program embeds them.
fn migrations_of(manifest: &Path, module: &str) -> Result<Vec<Migration>, String> {
    let Some(folder) = migrations::of(manifest, module) else { return Ok(Vec::new()) };
    let embed = |(path, text): (PathBuf, String)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A program has them as constants. This one ends soon.
        let pair: (&'static str, &'static str) = (name.leak(), text.leak());
        pair
    };
    Ok(migrations::files(&folder)?.into_iter().map(embed).collect())
}

impl Task<'_> {
    /// Applies the module's migrations to the target, and the framework's if it has durable work. Returns whether the
    /// target had none of the module's, so that all rows in it are those of migrations.
    async fn migrate<D: ModuleDatabase>(
        &self,
        target: &Location,
        has_work: bool,
    ) -> Result<bool, Box<dyn Error>> {
        let mut histories = vec![History::of(self.module, self.migrations)];
        histories.extend(has_work.then(monolift_data::work::history));
        let settings = DbSettings { connections: Some(1), ..DbSettings::default() };
        let migrated = monolift::Db::<D>::migrate_at(target, &settings, &histories).await;
        let applied = migrated.map_err(|error| with_causes("the target", &error))?;
        let is_applied = |(name, _): &Migration| applied.contains(name);
        Ok(!self.migrations.is_empty() && self.migrations.iter().all(is_applied))
    }

    /// What is told when the time is over in which writes may wait.
    fn is_over(&self, progress: &Progress) -> String {
        let Self { module, hold, .. } = self;
        format!(
            "writes waited for {}, and {}. Nothing was copied, and writes go on. Give it more time (--hold), or stop \
             the processes that run {module} and give it as long as it needs",
            show_duration(*hold),
            progress.reached()
        )
    }
}

/// An error of a database, with the table that was reached.
fn failed(error: Box<dyn Error>, progress: &Progress) -> Box<dyn Error> {
    match (error.downcast_ref::<sqlx::Error>(), progress.table()) {
        (Some(error), Some(table)) => format!("`{table}`: {error}. Nothing was copied").into(),
        (Some(error), None) => format!("{error}. Nothing was copied").into(),
        (None, _) => error,
    }
}

/// Refuses a target whose rows are not those of the source.
fn refused(differences: &[Difference]) -> String {
    let mut text = "the target is not empty, and its rows differ:\n".to_owned();
    differences.iter().for_each(|difference| text.push_str(&format!("  {difference}\n")));
    text.push_str("nothing was changed: empty these tables, or give an empty database");
    text
}

/// Refuses a copy of a source whose migrations are not those of the target.
fn same_migrations(module: &str, source: &[i64], target: &[i64]) -> Result<(), String> {
    if let Some(missing) = target.iter().find(|version| !source.contains(version)) {
        return Err(format!(
            "the source lacks the migration {missing} of `{module}`: apply it there first, by a start of the program \
             or by its argument `migrate`"
        ));
    }
    match source.iter().find(|version| !target.contains(version)) {
        Some(unknown) => Err(format!(
            "the source has the migration {unknown} of `{module}`, which is not among the files here: copy with the \
             release that runs"
        )),
        None => Ok(()),
    }
}

/// The names of columns for a statement.
fn listed(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}

/// An error with its causes.
fn with_causes(what: &str, error: &dyn Error) -> String {
    let mut text = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
