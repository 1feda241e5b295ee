//! What brings requests from outside to the first gateway: an Ingress, or an HTTPRoute of the Gateway API. An overlay adds
//! the host.

use super::object;
use crate::deploy::{
    Entry,
    system::{Process, System},
};

/// The Gateway that routes attach to, unless an overlay says otherwise.
const GATEWAY: &str = "public";

impl Entry {
    /// The kind of its object, where the object has the host, and the host as it stands there.
    pub(super) fn host(self, host: &str) -> (&'static str, &'static str, String) {
        match self {
            Self::Ingress => ("Ingress", "/spec/rules/0/host", host.to_owned()),
            Self::GatewayApi => ("HTTPRoute", "/spec/hostnames", format!("[{host}]")),
        }
    }

    /// The namespace of the proxies, unless an overlay says otherwise.
    pub(super) fn namespace(self) -> &'static str {
        match self {
            Self::Ingress => "ingress-nginx",
            Self::GatewayApi => "gateways",
        }
    }

    /// The name of its file, and the text.
    pub(super) fn object(
        self,
        system: &System,
        gateway: &Process,
        head: &str,
    ) -> (&'static str, String) {
        match self {
            Self::Ingress => ("ingress.yaml", ingress(system, gateway, head)),
            Self::GatewayApi => ("route.yaml", route(system, gateway, head)),
        }
    }
}

fn ingress(system: &System, gateway: &Process, head: &str) -> String {
    let object = object(system, "networking.k8s.io/v1", "Ingress", &system.name, &gateway.host);
    let (object, front) = (object.trim_end(), &gateway.unit);
    let (patience, frame) = (system.patience(), system.manifest.limits.frame);
    let longest = system.longest_call.as_secs();
    format!(
        "# {head}
{object}
  annotations:
    # Longer than the longest deadline of a call ({longest} s), so that the gateway says what went wrong.
    nginx.ingress.kubernetes.io/proxy-read-timeout: \"{patience}\"
    nginx.ingress.kubernetes.io/proxy-send-timeout: \"{patience}\"
    # `limits.frame`, which the gateway refuses with an explanation.
    nginx.ingress.kubernetes.io/proxy-body-size: \"{frame}\"
    # Answers that stream go on as they come.
    nginx.ingress.kubernetes.io/proxy-buffering: \"off\"
spec:
  ingressClassName: nginx
  rules:
    - http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {front}-http
                port:
                  name: http
"
    )
}

fn route(system: &System, gateway: &Process, head: &str) -> String {
    let version = "gateway.networking.k8s.io/v1";
    let object = object(system, version, "HTTPRoute", &system.name, &gateway.host);
    let (patience, longest) = (system.patience(), system.longest_call.as_secs());
    let rule = |why: &str, path: &str, timeout: &str| {
        format!(
            "    # {why}
    - matches:
        - path:
            type: PathPrefix
            value: {path}
      timeouts:
        request: {timeout}
      backendRefs:
        - name: {}-http
          port: 80
",
            gateway.unit
        )
    };
    let streams: String = system
        .streams
        .iter()
        .map(|path| rule("Routes of a module's own, which may stream and stay open.", path, "0s"))
        .collect();
    let why = format!(
        "Longer than the longest deadline of a call ({longest} s), so that the gateway says what went wrong."
    );
    format!(
        "# {head}
{object}spec:
  # The Gateway is the cluster's own. It has the addresses, the ports and the certificates.
  parentRefs:
    - name: {GATEWAY}
      namespace: {}
  rules:
{streams}{}",
        Entry::GatewayApi.namespace(),
        rule(&why, "/", &format!("{patience}s"))
    )
}
