//! What a contributor runs, as `cargo xtask …`.

mod cargo;
mod deny;
mod fuzz;
mod install;
mod simulate;
mod steps;
mod tests;

use std::process::ExitCode;
use tests::Length;

const HELP: &str = "\
cargo xtask <task>

  test      everything that must pass before a change lands: formatting, lints, docs and tests
            --long  and before a release: many seeds and kills, planted mistakes, figures, the benchmark
  chaos     the split shop, while processes are killed and connections cut; `chaos --help` says more
  abuse     the shop, while it is flooded and its payments fail; `abuse --help` says more
  fuzz      what arrives from outside, as hostile as it can be; `fuzz --help` says more
  simulate  calls between processes, in a simulated network that fails; `simulate --help` says more";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["test"] => return tested(Length::Short),
        ["test", "--long"] => return tested(Length::Long),
        ["chaos", ref options @ ..] => tests::chaos(options),
        ["abuse", ref options @ ..] => tests::abuse(options),
        ["fuzz", ref options @ ..] => fuzz::run(options),
        ["simulate", ref options @ ..] => simulate::run(options),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("no such task: {}\n\n{HELP}", arguments.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Failed tests have said so themselves, in their closing line.
fn tested(length: Length) -> ExitCode {
    match tests::run(length) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
