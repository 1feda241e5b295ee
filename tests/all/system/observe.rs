//! What the processes of the shop show at their admin addresses.

use super::{
    http::{get, request},
    processes::{Process, Run, eventually, is_ready},
    shop::{ALL_SPLIT, MONOLITH, Placement},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

const FIRST: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SECOND: &str = "5bf92f3577b34da6a3ce929d0e0e4737";
const ORDER: &str = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 2}]}"#;

/// The processes of a placement, and where its gateway and that process's admin address are.
struct Shop {
    processes: BTreeMap<&'static str, Process>,
    gateway: String,
    admin: String,
    /// Its data, which is removed at the end.
    _run: Run,
}

impl Shop {
    fn start(placement: &'static Placement, name: &str) -> Self {
        let run = placement.run(name);
        let programs = placement.programs.iter();
        let mut processes: BTreeMap<&str, Process> = programs
            .map(|program| (program.process, run.start(&placement.program(program.file))))
            .collect();
        let last = placement.programs.last().unwrap().process;
        let front = processes.get_mut(last).unwrap();
        let gateway = front.http();
        let admin = admin_of(front);
        eventually("the gateway is ready", || is_ready(&gateway));
        Self { processes, gateway, admin, _run: run }
    }

    /// Places an order as part of a trace.
    fn order(&self, trace: &str) -> u16 {
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-00");
        let headers = [("traceparent", traceparent.as_str())];
        request(&self.gateway, "POST", "/orders", &headers, ORDER).unwrap().status
    }

    fn ask(&self, path: &str) -> Value {
        ask(&self.admin, path)
    }
}

/// Where a process has its admin address.
fn admin_of(process: &mut Process) -> String {
    process.says(" shows its traces and metrics");
    let line = process.said().lines().find(|line| line.contains(" shows its traces")).unwrap();
    line.trim().strip_prefix("http://").unwrap().split(' ').next().unwrap().to_owned()
}

