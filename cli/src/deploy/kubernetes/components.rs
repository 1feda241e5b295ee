//! What an overlay adds where the cluster has it: cert-manager, the operator of Prometheus, metrics of queues, linkerd.

use super::{labels, object};
use crate::{
    deploy::{
        Mesh, file,
        system::{CALLS, Process, System},
    },
    observe,
    written::Written,
};
use monolift_manifest::Manifest;
use std::fmt::Write as _;

pub(super) fn files(system: &System, head: &str, mesh: Option<Mesh>) -> Vec<Written> {
    let mut files = tls(system, head);
    files.extend(monitoring(system, head));
    files.extend(queue(system, head));
    if mesh == Some(Mesh::Linkerd) {
        files.extend(linkerd(system, head));
    }
    files
}

fn component(head: &str, resources: &[String], rest: &str) -> String {
    let mut text =
        format!("# {head}\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n");
    if !resources.is_empty() {
        text.push_str("resources:\n");
        resources.iter().for_each(|one| text += &format!("  - {one}\n"));
    }
    text + rest
}

fn kind(process: &Process) -> &'static str {
    if process.keeps_files() { "StatefulSet" } else { "Deployment" }
}

/// Each process has a certificate for its name, by an authority of the application's own.
fn tls(system: &System, head: &str) -> Vec<Written> {
    let System { app, name, .. } = system;
    let mut text = format!("# {head}\n---\n");
    let authority = format!("{name}-authority");
    let of = |version: &str, kind: &str, name: &str| object(system, version, kind, name, "tls");
    let _ = write!(
        text,
        "{}spec:
  selfSigned: {{}}
---
{}spec:
  isCA: true
  commonName: {authority}
  secretName: {authority}
  duration: 87600h
  privateKey:
    algorithm: ECDSA
    size: 256
  issuerRef:
    name: {authority}-root
    kind: Issuer
---
{}spec:
  ca:
    secretName: {authority}
",
        of("cert-manager.io/v1", "Issuer", &format!("{authority}-root")),
        of("cert-manager.io/v1", "Certificate", &authority),
        of("cert-manager.io/v1", "Issuer", &authority)
    );
    let mut patches = String::from("patches:\n");
    for process in &system.processes {
        let Process { name: process_name, unit, host, .. } = process;
        let _ = write!(
            text,
            "---
{}spec:
  secretName: {unit}-tls
  # The other side of a connection compares this name with the manifest's.
  uris:
    - spiffe://{app}/{process_name}
  # A process reads a renewed certificate without a restart.
  duration: 2160h
  renewBefore: 720h
  privateKey:
    algorithm: ECDSA
    size: 256
    encoding: PKCS8
    rotationPolicy: Always
  usages:
    - digital signature
    - server auth
    - client auth
  issuerRef:
    name: {authority}
    kind: Issuer
",
            object(system, "cert-manager.io/v1", "Certificate", unit, host)
        );
        let _ = write!(
            patches,
            "  - patch: |-
      apiVersion: apps/v1
      kind: {}
      metadata:
        name: {unit}
      spec:
        template:
          spec:
            containers:
              - name: {host}
                env:
                  - name: {}
                    value: /tls/ca.crt
                  - name: {}
                    value: /tls/tls.crt
                  - name: {}
                    value: /tls/tls.key
                volumeMounts:
                  - name: tls
                    mountPath: /tls
                    readOnly: true
            volumes:
              - name: tls
                secret:
                  secretName: {unit}-tls
",
            kind(process),
            system.variable("tls.authority"),
            system.variable("tls.certificate"),
            system.variable("tls.key")
        );
    }
    vec![
        file("components/tls/certificates.yaml", text),
        file(
            "components/tls/kustomization.yaml",
            component(head, &["certificates.yaml".to_owned()], &patches),
        ),
    ]
}

