//! `cargo monolift deploy`: writes what runs an application outside of this machine.
//!
//! The files follow from the manifest, the workspace and nothing else, so they can be committed, and `--check` tells when
//! they are out of date. What a person changes stands in files of its own, which are begun once and never written again.
//!
//! | file | holds |
//! |---|---|
//! | `system` | what the files are written from |
//! | `databases` | which modules have a database, and of which kind |
//! | `settings` | the settings file that all processes read |
//! | `docker` | the Dockerfile that builds any process |
//! | `compose` | all processes with their servers, on one machine |
//! | `kubernetes/` | a kustomize base, components and the beginning of overlays |
//! | `helm` | the same facts as values for a chart |
//! | `nginx` | a proxy in front of the gateways |

mod compose;
mod databases;
mod docker;
mod helm;
mod kubernetes;
mod nginx;
mod settings;
mod system;

use crate::written::{self, Written};
use clap::{Args, Subcommand, ValueEnum};
use std::{error::Error, path::PathBuf};
pub(crate) use system::System;

/// Write what runs the application elsewhere: images, Kubernetes, a proxy
///
/// The files follow from the manifest and the workspace, and are meant to be committed.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A Dockerfile that builds the image of any process, by its name
    Docker(Options),
    /// All processes with PostgreSQL, Prometheus and Grafana, for `docker compose up`
    Compose(Options),
    /// A kustomize base, components, and the beginning of overlays
    Kubernetes(Kubernetes),
    /// Values for a Helm chart of your own
    HelmValues(Options),
    /// NGINX in front of the gateways
    Nginx(Options),
}

/// What all of them take.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// The folder that the files are written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write nothing, and fail if a file is out of date
    #[arg(long)]
    check: bool,
    /// The modules that keep SQLite files. All others with a database are on PostgreSQL
    #[arg(long, value_delimiter = ',', value_name = "MODULES")]
    sqlite: Vec<String>,
}

#[derive(Debug, Args)]
struct Kubernetes {
    #[command(flatten)]
    options: Options,
    /// The service mesh that runs in the cluster
    #[arg(long, value_name = "MESH")]
    mesh: Option<Mesh>,
    /// Write an HTTPRoute of the Gateway API in place of the Ingress
    #[arg(long)]
    gateway_api: bool,
}

/// What brings requests from outside to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Ingress,
    GatewayApi,
}

/// A service mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mesh {
    /// linkerd: only the declared callers of a process may reach it
    Linkerd,
}

/// What a command writes.
pub(crate) struct Files {
    /// Written again by each run.
    pub(crate) generated: Vec<Written>,
    /// Written if they are not there: they belong to a person.
    pub(crate) begun: Vec<Written>,
    /// The folders in which all files are generated: others there are of an older manifest.
    pub(crate) whole: &'static [&'static str],
}

impl Files {
    fn generated(files: Vec<Written>) -> Self {
        Self { generated: files, begun: Vec::new(), whole: &[] }
    }
}

impl Deploy {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        match self.command {
            Command::Docker(options) => {
                let out = options.out.clone();
                options.run(|system| Ok(Files::generated(docker::files(system, &out)?)))
            }
            Command::Compose(options) => {
                let out = options.out.clone();
                options.run(|system| Ok(Files::generated(compose::files(system, &out)?)))
            }
            Command::Kubernetes(Kubernetes { options, mesh, gateway_api }) => {
                let entry = if gateway_api { Entry::GatewayApi } else { Entry::Ingress };
                options.run(|system| Ok(kubernetes::files(system, mesh, entry)))
            }
            Command::HelmValues(options) => {
                options.run(|system| Ok(Files::generated(helm::files(system))))
            }
            Command::Nginx(options) => {
                options.run(|system| Ok(Files::generated(nginx::files(system)?)))
            }
        }
    }
}

impl Options {
    fn run(
        &self,
        files: impl FnOnce(&System) -> Result<Files, Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let system = System::read(&self.manifest, &self.sqlite)?;
        let Files { generated, begun, whole } = files(&system)?;
        let left = written::left_over(&self.out, whole, &generated);
        if self.check {
            written::check(&self.out, &generated)?;
            if let Some(file) = left.first() {
                let file = file.display();
                return Err(format!("{file} is of an older manifest\nhelp: remove it").into());
            }
            return Ok(());
        }
        written::write(&self.out, &generated)?;
        written::begin(&self.out, &begun)?;
        for file in left {
            eprintln!("{} is of an older manifest: remove it", file.display());
        }
        Ok(())
    }
}

/// A file with its text.
fn file(path: impl Into<String>, text: impl Into<String>) -> Written {
    Written { path: path.into(), text: text.into() }
}

#[cfg(test)]
mod tests;
