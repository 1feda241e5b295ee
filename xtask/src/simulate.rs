//! `cargo xtask simulate`: builds the simulation as it has to be, and runs it.
//!
//! tokio draws lots, too, and lets them be seeded only where `tokio_unstable` is set. That would have
//! everything compiled again, so the simulation has a target folder of its own; and so it may as well have
//! the mistakes in it that it is to find when they are planted.

use crate::cargo::{cargo, target};
use std::process::Command;

pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let mut command = seeded(&["run", "--quiet"], &[&["--"], options].concat());
    let status = command.status().map_err(|error| format!("cargo did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err("the simulation failed".to_owned()) }
}

/// Has cargo do this to the simulation whose runs repeat exactly.
pub(crate) fn seeded(what: &[&str], options: &[&str]) -> Command {
    let package = ["--package", "simulation", "--profile", "simulation"];
    let mut command = cargo(&[what, &package, options].concat());
    command.env("CARGO_TARGET_DIR", target().join("simulation"));
    command.env("RUSTFLAGS", "--cfg tokio_unstable --cfg planted");
    command
}

/// The simulation as the rest of the workspace is built, which costs next to nothing. It checks the same, but
/// tokio's lots are not seeded: a seed that fails need not fail again.
pub(crate) fn quick(options: &[&str]) -> Command {
    cargo(&[&["run", "--quiet", "--package", "simulation", "--"], options].concat())
}
