//! What a contributor runs, as `cargo xtask …`.

mod cargo;
mod install;
mod simulate;
mod tests;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

  test      everything that must pass: formatting, lints, docs and all tests of the workspace
  chaos     the split shop, while processes are killed and connections cut; `chaos --help` says more
  simulate  calls between processes, in a simulated network that fails; `simulate --help` says more";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["test"] => tests::run(),
        ["chaos", ref options @ ..] => tests::chaos(options),
        ["simulate", ref options @ ..] => simulate::run(options),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("no such task: {}\n\n{HELP}", arguments.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
