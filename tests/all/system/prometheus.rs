//! What `cargo monolift observe` writes, against pages of metrics that processes give, and against a real Prometheus.

use super::{
    http::{get, request},
    observed::{Observed, root_file},
    processes::{Process, eventually, free_port},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The names of Monolift's metrics and of the process's own in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("monolift_") || word.starts_with("process_")).collect()
}

/// The names of the figures of a page.
fn figures(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

#[test]
fn rules_and_dashboard_name_what_processes_give() {
    let shop = Observed::start("observe-names", &[]);
    assert_eq!(shop.order("tea"), 201);
    let scrape = || -> BTreeSet<String> {
        shop.admins.iter().flat_map(|admin| figures(&get(admin, "/metrics").body)).collect()
    };
    // Durable work is counted in the background, so the first page does not have it.
    let (mut given, until) = (scrape(), Instant::now() + Duration::from_secs(20));
    while !given.contains("monolift_work_pieces") && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
        given = scrape();
    }
    assert_eq!(shop.admins.len(), 8);
    let folder = shop.written();
    for file in ["rules.yml", "rules.test.yml", "grafana-dashboard.json"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let named = names(&text);
        assert!(named.len() > 5, "{file}: {named:?}");
        let unknown: Vec<_> = named.into_iter().filter(|name| !given.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}; there are {given:#?}");
    }
    // Every replica of every process is scraped, and no other.
    let config = fs::read_to_string(folder.join("prometheus.yml")).unwrap();
    let targets = config.lines().filter(|line| line.trim_start().starts_with("- targets:"));
    let targets: BTreeSet<&str> =
        targets.flat_map(|line| line.split('"').skip(1).step_by(2)).collect();
    assert_eq!(targets, shop.admins.iter().map(String::as_str).collect());
    // Those of the repository are of its own manifest, but for the ports and the place of the runbooks.
    let committed =
        root_file("app-split/observe/rules.yml").replace("\"docs/runbooks/", "\"runbooks/");
    assert_eq!(fs::read_to_string(folder.join("rules.yml")).unwrap(), committed);
}

#[test]
#[ignore = "it runs Prometheus for a minute: cargo xtask test --long"]
fn prometheus_scrapes_every_process_and_tells_which_is_gone() {
    let mut shop = Observed::start("prometheus", &[]);
    let folder = shop.written();
    promtool(&folder, &["check", "config", "prometheus.yml"]);
    promtool(&folder, &["check", "rules", "rules.yml"]);
    promtool(&folder, &["test", "rules", "rules.test.yml"]);
    hurry(&folder);
    promtool(&folder, &["check", "config", "prometheus.yml"]);

    let prometheus = Prometheus::start(&folder);
    eventually("every replica is scraped", || {
        prometheus.number("count(up{app=\"shop\"} == 1)") == 7.0
    });
    assert_eq!(shop.order("tea"), 201);
    for admin in &shop.admins {
        check_metrics(admin);
    }
    eventually("calls are counted", || {
        prometheus.number(
            "sum(monolift_calls_total{module=\"orders\",method=\"place\",placement=\"served\"})",
        ) == 1.0
    });
    assert_eq!(prometheus.number("count(ALERTS{alertstate=\"firing\"})"), 0.0);

    // One of two replicas, and the only one.
    shop.kill_one("orders");
    shop.kill_one("payments");
    for (job, up, gone) in [("shop-orders", 1.0, 1.0), ("shop-payments", 0.0, 1.0)] {
        eventually(job, || prometheus.number(&format!("sum(up{{job=\"{job}\"}})")) == up);
        let firing = format!(
            "count(ALERTS{{alertname=\"MonoliftReplicaGone\",alertstate=\"firing\",job=\"{job}\"}})"
        );
        eventually(&firing, || prometheus.number(&firing) == gone);
    }
    let failed = shop.order("tea");
    assert!([502, 503].contains(&failed), "{failed}");
    for admin in shop.admins.iter().filter(|admin| is_there(admin)) {
        check_metrics(admin);
    }
    shop.start_one("payments");
    shop.start_one("orders");
    eventually("all are back", || prometheus.number("count(up{app=\"shop\"} == 1)") == 7.0);
    eventually("no alert is left", || {
        prometheus.number("count(ALERTS{alertname=\"MonoliftReplicaGone\"})") == 0.0
    });
    // Prometheus counts this of itself.
    let failures = "prometheus_rule_evaluation_failures_total{";
    let own = get(&prometheus.address, "/metrics").body;
    let failures: Vec<&str> = own.lines().filter(|line| line.starts_with(failures)).collect();
    assert!(
        !failures.is_empty() && failures.iter().all(|line| line.ends_with(" 0")),
        "{failures:?}"
    );
}

/// Scrapes each second, and waits two seconds where rules wait a minute.
fn hurry(folder: &Path) {
    let edit = |file: &str, from: &str, to: &str| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    edit("prometheus.yml", "_interval: 15s", "_interval: 1s");
    edit("rules.yml", "for: 1m", "for: 2s");
}

/// Runs promtool, which must be content.
#[track_caller]
fn promtool(folder: &Path, arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{MISSING}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

const MISSING: &str = "promtool and prometheus are needed: apt-get install prometheus";

/// Has promtool read a page, as it is now.
#[track_caller]
fn check_metrics(admin: &str) {
    let page = get(admin, "/metrics").body;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut promtool = promtool.stderr(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{admin}: {said}\n{page}");
}

fn is_there(admin: &str) -> bool {
    request(admin, "GET", "/livez", &[], "").is_ok_and(|answer| answer.status == 200)
}

/// A Prometheus with the configuration of a folder.
struct Prometheus {
    address: String,
    _process: Process,
}

impl Prometheus {
    fn start(folder: &Path) -> Self {
        let address = free_port();
        let mut process = Process::start_in(
            Path::new("/usr/bin/prometheus"),
            &[
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--enable-feature=exemplar-storage",
                &format!("--web.listen-address={address}"),
            ],
            &[],
            folder,
        );
        process.says("Server is ready to receive web requests");
        Self { address, _process: process }
    }

    /// The value of a query that has one; 0 where it has none.
    fn number(&self, query: &str) -> f64 {
        let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(&self.address, &format!("/api/v1/query?query={query}"));
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["status"], "success", "{answer:#}");
        answer["data"]["result"][0]["value"][1].as_str().map_or(0.0, |value| value.parse().unwrap())
    }
}
