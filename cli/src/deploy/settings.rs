//! The settings file that all processes of a deployment read. It holds addresses and nothing secret.

use super::system::{ADMIN, CALLS, HTTP, System};
use std::fmt::Write as _;

/// Where a process of another host is found, by its place in the deployment.
pub(super) enum Hosts {
    /// As the services of a composed system: `stock`.
    Compose,
    /// As the headless services of a namespace: `shop-stock`.
    Kubernetes,
}

/// Where the files of modules are.
pub(super) const DATA: &str = "/data";
/// Where the settings file is, in each container.
pub(super) fn place(system: &System) -> String {
    format!("/etc/{}/settings.toml", system.name)
}

/// The text of the file.
pub(super) fn file(system: &System, head: &str, hosts: &Hosts) -> String {
    let mut text = format!(
        "# {head}\n#\n# All processes read it. Variables replace its values, and secrets are variables.\n\n"
    );
    if system.processes.iter().any(|process| process.keeps_files()) {
        let _ = writeln!(text, "data = \"{DATA}\" # SQLite files\n");
    }
    let manifest = &system.manifest;
    if manifest.tls.is_none() && !manifest.mesh && !manifest.insecure {
        let why = match hosts {
            Hosts::Compose => {
                "the processes share a network of their own, and nothing encrypts their calls"
            }
            Hosts::Kubernetes => {
                "without the component `tls` or a mesh, nothing encrypts calls between pods"
            }
        };
        let _ = writeln!(text, "insecure = true # {why}\n");
    }
    for process in &system.processes {
        let _ = writeln!(text, "[process.{}]", process.name);
        if process.has_gateway {
            let _ = writeln!(text, "http = \"0.0.0.0:{HTTP}\"");
        }
        if process.listens {
            let host = match hosts {
                Hosts::Compose => &process.host,
                Hosts::Kubernetes => &process.unit,
            };
            let _ = writeln!(text, "listen = \"0.0.0.0:{CALLS}\"");
            let _ = writeln!(
                text,
                "connect = \"{host}:{CALLS}\" # every address of this name is a replica"
            );
        }
        let _ = writeln!(text, "admin = \"0.0.0.0:{ADMIN}\"\n");
    }
    if system.gateways().next().is_some() {
        let clients = system.manifest.limits.clients;
        let _ = writeln!(
            text,
            "[limits]\nclients_per_address = {clients} # all of `clients`: a proxy brings every client from its own address\n"
        );
    }
    if matches!(hosts, Hosts::Kubernetes)
        && system.processes.iter().any(|process| process.has_job())
    {
        text.push_str("[db]\nmigrate = \"never\" # a job has applied the migrations, as the role that owns the tables\n\n");
        for process in system.processes.iter().filter(|process| process.keeps_files()) {
            for (module, _) in &process.databases {
                let _ = writeln!(
                    text,
                    "[{module}.db]\nmigrate = \"start\" # no job reaches the volume of `{}`\n",
                    process.name
                );
            }
        }
    }
    format!("{}\n", text.trim_end())
}
