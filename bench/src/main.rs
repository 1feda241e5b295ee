//! The benchmark: what a call costs, compared with its limit and with other frameworks.
//!
//! Run it with `cargo run --release -p bench`.

mod allocations;
mod events;
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

/// Measures what a call costs in Monolift, and compares it with its limit and with other frameworks
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Use fewer and shorter rounds, which takes less than a minute
    #[arg(long)]
    quick: bool,
    /// Measure every row once, to test the benchmark itself. The figures mean nothing
    #[arg(long, hide = true)]
    smoke: bool,
    /// Make only the tables whose title contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The role in which this program starts itself
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
