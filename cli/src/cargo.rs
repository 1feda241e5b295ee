//! Starts cargo from a program that cargo may have started.
//!
//! `cargo run` and `cargo nextest` describe their package to the program in variables such as `CARGO_MANIFEST_DIR`.
//! Build scripts watch them: ring's runs again when one has changed, and all that needs ring is compiled again. So
//! these variables must not reach the next cargo. This file has no dependency: `xtask` and `tests` include it as well.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Cargo, without the variables that describe the package of the program that starts it.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (key, _) in env::vars_os() {
        if key.to_str().is_some_and(describes_a_package) {
            command.env_remove(key);
        }
    }
    command
}

/// Where cargo builds what belongs to a workspace.
#[allow(
    dead_code,
    unreachable_pub,
    reason = "other programs include this file, and not all of them build"
)]
pub fn target_of(workspace: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

/// Settings of cargo, such as `CARGO_HOME` and `CARGO_TARGET_DIR`, do not.
fn describes_a_package(key: &str) -> bool {
    const BEGINNINGS: [&str; 8] =
        ["BIN_", "CFG_", "CRATE_", "FEATURE_", "MANIFEST_", "PKG_", "PRIMARY_", "TARGET_TMPDIR"];
    let of_cargo = key.strip_prefix("CARGO_").unwrap_or_default();
    key == "OUT_DIR" || BEGINNINGS.iter().any(|beginning| of_cargo.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_a_package_stays_out() {
        // Cargo has set these for this test.
        assert!(
            env::var_os("CARGO_MANIFEST_DIR").is_some() && env::var_os("CARGO_PKG_NAME").is_some()
        );
        let command = cargo();
        let removed: Vec<&str> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .filter_map(|(key, _)| key.to_str())
            .collect();
        assert!(removed.contains(&"CARGO_MANIFEST_DIR") && removed.contains(&"CARGO_PKG_NAME"));
        assert!(removed.iter().all(|key| describes_a_package(key)), "{removed:?}");
        for setting in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "RUSTFLAGS"]
        {
            assert!(!describes_a_package(setting), "{setting}");
        }
    }
}
