//! Starts every process of a manifest on this machine, and keeps them up: `cargo monolift up`.

mod build;
mod child;
mod plan;
mod supervise;
mod table;

use plan::Plan;
use std::{error::Error, path::Path, process::ExitCode};

/// What may be said about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Build as `--release`.
    pub release: bool,
}

/// Builds what `manifest` needs, starts it, and stays until ctrl-C. A whole `main`.
pub fn main(manifest: &Path) -> ExitCode {
    match run(manifest, Options::default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what `manifest` needs, starts it, and stays until ctrl-C or SIGTERM.
pub fn run(manifest: &Path, options: Options) -> Result<(), Box<dyn Error>> {
    let plan = Plan::of(manifest)?;
    let programs = build::all(&plan, options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise::run(plan, programs))
}
