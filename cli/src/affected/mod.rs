//! `cargo monolift affected`: which processes a change reaches, each with the reason.
//!
//! Cargo's graph says what is compiled into the program of a process. The manifest says what else a process is made from:
//! its own text, which each program embeds, and the graph of calls, by which a process knows who may call it. A file
//! that no rule knows reaches every process.
//!
//! | file | holds |
//! |---|---|
//! | `changes` | what git says has changed |
//! | `members` | the packages of the workspace, and what each is compiled from |
//! | `lock` | what a Cargo.lock resolves |
//! | `rules` | what one changed file reaches |
//! | `manifests` | what a changed manifest reaches |
//! | `reach` | the processes and packages that are reached |

mod changes;
mod lock;
mod manifests;
mod members;
mod reach;
mod rules;
#[cfg(test)]
mod tests;

use changes::Changes;
use clap::Args;
use monolift_manifest::{Graph, Manifest, Workspace};
use reach::Answer;
use serde_json::json;
use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Print which processes a change reaches, each with the reason
///
/// The work tree, with what is not committed, is compared with a revision of git. What reaches no process is printed
/// too, with the reason. Processes come in the order of a release: those that are called before those that call.
#[derive(Debug, Args)]
pub(crate) struct Affected {
    /// The revision. Without one, every process is affected
    #[arg(long, value_name = "REV")]
    since: Option<String>,
    /// The manifest by which the processes are built
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["names", "packages"])]
    json: bool,
    /// Print the names of the processes only
    #[arg(long)]
    names: bool,
    /// Print the names of the packages only whose tests the change reaches
    #[arg(long, conflicts_with = "names")]
    packages: bool,
}

impl Affected {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let deployment = Deployment::read(&env::current_dir()?, &self.manifest)?;
        let answer = match &self.since {
            Some(revision) => {
                deployment.reached_by(&Changes::since(&deployment.workspace.root, revision)?)?
            }
            None => Answer::all(&deployment, "no revision is given")?,
        };
        let text = if self.names {
            lines(answer.processes.iter().map(|process| &process.name))
        } else if self.packages {
            lines(answer.packages.iter())
        } else if self.json {
            format!("{:#}\n", as_json(&answer, self.since.as_deref()))
        } else {
            shown(&answer)
        };
        print!("{text}");
        Ok(())
    }
}

/// The manifest by which the processes are built, and its workspace.
pub(super) struct Deployment {
    pub(super) workspace: Workspace,
    pub(super) manifest: Manifest,
    pub(super) graph: Graph,
    /// The manifest's file, from the root of the workspace.
    pub(super) file: String,
}

impl Deployment {
    pub(super) fn read(folder: &Path, manifest: &Path) -> Result<Self, Box<dyn Error>> {
        let workspace = Workspace::find(folder)?;
        let path = folder.join(manifest);
        let path = fs::canonicalize(&path)
            .map_err(|error| format!("{} cannot be read: {error}", manifest.display()))?;
        let text = fs::read_to_string(&path)?;
        let root = fs::canonicalize(&workspace.root)?;
        let file = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        let manifest = Manifest::parse_in(&text, manifest, &workspace, None)?;
        let graph = Graph::check(&manifest, &workspace, None)?;
        Ok(Self { workspace, manifest, graph, file })
    }
}

fn lines<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("{name}\n")).collect()
}

fn as_json(answer: &Answer, since: Option<&str>) -> serde_json::Value {
    let processes = answer.processes.iter().map(
        |process| json!({ "name": process.name, "package": process.package, "because": process.because }),
    );
    let reach_none =
        answer.reach_none.iter().map(|(file, why)| json!({ "file": file, "because": why }));
    json!({
        "since": since,
        "processes": processes.collect::<Vec<_>>(),
        "packages": answer.packages,
        "reach_none": reach_none.collect::<Vec<_>>(),
    })
}

fn shown(answer: &Answer) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for process in &answer.processes {
        let _ = writeln!(text, "{}", process.name);
        for because in &process.because {
            let _ = writeln!(text, "  {because}");
        }
    }
    if !answer.reach_none.is_empty() {
        text.push_str("no process\n");
        for (file, why) in &answer.reach_none {
            let _ = writeln!(text, "  {file}: {why}");
        }
    }
    if text.is_empty() {
        text.push_str("nothing has changed\n");
    }
    text
}
