//! A dashboard of Grafana: a row for the processes, then a row for each module. And the data source, whose exemplars lead to
//! traces.

use super::{deployment::Deployment, head};
use serde_json::{Value, json};

/// The width of a dashboard, and the size of a panel. Three panels stand beside each other.
const WIDTH: usize = 24;
const PANEL: (usize, usize) = (8, 7);

/// The dashboard.
pub(super) fn dashboard(deployment: &Deployment) -> String {
    let mut board = Board::default();
    board.row("processes", &processes(&deployment.app));
    for module in &deployment.modules {
        board.row(module, &of_module(&deployment.app, module));
    }
    let shown = json!({
        "title": deployment.app,
        "description": head(deployment),
        "uid": format!("monolift-{}", deployment.app),
        "tags": ["monolift"],
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 38,
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [{
            "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
        }] },
        "links": [{
            "title": "map and traces", "type": "link", "icon": "external link", "targetBlank": true,
            "url": format!("http://{}/", deployment.shows_all),
        }],
        "panels": board.panels,
    });
    format!("{shown:#}\n")
}

/// Provisions the data source. An exemplar has the label `trace_id`, and leads to the trace at the admin address.
pub(super) fn datasource(deployment: &Deployment) -> String {
    let (head, at) = (head(deployment), &deployment.shows_all);
    format!(
        "# {head}

apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    url: http://127.0.0.1:9090
    jsonData:
      httpMethod: POST
      exemplarTraceIdDestinations:
        # Grafana reads `$$` as a dollar sign.
        - {{ name: trace_id, url: \"http://{at}/#/trace/$${{__value.raw}}\", urlDisplayLabel: trace }}
"
    )
}

/// What one panel shows.
struct Panel {
    title: &'static str,
    unit: &'static str,
    /// Each with the legend of its lines.
    queries: Vec<(String, &'static str)>,
    exemplars: bool,
}

impl Panel {
    fn new(title: &'static str, unit: &'static str, queries: Vec<(String, &'static str)>) -> Self {
        Self { title, unit, queries, exemplars: false }
    }
}

fn processes(app: &str) -> Vec<Panel> {
    let of = format!("app=\"{app}\"");
    vec![
        Panel::new(
            "up and ready",
            "none",
            vec![
                (format!("sum by (job) (up{{{of}}})"), "{{job}} up"),
                (format!("sum by (job) (monolift_ready{{{of}}})"), "{{job}} ready"),
            ],
        ),
        Panel::new(
            "replicas that callers avoid or cannot reach",
            "none",
            vec![
                (
                    format!("max by (process, address) (monolift_replica_ejected{{{of}}})"),
                    "{{process}} {{address}} ejected",
                ),
                (
                    format!("1 - min by (process, address) (monolift_replica_connected{{{of}}})"),
                    "{{process}} {{address}} unreachable",
                ),
            ],
        ),
        Panel::new(
            "CPU",
            "percentunit",
            vec![(format!("rate(process_cpu_seconds_total{{{of}}}[5m])"), "{{job}} {{instance}}")],
        ),
        Panel::new(
            "memory",
            "bytes",
            vec![(format!("process_resident_memory_bytes{{{of}}}"), "{{job}} {{instance}}")],
        ),
        Panel::new(
            "buffers, of their limit",
            "percentunit",
            vec![(
                format!(
                    "sum by (job, instance) (monolift_buffer_bytes{{{of}}}) / sum by (job, instance) (monolift_buffer_limit_bytes{{{of}}})"
                ),
                "{{job}} {{instance}}",
            )],
        ),
        Panel::new(
            "calls that wait, and calls refused",
            "short",
            vec![
                (format!("monolift_calls_waiting{{{of}}}"), "{{job}} {{instance}} wait"),
                (
                    format!("rate(monolift_calls_refused_total{{{of}}}[5m])"),
                    "{{job}} {{instance}} refused in a second",
                ),
            ],
        ),
        Panel::new(
            "recorded requests, and kept traces passed over",
            "short",
            vec![
                (format!("sum by (job) (monolift_recorded_bytes{{{of}}})"), "{{job}} bytes"),
                (
                    format!("sum by (job) (rate(monolift_traces_passed_over_total{{{of}}}[5m]))"),
                    "{{job}} passed over in a second",
                ),
            ],
        ),
    ]
}

fn of_module(app: &str, module: &str) -> Vec<Panel> {
    let of = format!("app=\"{app}\",module=\"{module}\"");
    // Where the module runs, for its own load; where it is called, for what its callers see.
    let (here, callers) =
        (format!("{of},placement!=\"remote\""), format!("{of},placement!=\"served\""));
    let bucket = |labels: &str, part: &str| {
        format!(
            "histogram_quantile({part}, sum by (method, le) (rate(monolift_call_duration_seconds_bucket{{{labels}}}[5m])))"
        )
    };
    let mut latency = Panel::new(
        "latency",
        "s",
        vec![(bucket(&here, "0.5"), "{{method}} p50"), (bucket(&here, "0.99"), "{{method}} p99")],
    );
    latency.exemplars = true;
    vec![
        Panel::new(
            "calls by method",
            "reqps",
            vec![(
                format!("sum by (method) (rate(monolift_calls_total{{{here}}}[5m]))"),
                "{{method}}",
            )],
        ),
        Panel::new(
            "calls by caller",
            "reqps",
            vec![(
                format!("sum by (caller) (rate(monolift_calls_total{{{callers}}}[5m]))"),
                "{{caller}}",
            )],
        ),
        Panel::new(
            "failed, of all calls",
            "percentunit",
            vec![(
                format!(
                    "sum by (method) (rate(monolift_calls_total{{{callers},outcome=\"failed\"}}[5m])) / \
                     sum by (method) (rate(monolift_calls_total{{{callers}}}[5m]))"
                ),
                "{{method}}",
            )],
        ),
        latency,
        Panel::new(
            "durable work",
            "short",
            vec![
                (
                    format!("max by (kind, state) (monolift_work_pieces{{{of}}})"),
                    "{{kind}} {{state}}",
                ),
                (
                    format!("max by (kind) (monolift_work_oldest_seconds{{{of}}})"),
                    "{{kind}} oldest, in seconds",
                ),
            ],
        ),
        Panel::new(
            "database connections",
            "short",
            vec![
                (format!("sum by (state) (monolift_db_connections{{{of}}})"), "{{state}}"),
                (format!("sum(monolift_db_connections_limit{{{of}}})"), "at most"),
            ],
        ),
    ]
}

/// The panels of a dashboard, placed from left to right and from above downwards.
#[derive(Default)]
struct Board {
    panels: Vec<Value>,
    below: usize,
}

impl Board {
    fn row(&mut self, title: &str, panels: &[Panel]) {
        let (width, height) = PANEL;
        self.panels.push(json!({
            "id": self.panels.len() + 1,
            "type": "row",
            "title": title,
            "collapsed": false,
            "gridPos": { "x": 0, "y": self.below, "w": WIDTH, "h": 1 },
            "panels": [],
        }));
        self.below += 1;
        let in_line = WIDTH / width;
        for (at, panel) in panels.iter().enumerate() {
            let place = json!({
                "x": at % in_line * width,
                "y": self.below + at / in_line * height,
                "w": width,
                "h": height,
            });
            self.panels.push(panel.shown(self.panels.len() + 1, place));
        }
        self.below += panels.len().div_ceil(in_line) * height;
    }
}

impl Panel {
    fn shown(&self, id: usize, place: Value) -> Value {
        let source = json!({ "type": "prometheus", "uid": "${datasource}" });
        let targets = self.queries.iter().zip('A'..).map(|((query, legend), letter)| {
            json!({
                "refId": letter.to_string(),
                "datasource": source,
                "expr": query,
                "legendFormat": legend,
                "exemplar": self.exemplars,
            })
        });
        json!({
            "id": id,
            "type": "timeseries",
            "title": self.title,
            "datasource": source,
            "gridPos": place,
            "fieldConfig": { "defaults": { "unit": self.unit, "min": 0 }, "overrides": [] },
            "targets": targets.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::deployment, *};
    use std::collections::BTreeSet;

    #[test]
    fn each_module_has_a_row_and_no_panel_covers_another() {
        let shop = deployment::tests::shop();
        let board: Value = serde_json::from_str(&dashboard(&shop)).unwrap();
        let panels = board["panels"].as_array().unwrap();
        let rows = panels.iter().filter(|panel| panel["type"] == "row");
        let rows: Vec<&str> = rows.map(|row| row["title"].as_str().unwrap()).collect();
        assert_eq!(rows, ["processes", "orders", "stock"]);
        let mut taken = BTreeSet::new();
        for panel in panels {
            let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(of("x") + of("w") <= WIDTH as u64);
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(taken.insert((x, y)), "{panel:#}");
                }
            }
        }
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len());
    }
}
