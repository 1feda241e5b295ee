//! An OpenTelemetry collector that keeps the traces of slow and failed requests, and a few of the others.

use super::{deployment::Deployment, head};
use std::time::Duration;

/// The spans of a request arrive after its last call has ended, and processes send them in batches.
const UNTIL_THEY_ARRIVE: Duration = Duration::from_secs(5);

pub(super) fn config(deployment: &Deployment) -> String {
    let head = head(deployment);
    let slow = deployment.slow.as_millis();
    let wait = (deployment.deadline + UNTIL_THEY_ARRIVE).as_secs();
    format!(
        "# {head}
#
# For the distribution `contrib` of the collector, which has the processor tail_sampling.

receivers:
  otlp:
    protocols:
      http: {{ endpoint: \"127.0.0.1:4318\" }}
      grpc: {{ endpoint: \"127.0.0.1:4317\" }}

processors:
  # A trace is kept if one of the policies says so. All spans of a trace must reach the same collector: in front of
  # several, put one with the exporter `loadbalancing`.
  tail_sampling:
    # Longer than a call may take: its deadline, and the time until its spans arrive.
    decision_wait: {wait}s
    num_traces: 50000
    policies:
      - {{ name: failed, type: status_code, status_code: {{ status_codes: [ERROR] }} }}
      - {{ name: slow, type: latency, latency: {{ threshold_ms: {slow} }} }}
      # One in a hundred, to compare with.
      - {{ name: usual, type: probabilistic, probabilistic: {{ sampling_percentage: 1 }} }}
  batch: {{}}

exporters:
  otlphttp: {{ endpoint: \"http://tempo:4318\" }}

service:
  pipelines:
    traces: {{ receivers: [otlp], processors: [tail_sampling, batch], exporters: [otlphttp] }}
"
    )
}
