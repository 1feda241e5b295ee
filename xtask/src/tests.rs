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
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    step("lints", cargo(&lints))?;
    let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    step("docs", docs)?;
    step("examples in the docs", cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    // Whole-system tests start these.
    step("programs", cargo(&["build", "--workspace", "--bins", "--quiet"]))?;
    // Last, so that its closing line is the last one.
    if nextest {
        run_step("tests", cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]))
    } else {
        println!("cargo-nextest is not installed: running `cargo test`, which is slower");
        run_step("tests", cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast"]))
    }
}

fn step(what: &str, command: Command) -> Result<(), String> {
    let start = Instant::now();
    run_step(what, command)?;
    println!("    {} s", start.elapsed().as_secs());
    Ok(())
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

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
