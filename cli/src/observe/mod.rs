//! `cargo monolift observe`: writes what Prometheus, Grafana, Filebeat, Loki and an OpenTelemetry collector need to
//! observe an application.
//!
//! The files follow from the manifest alone: no settings, no clock, no network. So they can be committed, and `--check`
//! tells when they are out of date.

mod alerts;
mod collector;
mod deployment;
mod grafana;
mod logs;
mod prometheus;
mod rules;

use self::deployment::Deployment;
use crate::written::{self, Written};
use alerts::Alert;
use clap::Args;
use monolift_manifest::Manifest;
use std::{error::Error, path::PathBuf};

/// Write what Prometheus, Grafana, Filebeat, Loki and an OpenTelemetry collector need
///
/// The files follow from the manifest alone, and are meant to be committed.
#[derive(Debug, Args)]
pub(crate) struct Observe {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// The folder that the files are written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write nothing, and fail if a file is out of date
    #[arg(long)]
    check: bool,
    /// Where the runbooks are that alerts name: a URL or a folder. By default they are written to DIR/runbooks
    #[arg(long, value_name = "PLACE")]
    runbooks: Option<String>,
}

impl Observe {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let deployment = Deployment::read(&self.manifest)?;
        let files = files(&deployment, self.runbooks.as_deref());
        if self.check {
            written::check(&self.out, &files)
        } else {
            written::write(&self.out, &files)
        }
    }
}

/// All files of an application.
fn files(deployment: &Deployment, runbooks: Option<&str>) -> Vec<Written> {
    let alerts = alerts::of(deployment);
    let place = runbooks.unwrap_or(RUNBOOKS).trim_end_matches('/');
    let mut files = vec![
        ("prometheus.yml", prometheus::config(deployment)),
        ("rules.yml", rules::rules(deployment, &alerts, place)),
        ("rules.test.yml", rules::tests(deployment, &alerts, place)),
        ("grafana-dashboard.json", grafana::dashboard(deployment)),
        ("grafana-datasource.yml", grafana::datasource(deployment)),
        ("filebeat.yml", logs::filebeat(deployment)),
        ("loki.alloy", logs::loki(deployment)),
        ("otel-collector.yml", collector::config(deployment)),
    ]
    .into_iter()
    .map(|(path, text)| Written { path: path.to_owned(), text })
    .collect::<Vec<_>>();
    if runbooks.is_none() {
        files.extend(alerts.iter().map(|Alert { name, runbook, .. }| Written {
            path: format!("{RUNBOOKS}/{name}.md"),
            text: (*runbook).to_owned(),
        }));
    }
    files
}

/// What Prometheus and Grafana read in a deployment whose processes listen as this manifest says: the files of
/// [`files`] but for those of logs and traces, each with its name.
pub(crate) fn for_deployment(manifest: &Manifest) -> Result<Vec<Written>, Box<dyn Error>> {
    let deployment = Deployment::of(manifest)?;
    let alerts = alerts::of(&deployment);
    let files = [
        ("prometheus.yml", prometheus::config(&deployment)),
        ("rules.yml", rules::rules(&deployment, &alerts, RUNBOOKS)),
        ("grafana-dashboard.json", grafana::dashboard(&deployment)),
    ];
    Ok(files.into_iter().map(|(path, text)| Written { path: path.to_owned(), text }).collect())
}

/// The folder of the runbooks, if they are not elsewhere.
const RUNBOOKS: &str = "runbooks";

/// The first line of a file, behind what begins a comment there.
fn head(deployment: &Deployment) -> String {
    format!(
        "Written by `cargo monolift observe` from {}. Change that file, and run the command again.",
        deployment.manifest
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_manifest_gives_the_same_files() {
        let texts = || {
            let files = files(&deployment::tests::shop(), None);
            files.into_iter().map(|file| (file.path, file.text)).collect::<Vec<_>>()
        };
        assert_eq!(texts(), texts());
        assert!(texts().iter().all(|(_, text)| text.ends_with('\n') && !text.ends_with("\n\n")));
    }

    #[test]
    fn runbooks_are_written_unless_they_are_elsewhere() {
        let shop = deployment::tests::shop();
        let count = |files: Vec<Written>| {
            files.iter().filter(|file| file.path.starts_with("runbooks/")).count()
        };
        assert_eq!(count(files(&shop, None)), alerts::of(&shop).len());
        let elsewhere = files(&shop, Some("https://wiki.example/runbooks/"));
        let rules = elsewhere.iter().find(|file| file.path == "rules.yml").unwrap();
        let url = "runbook_url: \"https://wiki.example/runbooks/MonoliftCallsFail.md\"";
        assert!(rules.text.contains(url), "{}", rules.text);
        assert_eq!(count(elsewhere), 0);
    }
}
