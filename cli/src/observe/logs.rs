//! What ships the log: Filebeat for Elasticsearch, Grafana Alloy for Loki.

use super::{deployment::Deployment, head};

/// Filebeat takes the lines as they are: they are ECS already.
pub(super) fn filebeat(deployment: &Deployment) -> String {
    let (head, app) = (head(deployment), &deployment.app);
    format!(
        "# {head}

filebeat.inputs:
  - type: filestream
    id: {app}
    # Where the outputs of the processes go.
    paths: [/var/log/{app}/*.log]
    parsers:
      - ndjson: {{ target: \"\", overwrite_keys: true, expand_keys: true, add_error_key: true }}

output.elasticsearch:
  hosts: [\"https://elasticsearch:9200\"]
"
    )
}

/// A stream has few labels. Queries read the other fields: `| json`.
pub(super) fn loki(deployment: &Deployment) -> String {
    let (head, app) = (head(deployment), &deployment.app);
    let name = app.replace('-', "_");
    format!(
        r#"// {head}

local.file_match "{name}" {{
  // Where the outputs of the processes go.
  path_targets = [{{ __path__ = "/var/log/{app}/*.log" }}]
}}

loki.source.file "{name}" {{
  targets    = local.file_match.{name}.targets
  forward_to = [loki.process.{name}.receiver]
}}

loki.process "{name}" {{
  stage.json {{
    expressions = {{
      level   = "\"log.level\"",
      service = "\"service.name\"",
      process = "\"service.node.name\"",
      time    = "\"@timestamp\"",
    }}
  }}
  stage.labels {{
    values = {{ level = "", service = "", process = "" }}
  }}
  stage.timestamp {{
    source = "time"
    format = "RFC3339"
  }}
  forward_to = [loki.write.{name}.receiver]
}}

loki.write "{name}" {{
  endpoint {{
    url = "http://loki:3100/loki/api/v1/push"
  }}
}}
"#
    )
}
