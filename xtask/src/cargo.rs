//! How cargo is called.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    command
}

/// All packages but the benchmark and the simulation, which want other features of what all use: they are
/// built for themselves, so that these are built as any one of them is.
pub(crate) fn workspace(what: &str, arguments: &[&str]) -> Command {
    cargo(
        &[&[what, "--workspace", "--exclude", "bench", "--exclude", "simulation"], arguments]
            .concat(),
    )
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