fn ask(address: &str, path: &str) -> Value {
    let answer = get(address, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The parts of a request and of what it called. Durable work and listeners continue its trace at some later time.
fn parts_of_request(trace: &Value) -> Vec<&Value> {
    let parts = list(trace, "parts").iter().filter(|part| part["entry"]["work"].is_null());
    let (mut found, mut others): (Vec<&Value>, Vec<&Value>) =
        parts.partition(|part| part["entry"]["request"].is_string());
    loop {
        let calls = found.iter().flat_map(|part| list(part, "calls"));
        let spans: BTreeSet<&str> = calls.map(|call| text(call, "span")).collect();
        let (called, rest): (Vec<&Value>, Vec<&Value>) =
            others.into_iter().partition(|part| spans.contains(text(part, "parent")));
        if called.is_empty() {
            return found;
        }
        found.extend(called);
        others = rest;
    }
}

/// Each call of a trace where its module ran, below the call that made it: `orders.place > stock.reserve answered`.
fn tree(trace: &Value) -> BTreeSet<String> {
    let calls: BTreeMap<&str, &Value> = parts_of_request(trace)
        .into_iter()
        .flat_map(|part| list(part, "calls"))
        .map(|call| (text(call, "span"), call))
        .collect();
    let name = |call: &Value| format!("{}.{}", text(call, "module"), text(call, "method"));
    let is_remote = |call: &Value| call["remote"].as_bool().unwrap();
    let local = calls.values().filter(|call| !is_remote(call));
    local
        .map(|call| {
            let mut above = calls.get(text(call, "parent"));
            // What crossed a network is between the two.
            if above.is_some_and(|above| is_remote(above)) {
                above = calls.get(text(above.unwrap(), "parent"));
            }
            let above = above.map_or("(request)".to_owned(), |above| name(above));
            format!("{above} > {} {}", name(call), text(call, "outcome"))
        })
        .collect()
}

/// The statements of a trace, each with the module whose call made it.
fn statements(trace: &Value) -> BTreeSet<String> {
    let all = parts_of_request(trace).into_iter().flat_map(|part| {
        list(part, "statements").iter().map(move |statement| {
            let mut calls = list(part, "calls").iter();
            let call = calls.find(|call| text(call, "span") == text(statement, "span"));
            let module = call.map_or("(none)", |call| text(call, "module"));
            format!("{module}: {}", text(statement, "text"))
        })
    });
    all.collect()
}

#[test]
fn a_request_has_one_tree_in_both_shapes() {
    let trees = [&MONOLITH, &ALL_SPLIT].map(|placement| {
        let shop = Shop::start(placement, "observe-tree");
        assert_eq!(shop.order(FIRST), 201);
        let mut trace = Value::Null;
        eventually("what the order asked for later is done", || {
            trace = shop.ask(&format!("/api/traces/{FIRST}"));
            let calls = list(&trace, "parts").iter().flat_map(|part| list(part, "calls"));
            let mut local = calls.filter(|call| call["remote"] == false);
            local.any(|call| text(call, "method") == "capture")
        });
        assert_eq!(list(&trace, "missing").len(), 0, "{trace:#}");
        let processes: BTreeSet<&str> =
            list(&trace, "parts").iter().map(|part| text(part, "process")).collect();
        let expected: BTreeSet<&str> = match placement.name {
            "monolith" => BTreeSet::from(["monolith"]),
            _ => BTreeSet::from(["gateway", "orders", "payments", "stock", "users"]),
        };
        assert_eq!(processes, expected);
        (tree(&trace), statements(&trace))
    });
    let [(monolith, of_monolith), (split, of_split)] = trees;
    assert_eq!(monolith, split);
    assert_eq!(of_monolith, of_split);
    for call in [
        "(request) > orders.place answered",
        "orders.place > users.profile answered",
        "orders.place > stock.reserve answered",
        "orders.place > payments.authorise answered",
    ] {
        assert!(monolith.contains(call), "{call}: {monolith:#?}");
    }
    for statement in ["orders: INSERT INTO orders", "stock: UPDATE products", "users: SELECT name"]
    {
        let found = of_monolith.iter().any(|found| found.starts_with(statement));
        assert!(found, "{statement}: {of_monolith:#?}");
    }
    assert!(!of_monolith.iter().any(|found| found.contains("demo") || found.starts_with("(none)")));
}

#[test]
fn a_failed_request_is_kept_with_what_every_process_did() {
    let mut shop = Shop::start(&ALL_SPLIT, "observe-failed");
    assert_eq!(shop.order(FIRST), 201);
    shop.processes.remove("payments").unwrap().kill();
    let status = shop.order(SECOND);
    assert!([502, 503].contains(&status), "{status}");
    let mut kept = Value::Null;
    eventually("it is kept", || {
        kept = shop.ask("/api/traces?failed=true&route=orders");
        list(&kept, "traces").iter().any(|trace| text(trace, "trace_id") == SECOND)
    });
    assert_eq!(list(&kept, "traces").len(), 1, "{kept:#}");
    assert_eq!(text(&kept["traces"][0], "because"), "failed");
    let trace = shop.ask(&format!("/api/traces/{SECOND}"));
    let tree = tree(&trace);
    for call in ["(request) > orders.place ", "orders.place > stock.reserve answered"] {
        assert!(tree.iter().any(|found| found.starts_with(call)), "{call}: {tree:#?}");
    }
    let calls = list(&trace, "parts").iter().flat_map(|part| list(part, "calls"));
    let lost = calls.into_iter().find(|call| text(call, "method") == "authorise").unwrap();
    assert!(["unreachable", "interrupted"].contains(&text(lost, "outcome")), "{lost:#}");
    assert_eq!(list(&trace, "missing"), ["payments"]);
    // What its callers know of it.
    eventually("its callers know that it is gone", || {
        let states = shop.ask("/api/processes");
        let mut others = list(&states, "processes").iter().flat_map(|state| list(state, "others"));
        others.any(|other| {
            text(other, "process") == "payments" && other["replicas"][0]["connected"] == false
        })
    });
}

#[test]
fn figures_are_as_prometheus_reads_them() {
    let shop = Shop::start(&ALL_SPLIT, "observe-figures");
    assert_eq!(shop.order(FIRST), 201);
    let states = shop.ask("/api/processes");
    let admins: Vec<&str> =
        list(&states, "processes").iter().map(|state| text(state, "admin")).collect();
    assert_eq!(admins.len(), 7, "{states:#}");
    let mut all = BTreeSet::new();
    for admin in admins {
        let page = get(admin, "/metrics");
        assert_eq!(
            page.header("content-type").unwrap(),
            "text/plain; version=0.0.4; charset=utf-8"
        );
        all.extend(series(&page.body));
    }
    for (name, labels) in [
        (
            "monolift_calls_total",
            r#"caller="(edge)",module="orders",interface="Orders",method="place",placement="remote",outcome="answered""#,
        ),
        (
            "monolift_calls_total",
            r#"caller="orders",module="stock",interface="Stock",method="reserve",placement="remote",outcome="answered""#,
        ),
        (
            "monolift_calls_total",
            r#"caller="(process)",module="stock",interface="Stock",method="reserve",placement="served",outcome="answered""#,
        ),
        (
            "monolift_call_duration_seconds_count",
            r#"caller="orders",module="payments",interface="Payments",method="authorise",placement="remote""#,
        ),
        ("monolift_db_connections", r#"module="orders",pool="read",state="in_use""#),
        ("monolift_db_connections", r#"module="orders",pool="write",state="idle""#),
        ("monolift_db_connections_limit", r#"module="stock",pool="write""#),
        ("monolift_db_waiting_calls", r#"module="stock",pool="read""#),
        ("monolift_ready", ""),
        ("process_resident_memory_bytes", ""),
    ] {
        let wanted = (name.to_owned(), labels.to_owned());
        assert!(all.contains(&wanted), "{wanted:?}: {all:#?}");
    }
}

/// Durable work is counted in the background, while the figures are read. The piece is the one of stock that recurs.
#[test]
fn figures_lead_to_traces_and_tell_of_durable_work() {
    let shop = Shop::start(&MONOLITH, "observe-leads");
    let sampled = [("traceparent", &*format!("00-{FIRST}-00f067aa0ba902b7-01"))];
    assert_eq!(request(&shop.gateway, "POST", "/orders", &sampled, ORDER).unwrap().status, 201);
    let accept = [("accept", "application/openmetrics-text")];
    let mut page = String::new();
    eventually("the trace is kept, and an exemplar", || {
        page = request(&shop.admin, "GET", "/metrics", &accept, "").unwrap().body;
        page.contains(&format!("# {{trace_id=\"{FIRST}\"}}"))
    });
    let exemplars = page.lines().filter(|line| line.contains(" # {"));
    let of_stock = exemplars.filter(|line| line.contains("caller=\"orders\",module=\"stock\""));
    assert!(of_stock.count() > 0, "{page}");
    assert!(!get(&shop.admin, "/metrics").body.contains("# {"), "Prometheus's format has none");
    eventually("work is counted", || {
        page = get(&shop.admin, "/metrics").body;
        let pieces = page.lines().filter(|line| line.starts_with("monolift_work_pieces{"));
        pieces.filter(|line| line.contains("module=\"stock\"")).count() > 0
    });
    let oldest = page.lines().find(|line| line.starts_with("monolift_work_oldest_seconds{"));
    let age: f64 = oldest.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!((0.0..60.0).contains(&age), "{page}");
}

/// What an order enqueues is done later, as a part of the order's trace.
#[test]
fn durable_work_continues_the_trace_that_enqueued_it() {
    for placement in [&MONOLITH, &ALL_SPLIT] {
        let shop = Shop::start(placement, "observe-work");
        assert_eq!(shop.order(FIRST), 201);
        // Listeners of the order are in its trace, too, in an order of their own.
        let is_work = |part: &&Value| {
            part["entry"]["work"].as_str().is_some_and(|name| name.starts_with("orders."))
        };
        let mut trace = Value::Null;
        eventually("work is done", || {
            trace = shop.ask(&format!("/api/traces/{FIRST}"));
            list(&trace, "parts").iter().any(|part| is_work(&part))
        });
        let work = list(&trace, "parts").iter().find(is_work).unwrap();
        let calls = list(&trace, "parts").iter().flat_map(|part| list(part, "calls"));
        let above = calls.into_iter().find(|call| text(call, "span") == text(work, "parent"));
        assert_eq!(text(above.unwrap(), "module"), "orders", "{trace:#}");
    }
}

/// The name and labels of each figure of a page. No two of one page are the same, and each has its family above it.
fn series(page: &str) -> BTreeSet<(String, String)> {
    let mut series = BTreeSet::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            family = typed.split(' ').next().unwrap().to_owned();
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        assert!(name.starts_with(&family), "{line} below {family}");
        let new = series.insert((name.to_owned(), labels.trim_end_matches('}').to_owned()));
        assert!(new, "twice: {line}");
    }
    series
}

#[test]
fn only_this_machine_may_ask_and_levels_change() {
    let shop = Shop::start(&MONOLITH, "observe-asks");
    let with_host = |host: &str| {
        let headers = [("host", host)];
        request(&shop.admin, "GET", "/api/processes", &headers, "").unwrap().status
    };
    assert_eq!(with_host("localhost:1"), 200);
    assert_eq!(with_host("evil.example"), 403);
    let page = get(&shop.admin, "/");
    assert!(page.body.contains("<script src=\"/script.js\">"), "{}", page.body);
    for file in ["/script.js", "/work.js", "/logs.js", "/style.css", "/icon.svg"] {
        assert_eq!(get(&shop.admin, file).status, 200, "{file}");
    }
    // Nothing of another site is named.
    let files = ["/script.js", "/work.js", "/logs.js", "/style.css"];
    let script: String = files.iter().map(|file| get(&shop.admin, file).body).collect();
    assert!(!script.contains("http://") && !script.contains("https://"));
    let set = |levels: &str| {
        let body = serde_json::json!({ "levels": levels }).to_string();
        request(&shop.admin, "PUT", "/api/log", &[], &body).unwrap()
    };
    assert_eq!(set("stock=debug").status, 200);
    assert_eq!(shop.ask("/api/log")["levels"], "info,stock=debug");
    assert_eq!(set("stock=loud").status, 400);
}

/// A dashboard keeps its request open for as long as it is looked at.
#[test]
fn a_dashboard_that_is_open_does_not_hold_up_a_stop() {
    let mut shop = Shop::start(&MONOLITH, "observe-stop");
    let mut socket = TcpStream::connect(&shop.admin).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(socket, "GET /api/watch HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let process = shop.processes.get_mut("monolith").unwrap();
    process.signal("TERM");
    let (status, said) = process.ended_in_place();
    assert!(status.success() && !said.contains("WARN"), "{status}: {said}");
}

/// A schedule of the shop runs every ten seconds, and its work is no request.
#[test]
fn work_that_recurs_is_listed_when_it_is_asked_for() {
    let shop = Shop::start(&MONOLITH, "observe-recurring");
    let names = |query: &str| -> BTreeSet<String> {
        let listed = shop.ask(&format!("/api/requests{query}"));
        list(&listed, "requests").iter().map(|one| text(one, "name").to_owned()).collect()
    };
    eventually("the schedule has run", || names("?recurring=true").contains("stock.expire"));
    assert_eq!(shop.order(FIRST), 201);
    eventually("the order is listed", || names("").contains("POST /orders"));
    assert!(!names("").contains("stock.expire"), "{:?}", names(""));
}

/// An address that others can reach takes a token.
#[test]
fn other_machines_need_a_token() {
    let open = MONOLITH.run("observe-open").with("SHOP_PROCESS__MONOLITH__ADMIN", "0.0.0.0:0");
    let (status, said) = open.start(&MONOLITH.program("app-monolith")).ended();
    assert!(!status.success());
    assert!(said.contains("set `admin_token` in the settings"), "{said}");
    let run = MONOLITH
        .run("observe-token")
        .with("SHOP_PROCESS__MONOLITH__ADMIN", "0.0.0.0:0")
        .with("SHOP_ADMIN_TOKEN", "c4n4ry-admin");
    let mut monolith = run.start(&MONOLITH.program("app-monolith"));
    let admin = admin_of(&mut monolith).replace("0.0.0.0", "127.0.0.1");
    let status = |token: &str| {
        let headers = [("authorization", token)];
        request(&admin, "GET", "/api/process", &headers, "").unwrap()
    };
    assert_eq!(status("Bearer wrong").status, 401);
    assert_eq!(get(&admin, "/metrics").status, 401);
    let answer = status("Bearer c4n4ry-admin");
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("c4n4ry"), "{}", answer.body);
    assert!(!monolith.stop().contains("c4n4ry"));
}
