//! What a person takes over: overlays that are begun once, and the names of secrets with their keys.

use crate::{
    deploy::{
        Entry, Mesh, file,
        system::{Process, System},
    },
    written::Written,
};
use monolift_data::role_of;
use std::fmt::Write as _;

const OVERLAYS: [&str; 2] = ["staging", "production"];

/// A file for each secret, with its keys and no values.
pub(super) fn examples(system: &System, head: &str) -> Vec<Written> {
    let System { name, prefix, app, .. } = system;
    let mut files = Vec::new();
    let begin = |secret: &str| {
        format!(
            "# {head}\n#\n# kubectl create secret generic {secret} --from-env-file={secret}.env\n"
        )
    };
    for process in &system.processes {
        let Process { unit, .. } = process;
        let mut text = begin(unit) + &format!("{prefix}ADMIN_TOKEN=\n");
        for module in process.on_postgres() {
            // With a job, the pods have a role that owns nothing.
            let role = role_of(app, module) + if process.has_job() { "_run" } else { "" };
            let variable = system.variable(&format!("{module}.db.url"));
            let _ = writeln!(text, "{variable}=postgres://{role}:password@db/{name}");
        }
        files.push(file(format!("secrets.example/{unit}.env"), text));
        if process.has_job() {
            let mut text = begin(&format!("{unit}-migrate"));
            for module in process.on_postgres() {
                let (role, variable) =
                    (role_of(app, module), system.variable(&format!("{module}.db.migrate_url")));
                let _ = writeln!(text, "{variable}=postgres://{role}:password@db/{name}");
            }
            files.push(file(format!("secrets.example/{unit}-migrate.env"), text));
        }
    }
    let monitoring = format!("{name}-monitoring");
    files.push(file(
        format!("secrets.example/{monitoring}.env"),
        begin(&monitoring) + "admin_token=\n",
    ));
    files
}

/// The beginning of each overlay.
pub(super) fn begun(system: &System, mesh: Option<Mesh>, entry: Entry) -> Vec<Written> {
    let mut files = Vec::new();
    for overlay in OVERLAYS {
        files.push(file(
            format!("overlays/{overlay}/kustomization.yaml"),
            overlay_of(system, overlay, mesh, entry),
        ));
        if system.processes.iter().any(Process::has_job) {
            files.push(file(
                format!("overlays/{overlay}/migrate/kustomization.yaml"),
                migrate_of(system, overlay),
            ));
        }
    }
    files
}

fn overlay_of(system: &System, overlay: &str, mesh: Option<Mesh>, entry: Entry) -> String {
    let System { name, .. } = system;
    let mesh = if mesh == Some(Mesh::Linkerd) { "  - ../../components/linkerd\n" } else { "" };
    let host = if system.gateways().next().is_some() {
        let (kind, path, host) = entry.host(&format!("{name}.example.org"));
        format!(
            "patches:
  - target:
      kind: {kind}
      name: {name}
    patch: |-
      - op: add
        path: {path}
        value: {host}
"
        )
    } else {
        String::new()
    };
    format!(
        "# Yours: `cargo monolift deploy kubernetes` has begun this file, and does not write it again.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {name}-{overlay}
resources:
  - ../../base
# What the cluster has. `components/queue` takes an adapter for metrics of pods.
components:
  - ../../components/tls
  - ../../components/monitoring
{mesh}{}{host}",
        images(system, system.processes.iter())
    )
}

fn migrate_of(system: &System, overlay: &str) -> String {
    format!(
        "# Yours: `cargo monolift deploy kubernetes` has begun this file, and does not write it again.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {}-{overlay}
resources:
  - ../../../migrate
{}",
        system.name,
        images(system, system.processes.iter().filter(|process| process.has_job()))
    )
}

/// Where images are. A pipeline writes its own tags over these.
fn images<'a>(system: &System, processes: impl Iterator<Item = &'a Process>) -> String {
    let mut text = String::from("images:\n");
    for process in processes {
        let unit = &process.unit;
        let _ = write!(
            text,
            "  - name: {unit}\n    newName: registry.example.org/{}/{unit}\n    newTag: latest\n",
            system.name
        );
    }
    text
}
