//! `cargo monolift up`: starts every process of a manifest on this machine, and restarts a process
//! that dies.

pub(crate) mod build;
pub(crate) mod child;
pub(crate) mod encrypt;
pub(crate) mod plan;
pub(crate) mod supervise;
mod table;

pub use plan::Program;

use clap::{Args, Parser};
use plan::Plan;
use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Options of [`run`].
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Build with optimisations
    #[arg(long)]
    pub release: bool,
    /// Start only these processes, or those of these modules. Calls of the others fail as unreachable, unless you start
    /// them yourself
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub only: Vec<String>,
    /// With --only: answer the calls of the other modules with examples, made from the types of their answers
    #[arg(long, requires = "only")]
    pub fakes: bool,
}

/// Build and start every process of this application, and restart a process that dies
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// Builds and starts the processes of `manifest`, and runs until ctrl-C. This is the whole `main`
/// of a program, whose arguments are [`Options`].
pub fn main(manifest: &Path) -> ExitCode {
    let Arguments { options } = Arguments::parse();
    match run(manifest, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The programs that were built for a manifest.
#[derive(Debug)]
pub struct Built {
    /// The application's name.
    pub app: String,
    /// The absolute path of the manifest.
    pub manifest: PathBuf,
    /// The root of the workspace.
    pub root: PathBuf,
    /// The program of each process.
    pub programs: BTreeMap<String, PathBuf>,
    /// The number of replicas of each process.
    pub replicas: BTreeMap<String, usize>,
}

impl Built {
    /// Builds the programs of `manifest`.
    pub fn of(manifest: &Path, options: &Options) -> Result<Self, Box<dyn Error>> {
        let plan = Plan::of(manifest)?.only(&options.only, options.fakes)?;
        let programs = build::all(&plan, options)?;
        let processes = plan.processes.into_iter();
        let replicas = processes.map(|process| (process.name, process.replicas.len()));
        Ok(Self {
            programs,
            replicas: replicas.collect(),
            app: plan.app,
            manifest: plan.manifest,
            root: plan.root,
        })
    }
}

/// Builds and starts the processes of `manifest`, and runs until ctrl-C or SIGTERM.
pub fn run(manifest: &Path, options: &Options) -> Result<(), Box<dyn Error>> {
    let plan = Plan::of(manifest)?.only(&options.only, options.fakes)?;
    let programs = build::all(&plan, options)?;
    if let Some(said) = encrypt::prepare(&plan)? {
        eprintln!("{said}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise::run(plan, programs))
}
