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
use alerts::Alert;
use clap::Args;
use std::{
    error::Error,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

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

/// A file, by its path in the folder.
struct Written {
    path: String,
    text: String,
}

impl Observe {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let deployment = Deployment::read(&self.manifest)?;
        let files = files(&deployment, self.runbooks.as_deref());
        if self.check { self.check(&files) } else { self.write(&files) }
    }

    fn write(&self, files: &[Written]) -> Result<(), Box<dyn Error>> {
        for file in files {
            let path = self.out.join(&file.path);
            if is_as_written(&path, file)? {
                continue;
            }
            let folder = path.parent().unwrap_or(&self.out);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, &file.text))
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
            println!("{}", path.display());
        }
        Ok(())
    }

    fn check(&self, files: &[Written]) -> Result<(), Box<dyn Error>> {
        let mut stale = Vec::new();
        for file in files {
            let path = self.out.join(&file.path);
            if !is_as_written(&path, file)? {
                stale.push(path.display().to_string());
            }
        }
        if stale.is_empty() {
            return Ok(());
        }
        let message = format!("out of date: {}", stale.join(", "));
        Err(format!("{message}\nhelp: run the same command without --check").into())
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

/// The folder of the runbooks, if they are not elsewhere.
const RUNBOOKS: &str = "runbooks";

/// The first line of a file, behind what begins a comment there.
fn head(deployment: &Deployment) -> String {
    format!(
        "Written by `cargo monolift observe` from {}. Change that file, and run the command again.",
        deployment.manifest
    )
}

fn is_as_written(path: &Path, file: &Written) -> Result<bool, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes == file.text.as_bytes()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
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
