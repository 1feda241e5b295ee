//! Prometheus's own configuration: every replica of every process is a target.

use super::{
    deployment::{Deployment, Observed, Targets},
    head,
};
use std::fmt::Write as _;

pub(super) fn config(deployment: &Deployment) -> String {
    let mut text = format!("# {}\n", head(deployment));
    text.push_str(
        "#
# Latency has exemplars, which Prometheus stores if it is started with --enable-feature=exemplar-storage.

global:
  scrape_interval: 15s
  evaluation_interval: 15s

rule_files: [rules.yml]

# Where alerts go.
# alerting:
#   alertmanagers: [{ static_configs: [{ targets: [\"127.0.0.1:9093\"] }] }]

scrape_configs:
",
    );
    for process in &deployment.processes {
        job(&mut text, &deployment.app, process);
    }
    text
}

/// Writing to a string cannot fail.
fn job(text: &mut String, app: &str, process: &Observed) {
    let Observed { name, modules, targets, takes_token } = process;
    let runs = if modules.is_empty() { "no module".to_owned() } else { modules.join(", ") };
    let _ = writeln!(text, "  # Runs {runs}.\n  - job_name: {app}-{name}");
    if *takes_token {
        text.push_str("    # The file has the setting `admin_token`.\n");
        text.push_str("    authorization: { credentials_file: admin_token }\n");
    }
    match targets {
        Targets::At(addresses) => {
            let addresses: Vec<String> =
                addresses.iter().map(|address| format!("\"{address}\"")).collect();
            let _ = writeln!(text, "    static_configs:");
            let _ = writeln!(text, "      - targets: [{}]", addresses.join(", "));
            let _ = writeln!(text, "        labels: {{ app: {app} }}");
        }
        Targets::Hosts { names, ports } => {
            let _ = writeln!(text, "    dns_sd_configs:");
            for port in ports {
                let names = names.join(", ");
                let _ = writeln!(text, "      - {{ names: [{names}], type: A, port: {port} }}");
            }
            let _ = writeln!(text, "    relabel_configs:\n{}", label_of(app));
        }
        Targets::Srv { name, ports } => {
            let _ = writeln!(text, "    dns_sd_configs: [{{ names: [{name}], type: SRV }}]");
            text.push_str("    # The records have the ports of calls.\n    relabel_configs:\n");
            for (calls, admin) in ports {
                let _ = writeln!(
                    text,
                    "      - {{ source_labels: [__address__], regex: '(.+):{calls}', \
                     target_label: __address__, replacement: '$1:{admin}' }}"
                );
            }
            let _ = writeln!(text, "{}", label_of(app));
        }
    }
}

/// Found targets take their label by a rule.
fn label_of(app: &str) -> String {
    format!("      - {{ target_label: app, replacement: {app} }}")
}
