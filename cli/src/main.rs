//! `cargo monolift …`: what is done to a workspace of modules from outside.

mod check;
mod db;
mod work;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Modules of a workspace, and the processes that they live in.
#[derive(Debug, Parser)]
#[command(name = "cargo monolift", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Db(db::Db),
    Work(work::Work),
}

fn main() -> ExitCode {
    // As `cargo-monolift` on the path, cargo puts its own name for it first.
    let arguments = std::env::args().enumerate();
    let arguments = arguments.filter(|(at, text)| !(*at == 1 && text == "monolift"));
    let done = match Arguments::parse_from(arguments.map(|(_, text)| text)).command {
        Command::Check(check) => check.run(),
        Command::Db(db) => db.run(),
        Command::Work(work) => work.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
