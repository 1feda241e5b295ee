//! `cargo monolift …`: tools for a workspace of modules.

mod affected;
mod certs;
mod check;
mod ci;
mod config;
mod data;
mod databases;
mod db;
mod deploy;
mod migrations;
mod new;
mod observe;
mod operate;
mod paths;
mod sources;
mod topology;
mod work;
mod written;

use clap::{Args, Parser, Subcommand};
use monolift_cli::{compare::Compare, up::Options};
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
    Affected(affected::Affected),
    Certs(certs::Certs),
    Check(check::Check),
    Ci(ci::Ci),
    Compare(Compare),
    Config(config::Config),
    Data(data::Data),
    Db(db::Db),
    Deploy(deploy::Deploy),
    New(new::New),
    Observe(observe::Observe),
    Work(work::Work),
    Up(Up),
    /// Call a method of a module, in the process that runs
    Call(operate::Operate),
    /// Erase what events and durable work hold of a person
    Erase(operate::Operate),
    /// Show how far the listeners of events are, and have one handle events again
    Events(operate::Operate),
    /// Print what events and durable work hold of a person, as JSON
    Export(operate::Operate),
    /// Show or change what the process logs
    Log(operate::Operate),
    /// Show the latest lines of the logs of all processes
    Logs(operate::Operate),
    /// Show methods by the rate of their calls, with p50, p99 and errors
    Top(operate::Operate),
    /// Show the latest requests, those that were kept, or one as a waterfall
    Traces(operate::Operate),
}

/// Build and start every process of a manifest on this machine, and restart a process that dies
#[derive(Debug, Args)]
struct Up {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    end_quietly_without_a_reader();
    // If the program runs as a cargo subcommand, cargo passes `monolift` as the first argument.
    let arguments = std::env::args().enumerate();
    let arguments = arguments.filter(|(at, text)| !(*at == 1 && text == "monolift"));
    let arguments: Vec<String> = arguments.map(|(_, text)| text).collect();
    let command = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed.command,
        Err(error) => return misunderstood(&error, &arguments),
    };
    let done = match command {
        Command::Affected(affected) => affected.run(),
        Command::Certs(certs) => certs.run(),
        Command::Check(check) => check.run(),
        Command::Ci(ci) => ci.run(),
        Command::Compare(compare) => compare.run(),
        Command::Config(config) => config.run(),
        Command::Data(data) => data.run(),
        Command::Db(db) => db.run(),
        Command::Deploy(deploy) => deploy.run(),
        Command::New(new) => new.run(),
        Command::Observe(observe) => observe.run(),
        Command::Work(work) => work.run(),
        Command::Up(Up { manifest, options }) => monolift_cli::up::run(&manifest, &options),
        Command::Call(operate) => return ended(operate.run("call")),
        Command::Erase(operate) => return ended(operate.run("erase")),
        Command::Export(operate) => return ended(operate.run("export")),
        Command::Events(operate) => return ended(operate.run("events")),
        Command::Log(operate) => return ended(operate.run("log")),
        Command::Logs(operate) => return ended(operate.run("logs")),
        Command::Top(operate) => return ended(operate.run("top")),
        Command::Traces(operate) => return ended(operate.run("traces")),
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

fn ended(done: Result<ExitCode, Box<dyn std::error::Error>>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// `println!` panics when the reader of a pipe has gone, as in `cargo monolift config | head`. The program then ends
/// without a message.
fn end_quietly_without_a_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}

/// Says what is wrong with the arguments. A URL among them may hold a password and is not shown.
fn misunderstood(error: &clap::Error, arguments: &[String]) -> ExitCode {
    let is_url = |argument: &&String| argument.contains("://") || argument.contains('@');
    if !error.use_stderr() || !arguments.iter().any(|argument| is_url(&argument)) {
        let _ = error.print();
    } else {
        let mut text = error.to_string();
        for url in arguments.iter().filter(is_url) {
            text = text.replace(url.as_str(), "…");
            // An argument such as `--admn=postgres://…` is quoted in parts.
            if let Some((_, value)) = url.split_once('=') {
                text = text.replace(value, "…");
            }
        }
        eprint!("{text}");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
