//! Starts every process of a manifest on this machine, and keeps them up: `cargo monolift up`.

pub(crate) mod build;
pub(crate) mod child;
pub(crate) mod plan;
pub(crate) mod supervise;
mod table;

use plan::Plan;
use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

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

/// The programs of a manifest, built.
#[derive(Debug)]
pub struct Built {
    /// The application's name.
    pub app: String,
    /// The manifest, from the root of the file system.
    pub manifest: PathBuf,
    /// The workspace's root.
    pub root: PathBuf,
    /// The program of each process.
    pub programs: BTreeMap<String, PathBuf>,
    /// The modules of each process, and how many of it run.
    pub modules: Vec<(Vec<String>, usize)>,
}

impl Built {
    /// Builds what `manifest` needs.
    pub fn of(manifest: &Path, options: Options) -> Result<Self, Box<dyn Error>> {
        let plan = Plan::of(manifest)?;
        let programs = build::all(&plan, options)?;
        let modules = plan.processes.into_iter();
        let modules = modules.map(|process| (process.modules, process.replicas.len()));
        Ok(Self {
            programs,
            modules: modules.collect(),
            app: plan.app,
            manifest: plan.manifest,
            root: plan.root,
        })
    }
}

/// Builds what `manifest` needs, starts it, and stays until ctrl-C or SIGTERM.
pub fn run(manifest: &Path, options: Options) -> Result<(), Box<dyn Error>> {
    let plan = Plan::of(manifest)?;
    let programs = build::all(&plan, options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise::run(plan, programs))
}
