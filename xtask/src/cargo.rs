//! How cargo is called.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

#[path = "../../cli/src/cargo.rs"]
mod command;

/// The benchmark's peers, the exporter of traces and the collector of its tests need other features of what the programs
/// need too, so a build of all would be shared with no single program. Checks have one set of features for everything
/// instead: lints and docs share it.
const APART: [&str; 6] =
    ["--exclude", "bench", "--exclude", "monolift-otlp", "--exclude", "otlp-tests"];

pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = command::cargo();
    command.args(arguments).current_dir(root());
    command
}

/// Checks all packages.
pub(crate) fn everything(what: &str, arguments: &[&str]) -> Command {
    cargo(&[&[what, "--workspace"], arguments].concat())
}

/// Builds all packages that share one compiled copy of their dependencies.
pub(crate) fn workspace(what: &[&str], arguments: &[&str]) -> Command {
    cargo(&[what, &["--workspace"], &APART, arguments].concat())
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    command::target_of(&root())
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
