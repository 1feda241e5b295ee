//! `cargo xtask test`: each step says what it does, and the first that fails ends it.

use crate::{
    cargo::{cargo, target, workspace},
    install, simulate,
};
use std::{process::Command, time::Instant};

/// How many seeds are simulated here; more of them by hand.
const SEEDS: &str = "100";

pub(crate) fn run() -> Result<(), String> {
    install::what_is_missing()?;
    let nextest = has_nextest();
    step("formatting", cargo(&["fmt", "--all", "--check"]))?;
    let lints = ["--all-targets", "--quiet", "--", "-D", "warnings"];
    step("lints", workspace("clippy", &lints))?;
    let mut docs = workspace("doc", &["--no-deps", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    step("docs", docs)?;
    step("examples in the docs", workspace("test", &["--doc", "--quiet"]))?;
    step("the benchmark's lints", cargo(&[&["clippy", "-p", "bench"], &lints[..]].concat()))?;
    // Its figures mean nothing here; what it says matters only when it fails.
    step("the benchmark", cargo(&["build", "-p", "bench", "--quiet"]))?;
    quiet_step("the benchmark runs", cargo(&["run", "-p", "bench", "--quiet", "--", "--smoke"]))?;
    step("the simulation's lints", simulate::command(&["clippy"], &lints))?;
    step("the simulation's own tests", simulate::command(&["test", "--quiet"], &[]))?;
    step(
        "the simulation",
        simulate::command(&["run", "--quiet"], &["--", "--seeds", SEEDS, "--twice"]),
    )?;
    step(
        "the simulation's deadlines",
        simulate::command(&["run", "--quiet"], &["--", "--deadlines"]),
    )?;
    step(
        "the mistakes planted in it",
        simulate::command(&["run", "--quiet"], &["--", "--planted"]),
    )?;
    // Whole-system tests start these.
    step("programs", workspace("build", &["--bins", "--quiet"]))?;
    step("the shop is restarted", chaos_command(&["--debug", "--rolling"]))?;
    step(
        "the shop in a storm",
        chaos_command(&["--debug", "--kills", "10", "--operations", "2000"]),
    )?;
    // Last, so that its closing line is the last one.
    if nextest {
        let mut tests = cargo(&["nextest", "run"]);
        tests.args(["--workspace", "--exclude", "bench", "--exclude", "simulation"]);
        tests.arg("--no-fail-fast");
        run_step("tests", tests)
    } else {
        println!("cargo-nextest is not installed: running `cargo test`, which is slower");
        run_step("tests", workspace("test", &["--all-targets", "--no-fail-fast"]))
    }
}

/// `cargo xtask chaos`.
pub(crate) fn chaos(options: &[&str]) -> Result<(), String> {
    run_step("chaos", chaos_command(options))
}

fn chaos_command(options: &[&str]) -> Command {
    let mut command = cargo(&[&["run", "--quiet", "-p", "chaos", "--"], options].concat());
    if options.contains(&"--planted") {
        // A build of its own, so that no other one has the mistakes in it.
        command.env("CARGO_TARGET_DIR", target().join("planted"));
        command.env("RUSTFLAGS", "--cfg planted");
    }
    command
}

fn step(what: &str, command: Command) -> Result<(), String> {
    let start = Instant::now();
    run_step(what, command)?;
    println!("    {} s", start.elapsed().as_secs());
    Ok(())
}

/// Shows what a command says only when it fails.
fn quiet_step(what: &str, mut command: Command) -> Result<(), String> {
    println!("==> {what}");
    let output = command.output().map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(format!("{what}: failed"))
}

fn run_step(what: &str, mut command: Command) -> Result<(), String> {
    println!("==> {what}");
    let status =
        command.status().map_err(|error| format!("{what}: cargo did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what}: failed")) }
}

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}
