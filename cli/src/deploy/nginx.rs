//! NGINX in front of the gateways, where there is no cluster: the addresses are those of the manifest.

use super::{file, system::System};
use crate::written::Written;
use monolift_manifest::{Address, Connect, Process};
use std::{error::Error, fmt::Write as _, net::IpAddr};

pub(super) fn files(system: &System) -> Result<Vec<Written>, Box<dyn Error>> {
    Ok(vec![file(format!("{}.conf", system.name), config(system)?)])
}

/// How long a connection that streams may be silent.
const SILENT: &str = "1h";

fn config(system: &System) -> Result<String, Box<dyn Error>> {
    let System { name, .. } = system;
    let head = system.head("nginx");
    let mut servers = Vec::new();
    for process in system.gateways() {
        let stated = &system.manifest.processes[&process.name];
        servers.extend(addresses(stated).ok_or_else(|| {
            format!(
                "{}: the address of the gateway `{1}` names no host\n  help: state one in `http`, or give [process.{1}] a \
                 `connect` of hosts",
                system.file, process.name
            )
        })?);
    }
    if servers.is_empty() {
        return Err(
            format!("{}: no process has a gateway\n  help: give one `http`", system.file).into()
        );
    }
    let servers: String =
        servers.iter().map(|address| format!("    server {address} max_fails=0;\n")).collect();
    let (patience, longest) = (system.patience(), system.longest_call.as_secs());
    let frame = system.manifest.limits.frame;
    let mut text = format!(
        "# {head}
#
# Include this file within `http {{ }}`. What is yours, such as certificates, stands in a file beside it: the server below
# includes /etc/nginx/{name}.d/*.conf.

upstream {name} {{
    # The gateway with the fewest requests.
    least_conn;
    # A gateway that fails is tried again with the next request. Otherwise two that restart one after another are both
    # out of use for a moment, and nothing is left.
{servers}    # No connection is kept: one that a gateway closes at the moment of a request would lose that request, and NGINX must not
    # send an order twice.
}}

# A request to become a WebSocket is passed on as one.
map $http_upgrade ${}_connection {{
    default upgrade;
    ''      close;
}}

server {{
    listen 80;

    # `limits.frame`: a longer body is refused.
    client_max_body_size {frame};

    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection ${0}_connection;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;

    # A gateway that is not there is passed over. What was sent to one is sent to another only if it is a GET or the like.
    proxy_next_upstream error timeout;
    proxy_connect_timeout 2s;
    # Longer than the longest deadline of a call ({longest} s), so that the gateway says what went wrong.
    proxy_read_timeout {patience}s;
    proxy_send_timeout {patience}s;

    # Answers go on as they come.
    proxy_buffering off;

    include /etc/nginx/{name}.d/*.conf;

    location / {{
        proxy_pass http://{name};
    }}
",
        name.replace('-', "_")
    );
    for path in &system.streams {
        let _ = write!(
            text,
            "
    # Routes of a module's own, which may stream and stay open.
    location {path} {{
        proxy_request_buffering off;
        proxy_read_timeout {SILENT};
        proxy_send_timeout {SILENT};
        proxy_pass http://{name};
    }}
"
        );
    }
    text.push_str("}\n");
    Ok(text)
}

/// Where the gateways of a process's replicas are reached. `None` if that is not known.
fn addresses(process: &Process) -> Option<Vec<String>> {
    let listens = process.https();
    let all = listens.iter().filter_map(Address::host_and_port).collect::<Vec<_>>();
    let is_unspecified = |host: &str| {
        host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    };
    let (first, port) = all.first()?;
    if !is_unspecified(first) {
        return Some(listens.iter().map(ToString::to_string).collect());
    }
    let Some(Connect::Addresses(found)) = &process.connect else { return None };
    let hosts = found.iter().filter_map(Address::host_and_port);
    let at: Vec<String> = hosts.map(|(host, _)| format!("{host}:{port}")).collect();
    (!at.is_empty()).then_some(at)
}
