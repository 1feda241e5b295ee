//! Who reaches whom. The policies follow from the same graph by which a process decides whom it answers.

use super::{labels, object};
use crate::deploy::{
    Entry,
    system::{ADMIN, CALLS, HTTP, Process, System},
};
use monolift_manifest::IssuerKeys;
use std::{collections::BTreeSet, fmt::Write as _};

/// Where Prometheus runs, unless an overlay says otherwise.
const MONITORING: &str = "monitoring";

/// Nothing is reached, and reaches anything, unless another policy says so.
pub(super) fn default_deny(system: &System, head: &str) -> String {
    let System { name, .. } = system;
    let object = object(
        system,
        "networking.k8s.io/v1",
        "NetworkPolicy",
        &format!("{name}-default-deny"),
        "all",
    );
    format!(
        "# {head}
{object}spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/part-of: {name}
  policyTypes:
    - Ingress
    - Egress
"
    )
}

/// Its callers find every pod, and choose among them themselves.
pub(super) fn service(system: &System, process: &Process) -> String {
    let mut text = object(system, "v1", "Service", &process.unit, &process.host);
    let _ = write!(
        text,
        "spec:
  # No address of its own: callers see each pod, and balance by latency and load.
  clusterIP: None
  # Also pods that are not ready: a process is ready when it has reached those that it calls, and two that call each other
  # would wait for ever.
  publishNotReadyAddresses: true
  selector:
{}  ports:
",
        labels(system, &process.host, 4)
    );
    let ports = [("calls", CALLS, process.listens), ("admin", ADMIN, true)];
    for (name, port, _) in ports.into_iter().filter(|(.., is_there)| *is_there) {
        let _ = writeln!(text, "    - name: {name}\n      port: {port}\n      targetPort: {name}");
    }
    text
}

/// What an ingress sends requests to: only pods that are ready.
pub(super) fn front(system: &System, process: &Process) -> String {
    if !process.has_gateway {
        return String::new();
    }
    let head = object(system, "v1", "Service", &format!("{}-http", process.unit), &process.host);
    format!(
        "{head}spec:
  selector:
{}  ports:
    - name: http
      port: 80
      targetPort: http
",
        labels(system, &process.host, 4)
    )
}

/// What a process is reached by, and what it reaches.
pub(super) fn policy(system: &System, process: &Process, entry: Entry) -> String {
    let mut text =
        object(system, "networking.k8s.io/v1", "NetworkPolicy", &process.unit, &process.host);
    let _ = write!(
        text,
        "spec:
  podSelector:
    matchLabels:
{}  policyTypes:
    - Ingress
    - Egress
  ingress:
",
        labels(system, &process.host, 6)
    );
    if !process.called_by.is_empty() {
        text.push_str("    # The processes that call it, or observe it.\n    - from:\n");
        process.called_by.iter().for_each(|caller| peer(&mut text, system, caller));
        port(&mut text, CALLS, "TCP");
    }
    if process.has_gateway {
        let _ = writeln!(
            text,
            "    # Requests from outside.\n    - from:\n{}",
            namespace(entry.namespace()).trim_end()
        );
        port(&mut text, HTTP, "TCP");
    }
    let _ = writeln!(
        text,
        "    # Prometheus. Probes come from the node, which policies let in.\n    - from:\n{}",
        namespace(MONITORING).trim_end()
    );
    port(&mut text, ADMIN, "TCP");
    text.push_str("  egress:\n");
    if !process.calls.is_empty() {
        text.push_str("    # The processes that it calls, or observes.\n    - to:\n");
        process.calls.iter().for_each(|callee| peer(&mut text, system, callee));
        port(&mut text, CALLS, "TCP");
    }
    let _ = writeln!(text, "    # Names.\n    - to:\n{}", namespace("kube-system").trim_end());
    text.push_str("      ports:\n        - port: 53\n          protocol: UDP\n        - port: 53\n          protocol: TCP\n");
    if process.on_postgres().next().is_some() {
        text.push_str(
            "    # The database, wherever it is: the manifest does not know. An overlay can say.\n",
        );
        only_port(&mut text, 5432);
    }
    if process.has_gateway {
        for port in ports_of_issuers(system.manifest.identity.issuers.values()) {
            text.push_str("    # The keys of the issuers of tokens.\n");
            only_port(&mut text, port);
        }
    }
    if let Some(port) = system.manifest.otlp.endpoint.as_deref().and_then(port_of) {
        text.push_str("    # The collector of traces.\n");
        only_port(&mut text, port);
    }
    text
}

/// The job that migrates reaches names and the database, and nothing reaches it.
pub(super) fn policy_of_job(system: &System, name: &str, component: &str) -> String {
    let mut text = object(system, "networking.k8s.io/v1", "NetworkPolicy", name, component);
    let _ = writeln!(
        text,
        "spec:
  podSelector:
    matchLabels:
{}  policyTypes:
    - Ingress
    - Egress
  egress:
    - to:
{}",
        labels(system, component, 6),
        namespace("kube-system").trim_end()
    );
    text.push_str("      ports:\n        - port: 53\n          protocol: UDP\n        - port: 53\n          protocol: TCP\n");
    only_port(&mut text, 5432);
    text
}

fn peer(text: &mut String, system: &System, process: &str) {
    let host = &system.process(process).host;
    let _ = write!(
        text,
        "        - podSelector:\n            matchLabels:\n{}",
        labels(system, host, 14)
    );
}

fn namespace(name: &str) -> String {
    format!(
        "        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: {name}\n"
    )
}

fn port(text: &mut String, port: u16, protocol: &str) {
    let _ = write!(text, "      ports:\n        - port: {port}\n          protocol: {protocol}\n");
}

fn only_port(text: &mut String, port: u16) {
    let _ = write!(text, "    - ports:\n        - port: {port}\n          protocol: TCP\n");
}

/// Where the keys of issuers outside are fetched. A path is a route of the application, which answers it by a call.
fn ports_of_issuers<'a>(issuers: impl Iterator<Item = &'a IssuerKeys>) -> BTreeSet<u16> {
    let urls = issuers.filter_map(|one| one.jwks.as_deref().or(one.issuer.as_deref()));
    urls.filter_map(port_of).collect()
}

/// The port of a URL such as `http://collector:4317`.
fn port_of(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    let stated = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    stated.or(match scheme {
        "https" => Some(443),
        _ => Some(80),
    })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_port_of_a_collector() {
        assert_eq!(port_of("http://collector:4317"), Some(4317));
        assert_eq!(port_of("http://collector/v1"), Some(80));
    }
}