/// Prometheus finds the admin port of each pod, and has the alerts.
fn monitoring(system: &System, head: &str) -> Vec<Written> {
    let name = &system.name;
    let monitor = format!(
        "# {head}
{}spec:
  selector:
    matchLabels:
      app.kubernetes.io/part-of: {name}
  endpoints:
    - port: admin
      interval: 15s
      authorization:
        credentials:
          name: {name}-monitoring
          key: admin_token
      relabelings:
        # The alerts and the dashboard name the application by it.
        - targetLabel: app
          replacement: {}
",
        object(system, "monitoring.coreos.com/v1", "ServiceMonitor", name, "monitoring"),
        system.app
    );
    let mut files = vec![file("components/monitoring/monitor.yaml", monitor)];
    let mut resources = vec!["monitor.yaml".to_owned()];
    if let Some(rules) = rules(system) {
        let text = format!(
            "# {head}\n{}spec:\n{rules}",
            object(system, "monitoring.coreos.com/v1", "PrometheusRule", name, "monitoring")
        );
        files.push(file("components/monitoring/rules.yaml", text));
        resources.push("rules.yaml".to_owned());
    }
    files.push(file("components/monitoring/kustomization.yaml", component(head, &resources, "")));
    files
}

/// The alerts of `cargo monolift observe`, indented.
fn rules(system: &System) -> Option<String> {
    let mut manifest: Manifest = system.manifest.clone();
    for process in &system.processes {
        let stated = manifest.processes.entry(process.name.clone()).or_default();
        stated.admin = Some(format!("{}:{}", process.unit, crate::deploy::system::ADMIN));
    }
    let files = observe::for_deployment(&manifest).ok()?;
    let rules = files.into_iter().find(|file| file.path == "rules.yml")?;
    let lines = rules.text.lines().filter(|line| !line.starts_with('#'));
    let indented =
        lines.map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
    Some(indented.collect::<String>().trim_start_matches('\n').to_owned())
}

/// Scales by calls that wait, where the cluster serves that metric of pods. Without it a HorizontalPodAutoscaler would not
/// scale down, so it is a component.
fn queue(system: &System, head: &str) -> Vec<Written> {
    let scaled =
        system.processes.iter().filter(|process| process.listens && !process.keeps_files());
    let waiting = system.manifest.limits.waiting;
    let patches: String = scaled
        .map(|process| {
            format!(
                "  - target:
      kind: HorizontalPodAutoscaler
      name: {}
    patch: |-
      - op: add
        path: /spec/metrics/-
        value:
          type: Pods
          pods:
            metric:
              name: monolift_calls_waiting
            target:
              type: AverageValue
              # A process refuses calls when {waiting} wait. Some that wait for long are a queue.
              averageValue: \"{}\"
",
                process.unit,
                (waiting / 64).max(1)
            )
        })
        .collect();
    if patches.is_empty() {
        return Vec::new();
    }
    vec![file(
        "components/queue/kustomization.yaml",
        component(head, &[], &format!("patches:\n{patches}")),
    )]
}

/// The mesh lets in the declared callers of a process, by their accounts.
fn linkerd(system: &System, head: &str) -> Vec<Written> {
    let mut text = format!("# {head}\n");
    let mut patches = String::from("patches:\n");
    for process in &system.processes {
        let Process { unit, host, .. } = process;
        let _ = write!(
            patches,
            "  - target:
      kind: {}
      name: {unit}
    patch: |-
      - op: add
        path: /spec/template/metadata/annotations
        value:
          linkerd.io/inject: enabled
          # Connections between processes are no HTTP.
          config.linkerd.io/opaque-ports: \"{CALLS}\"
",
            kind(process)
        );
        if process.called_by.is_empty() || !process.listens {
            continue;
        }
        let of = |kind: &str, version: &str| {
            object(system, version, kind, &format!("{unit}-calls"), host)
        };
        let callers: String = process
            .called_by
            .iter()
            .map(|caller| {
                format!("    - kind: ServiceAccount\n      name: {}\n", system.process(caller).unit)
            })
            .collect();
        let _ = write!(
            text,
            "---
{}spec:
  podSelector:
    matchLabels:
{}  port: calls
  proxyProtocol: opaque
---
{}spec:
  identityRefs:
{callers}---
{}spec:
  targetRef:
    group: policy.linkerd.io
    kind: Server
    name: {unit}-calls
  requiredAuthenticationRefs:
    - group: policy.linkerd.io
      kind: MeshTLSAuthentication
      name: {unit}-calls
",
            of("Server", "policy.linkerd.io/v1beta3"),
            labels(system, host, 6),
            of("MeshTLSAuthentication", "policy.linkerd.io/v1alpha1"),
            of("AuthorizationPolicy", "policy.linkerd.io/v1alpha1")
        );
    }
    vec![
        file("components/linkerd/policies.yaml", text),
        file(
            "components/linkerd/kustomization.yaml",
            component(head, &["policies.yaml".to_owned()], &patches),
        ),
    ]
}
