//! `cargo monolift ci github`: writes a pipeline that builds and releases what a change reaches.
//!
//! What the pipeline does stands in scripts beside it, which run on any machine as well.

use crate::{
    deploy::System,
    written::{self, Written},
};
use clap::{Args, Subcommand};
use std::{error::Error, path::PathBuf};

/// Write a pipeline that tests, builds and releases what a change reaches
#[derive(Debug, Args)]
pub(crate) struct Ci {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A workflow of GitHub Actions, with the scripts that its steps run
    Github(Github),
}

#[derive(Debug, Args)]
struct Github {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// The folder that the files are written to
    #[arg(long, default_value = ".github", value_name = "DIR")]
    out: PathBuf,
    /// Write nothing, and fail if a file is out of date
    #[arg(long)]
    check: bool,
    /// The folder of `cargo monolift deploy docker`, from the root of the workspace
    #[arg(long, default_value = "deploy/docker", value_name = "DIR")]
    docker: String,
    /// The folder of `cargo monolift deploy kubernetes`, from the root of the workspace
    #[arg(long, default_value = "deploy/kubernetes", value_name = "DIR")]
    kubernetes: String,
    /// The modules that keep SQLite files
    #[arg(long, value_delimiter = ',', value_name = "MODULES")]
    sqlite: Vec<String>,
}

impl Ci {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let Command::Github(github) = self.command;
        let system = System::read(&github.manifest, &github.sqlite)?;
        let files = github.files(&system);
        if github.check {
            return written::check(&github.out, &files);
        }
        written::write(&github.out, &files)
    }
}

/// The scripts, with what stands in them in place of a manifest's facts.
const WORKFLOW: &str = include_str!("templates/workflow.yml.txt");
const AFFECTED: &str = include_str!("templates/affected.sh.txt");
const CHECK: &str = include_str!("templates/check.sh.txt");
const TEST: &str = include_str!("templates/test.sh.txt");
const IMAGE: &str = include_str!("templates/image.sh.txt");
const RELEASE: &str = include_str!("templates/release.sh.txt");

impl Github {
    fn files(&self, system: &System) -> Vec<Written> {
        let scripts = self.out.join("monolift");
        let fill = |text: &str| {
            let facts = [
                ("{{head}}", system.head_of("ci github")),
                ("{{app}}", system.name().to_owned()),
                ("{{manifest}}", system.manifest_file().to_owned()),
                ("{{docker}}", self.docker.clone()),
                ("{{kubernetes}}", self.kubernetes.clone()),
                ("{{scripts}}", scripts.display().to_string()),
                ("{{order}}", system.names().join(" ")),
                ("{{jobs}}", system.with_jobs().join(" ")),
                ("{{stateful}}", system.stateful().join(" ")),
                ("{{sqlite}}", self.sqlite_option()),
            ];
            facts.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        [
            ("workflows/monolift.yml", WORKFLOW),
            ("monolift/affected.sh", AFFECTED),
            ("monolift/check.sh", CHECK),
            ("monolift/test.sh", TEST),
            ("monolift/image.sh", IMAGE),
            ("monolift/release.sh", RELEASE),
        ]
        .into_iter()
        .map(|(path, text)| Written { path: path.to_owned(), text: fill(text) })
        .collect()
    }

    fn sqlite_option(&self) -> String {
        match &self.sqlite[..] {
            [] => String::new(),
            modules => format!(" --sqlite {}", modules.join(",")),
        }
    }
}
