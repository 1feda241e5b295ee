//! Objects of Kubernetes, as a base of kustomize with components and the beginning of overlays.
//!
//! | file | holds |
//! |---|---|
//! | `workload` | what runs a process and how it is scaled |
//! | `network` | who reaches whom: services and policies |
//! | `entry` | what brings requests from outside: an Ingress or an HTTPRoute |
//! | `migrate` | the jobs that apply migrations |
//! | `components` | TLS by cert-manager, monitoring, scaling by queue, linkerd |
//! | `overlay` | what a person takes over: images, namespaces, secrets |

mod components;
mod entry;
mod migrate;
mod network;
mod overlay;
mod workload;

use super::{
    Entry, Files, Mesh, file,
    settings::{self, Hosts},
    system::System,
};
use std::fmt::Write as _;

pub(super) fn files(system: &System, mesh: Option<Mesh>, entry: Entry) -> Files {
    let head = system.head("kubernetes");
    let mut files = vec![
        file("base/settings.toml", settings::file(system, &head, &Hosts::Kubernetes)),
        file("base/default-deny.yaml", network::default_deny(system, &head)),
        file("RELEASE.md", release(system, &head)),
    ];
    let mut resources = vec!["default-deny.yaml".to_owned()];
    for process in &system.processes {
        let objects = [
            workload::account(system, process),
            workload::workload(system, process),
            workload::disruption(system, process),
            workload::scaling(system, process),
            network::service(system, process),
            network::front(system, process),
            network::policy(system, process, entry),
        ];
        let objects: Vec<String> = objects.into_iter().filter(|one| !one.is_empty()).collect();
        let text = format!("# {head}\n#\n# {}\n---\n{}", process.runs(), objects.join("---\n"));
        files.push(file(format!("base/{}.yaml", process.host), text));
        resources.push(format!("{}.yaml", process.host));
    }
    if let Some(gateway) = system.gateways().next() {
        let (name, text) = entry.object(system, gateway, &head);
        files.push(file(format!("base/{name}"), text));
        resources.push(name.to_owned());
    }
    files.push(file("base/kustomization.yaml", base(system, &head, &resources)));
    files.extend(migrate::files(system, &head));
    files.extend(components::files(system, &head, mesh));
    files.extend(overlay::examples(system, &head));
    Files {
        generated: files,
        begun: overlay::begun(system, mesh, entry),
        whole: &[
            "base",
            "migrate",
            "secrets.example",
            "components/tls",
            "components/monitoring",
            "components/queue",
        ],
    }
}

fn base(system: &System, head: &str, resources: &[String]) -> String {
    let System { name, .. } = system;
    let resources: String = resources.iter().map(|one| format!("  - {one}\n")).collect();
    format!(
        "# {head}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
{resources}# The name has a hash of the content, so a change of settings restarts the processes.
configMapGenerator:
  - name: {name}-settings
    files: [settings.toml]
"
    )
}

/// The labels of an object, or of the pods that a selector means, with this indentation.
fn labels(system: &System, component: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    format!(
        "{pad}app.kubernetes.io/part-of: {}\n{pad}app.kubernetes.io/component: {component}\n",
        system.name
    )
}

/// The beginning of an object.
fn object(system: &System, version: &str, kind: &str, name: &str, component: &str) -> String {
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n  labels:\n{}",
        labels(system, component, 4)
    )
}

/// What a release does, and in which order.
fn release(system: &System, head: &str) -> String {
    let mut text = format!(
        "<!-- {head} -->\n\n# Releasing {}\n\n\
         A release goes through these steps in this order. Each waits for the one before.\n\n\
         1. The jobs in `migrate/` apply the migrations of the new release. The old release still runs, so a migration must not\n   \
         break it: `cargo monolift check` warns of those that do.\n\
         2. The processes are updated one after another, those that are called before those that call:\n\n",
        system.app
    );
    for (at, process) in system.processes.iter().enumerate() {
        let calls = if process.calls.is_empty() {
            "no other process".to_owned()
        } else {
            list(&process.calls)
        };
        let _ = writeln!(text, "   {}. `{}` calls {calls}", at + 1, process.unit);
    }
    text.push_str(
        "\nA roll-back goes through the processes the other way round. Migrations stay: the old release runs with them.\n\n\
         In this order a new caller never meets an old callee, in both directions. An old caller meets a new callee: that is\n\
         safe if the change of the interface is compatible. While two releases run, a process says in its log what does not fit.\n\n\
         ## What one image cannot do\n\n\
         The build decides which modules are linked into a program, so an image is for one process of one manifest. After a\n\
         change of `[modules]` the processes that it names are built again, and released together:\n\n\
         1. Release the process that the module moves to, with the new manifest. Nothing calls it yet.\n\
         2. Release its callers, the gateways last. Now calls go to the new place.\n\
         3. Release the process that the module has left. Until then both copies can do the module's durable work, which\n   \
         leases keep apart.\n\n\
         A roll-back to the images before is the same steps the other way round. An image with one split and a manifest with\n\
         another one do not start.\n",
    );
    text
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
