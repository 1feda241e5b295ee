//! `cargo monolift work`: shows the modules' durable work and what is parked, and runs parked work
//! again.

use crate::databases::Databases;
use clap::{Args, Subcommand};
use monolift::Db;
use monolift_data::{DbSettings, Location, work::Ledger};
use std::{error::Error, path::PathBuf};

/// Show durable work, and run parked work again
#[derive(Debug, Args)]
pub(crate) struct Work {
    /// The manifest that names the modules
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run parked work again with all its attempts
    Retry {
        module: String,
        /// The id of the work. The default is all parked work of the module
        id: Option<String>,
    },
    /// Give up parked work for good
    Drop { module: String, id: String },
}

/// How many parked pieces are shown for each module.
const SHOWN: u32 = 20;

impl Work {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.answer())
    }

    async fn answer(self) -> Result<(), Box<dyn Error>> {
        let databases = Databases::of(&self.manifest)?;
        match &self.command {
            None => {
                for module in &databases.modules {
                    show(&databases, module).await?;
                }
            }
            Some(Command::Retry { module, id }) => {
                let again = of_one(&databases, module).await?.run_again(id.as_deref()).await?;
                println!("{module}: {again} run again");
            }
            Some(Command::Drop { module, id }) => {
                if !of_one(&databases, module).await?.give_up(id).await? {
                    return Err(format!("{module}: no parked piece {id}").into());
                }
                println!("{module}: {id} is given up");
            }
        }
        Ok(())
    }
}

/// `None` when the module has no database yet.
async fn ledger(databases: &Databases, module: &str) -> Result<Option<Ledger>, Box<dyn Error>> {
    let settings = databases.settings_of(module)?;
    let location = databases.location(module, &settings);
    if matches!(&location, Location::File(file) if !file.exists()) {
        return Ok(None);
    }
    let settings = DbSettings { connections: Some(1), ..settings };
    let db = Db::open_in(&databases.common.pools, &location, &settings, &[]).await;
    let db = db.map_err(|error| chain(module, &error))?;
    Ok(Ledger::of(db, module).existing().await?)
}

async fn of_one(databases: &Databases, module: &str) -> Result<Ledger, Box<dyn Error>> {
    databases.check(module)?;
    let ledger = ledger(databases, module).await?;
    ledger.ok_or_else(|| format!("{module} has no durable work").into())
}

async fn show(databases: &Databases, module: &str) -> Result<(), Box<dyn Error>> {
    let Some(ledger) = ledger(databases, module).await? else { return Ok(()) };
    for kind in ledger.standing().await? {
        println!(
            "{module:<16}{:<16}{:>6} waiting{:>6} at work{:>6} failing{:>6} parked",
            kind.name, kind.waiting, kind.at_work, kind.failing, kind.parked
        );
    }
    let parked = ledger.parked(SHOWN).await?;
    for piece in &parked {
        let minutes = piece.parked_for_ms / 60_000;
        println!(
            "  {}  {} {}, parked for {minutes} min after {} attempts: {}",
            piece.id, piece.name, piece.payload, piece.attempts, piece.error
        );
    }
    if !parked.is_empty() {
        println!("  run one again: cargo monolift work retry {module} {}", parked[0].id);
    }
    Ok(())
}

fn chain(module: &str, error: &dyn Error) -> String {
    let mut text = format!("{module}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
