//! The facts of a deployment as values, for teams with a chart of their own.

use super::{
    file,
    settings::{self, Hosts},
    system::{ADMIN, CALLS, FAREWELL, HTTP, Process, System},
};
use crate::written::Written;
use std::{fmt::Write as _, time::Duration};

pub(super) fn files(system: &System) -> Vec<Written> {
    let head = system.head("helm-values");
    vec![file("values.yaml", values(system, &head))]
}

fn values(system: &System, head: &str) -> String {
    let mut text = format!(
        "# {head}
#
# For a chart of your own: what an application's processes are, and how they reach each other.

app: {}
# The order of a release. A roll-back is the other way round.
order:
",
        system.name
    );
    for process in &system.processes {
        let _ = writeln!(text, "  - {}", process.host);
    }
    let _ = writeln!(text, "settings:\n  path: {}\n  text: |", settings::place(system));
    for line in settings::file(system, head, &Hosts::Kubernetes).lines() {
        let _ = writeln!(text, "{}", format!("    {line}").trim_end());
    }
    text.push_str("processes:\n");
    for process in &system.processes {
        one(&mut text, system, process);
    }
    text
}

/// Writing to a string cannot fail.
fn one(text: &mut String, system: &System, process: &Process) {
    let farewell = if process.has_gateway { FAREWELL } else { Duration::ZERO };
    let _ = write!(
        text,
        "  # {}
  {}:
    image: {}
    stateful: {}
    replicas: {}
    # In seconds: what a stop takes, and before that, how long proxies still send requests.
    grace: {}
    farewell: {}
    memory: {}Mi
    probes:
      live: /livez
      ready: /readyz
      port: {ADMIN}
    ports:
      admin: {ADMIN}
",
        process.runs(),
        process.host,
        process.unit,
        process.keeps_files(),
        process.replicas,
        system.grace(farewell),
        farewell.as_secs(),
        system.memory()
    );
    if process.listens {
        let _ = writeln!(text, "      calls: {CALLS}");
    }
    if process.has_gateway {
        let _ = writeln!(text, "      http: {HTTP}");
    }
    let names = |text: &mut String, key: &str, names: Vec<String>| {
        if names.is_empty() {
            let _ = writeln!(text, "    {key}: []");
            return;
        }
        let _ = writeln!(text, "    {key}:");
        for name in names {
            let _ = writeln!(text, "      - {name}");
        }
    };
    let hosts = |processes: &[String]| {
        processes.iter().map(|name| system.process(name).host.clone()).collect()
    };
    names(text, "calls", hosts(&process.calls));
    names(text, "calledBy", hosts(&process.called_by));
    let urls = |key: &str| -> Vec<String> {
        process.on_postgres().map(|module| system.variable(&format!("{module}.db.{key}"))).collect()
    };
    let token = format!("{}ADMIN_TOKEN", system.prefix);
    names(text, "secrets", [vec![token], urls("url")].concat());
    names(text, "migrateSecrets", if process.has_job() { urls("migrate_url") } else { Vec::new() });
}
