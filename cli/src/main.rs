//! `cargo monolift …`: tools for a workspace of modules.

mod check;
mod config;
mod db;
mod new;
mod work;

use clap::{Args, Parser, Subcommand};
use monolift_cli::compare::Compare;
use std::{path::PathBuf, process::ExitCode};

/// Tools for the modules of a workspace and for the processes that run them
#[derive(Debug, Parser)]
#[command(name = "cargo monolift", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Compare(Compare),
    Config(config::Config),
    Db(db::Db),
    New(new::New),
    Work(work::Work),
    Up(Up),
}

/// Build and start every process of a manifest on this machine, and restart a process that dies
#[derive(Debug, Args)]
struct Up {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
}

fn main() -> ExitCode {
    // If the program runs as a cargo subcommand, cargo passes `monolift` as the first argument.
    let arguments = std::env::args().enumerate();
    let arguments = arguments.filter(|(at, text)| !(*at == 1 && text == "monolift"));
    let done = match Arguments::parse_from(arguments.map(|(_, text)| text)).command {
        Command::Check(check) => check.run(),
        Command::Compare(compare) => compare.run(),
        Command::Config(config) => config.run(),
        Command::Db(db) => db.run(),
        Command::New(new) => new.run(),
        Command::Work(work) => work.run(),
        Command::Up(Up { manifest, release }) => {
            monolift_cli::up::run(&manifest, monolift_cli::up::Options { release })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
