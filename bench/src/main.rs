//! What a call costs, beside its limits and its peers: `cargo run --release -p bench`.

mod allocations;
mod fan_out;
mod in_process;
mod item;
mod measured;
mod order;
mod part;
mod process;
mod remote;
mod report;
mod sections;
mod tls;

use clap::{Parser, Subcommand};
use load::{Load, Plan};
use process::Pace;
use report::Report;
use sections::Bench;
use std::{path::PathBuf, time::Duration};

/// What a call costs in Monolift, beside the limit and beside its peers, in one run.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Take less than a minute: fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Take some seconds: every row once, to see that it runs, with figures that mean nothing
    #[arg(long, hide = true)]
    smoke: bool,
    /// Make only the tables whose title has this text in it
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Write the figures to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// What this program starts itself as
    #[command(hide = true, name = process::ROLE)]
    Part { part: String },
}

impl Arguments {
    fn pace(&self) -> Pace {
        let (rounds, warm, time) = match self {
            Self { smoke: true, .. } => (1, 20, 150),
            Self { quick: true, .. } => (2, 40, 120),
            _ => (7, 300, 1_000),
        };
        let (warm, time) = (Duration::from_millis(warm), Duration::from_millis(time));
        Pace { rounds, plan: Plan { load: Load::Closed(1), warm, time, timed: 1 } }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Part { part }) = arguments.role {
        return part::play(&part).await;
    }
    if cfg!(debug_assertions) && !arguments.smoke {
        eprintln!("a build without --release measures nothing: `cargo run --release -p bench`");
    }
    let pace = arguments.pace();
    let report = Report { machine: load::machine(), rounds: pace.rounds, ..Report::default() };
    println!("{}; {} rounds; medians (smallest…largest)", report.machine, report.rounds);
    let mut bench = Bench { pace, report };
    bench.run(&arguments.only).await?;
    if let Some(file) = arguments.json {
        std::fs::write(&file, serde_json::to_vec_pretty(&bench.report)?)?;
        println!("\nwritten to {}", file.display());
    }
    Ok(())
}
