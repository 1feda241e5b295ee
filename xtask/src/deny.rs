//! What the dependencies may be: their licences, their sources, and no two versions of one without a reason. `deny.toml` says
//! it, and cargo-deny holds it.

use crate::{cargo::cargo, steps::Steps};

/// Checks that need nothing but the lock file and what is compiled from it. Advisories need a database from the network.
const CHECKS: [&str; 3] = ["bans", "licenses", "sources"];

pub(crate) fn check(steps: &mut Steps) -> Result<(), String> {
    let is_there =
        cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!(
            "cargo-deny is not installed: licences, sources and versions of dependencies are not checked here. \
             `cargo install cargo-deny` installs it"
        );
        return Ok(());
    }
    let options =
        ["deny", "--workspace", "--all-features", "--offline", "--log-level", "error", "check"];
    steps.quiet("dependencies", cargo(&[&options[..], &CHECKS].concat()))
}
