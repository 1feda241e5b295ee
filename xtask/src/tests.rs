//! `cargo xtask test`: each step says what it does, and the first that fails ends it.

use crate::install;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

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
    // Whole-system tests start these.
    step("programs", workspace("build", &["--bins", "--quiet"]))?;
    // Last, so that its closing line is the last one.
    if nextest {
        let mut tests = cargo(&["nextest", "run"]);
        tests.args(["--workspace", "--exclude", "bench", "--no-fail-fast"]);
        run_step("tests", tests)
    } else {
        println!("cargo-nextest is not installed: running `cargo test`, which is slower");
        run_step("tests", workspace("test", &["--all-targets", "--no-fail-fast"]))
    }
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

fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    command
}

/// All packages but the benchmark, whose peers want other features of what both use: it is built for
/// itself, so that these are built as any one of them is.
fn workspace(what: &str, arguments: &[&str]) -> Command {
    cargo(&[&[what, "--workspace", "--exclude", "bench"], arguments].concat())
}

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
