//! What the processes of the shop log for machines.

use super::{
    http::{CUSTOMER, get, request, token},
    processes::{Process, Run, eventually, is_ready},
    shop::{ALL_SPLIT, MONOLITH},
};
use crate::{ecs, postgres::Postgres};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const ORDER: &str = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 2}]}"#;

type Line = BTreeMap<String, Value>;

/// Where a process that logs for machines has its gateway.
fn gateway_of(process: &mut Process) -> String {
    let rest = process.says("http://");
    rest.split(['\\', '"']).next().unwrap().to_owned()
}

/// Each line that a process has written, whichever output it went to.
fn lines(said: &str) -> Vec<Line> {
    let line = |line| ecs::check(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}"));
    said.lines().map(line).collect()
}

#[test]
fn every_line_of_the_split_shop_is_one_of_the_common_schema() {
    let run = ALL_SPLIT
        .run("logs")
        .with("SHOP_LOG__FORMAT", "json")
        .with("SHOP_LOG__LEVEL", "info,monolift=debug")
        .with("SHOP_HTTP__ACCESS_LOG", "true");
    let mut processes: BTreeMap<&str, Process> = ALL_SPLIT
        .programs
        .iter()
        .map(|program| (program.process, run.start(&ALL_SPLIT.program(program.file))))
        .collect();
    let address = gateway_of(processes.get_mut("gateway").unwrap());
    eventually("the gateway is ready", || is_ready(&address));
    let order = |key: &str| {
        let headers = [("idempotency-key", key), ("traceparent", TRACEPARENT)];
        request(&address, "POST", "/orders", &headers, ORDER).unwrap().status
    };
    assert_eq!(order("first"), 201);
    assert_eq!(get(&address, "/products/gold/stock").status, 404);
    assert_eq!(request(&address, "POST", "/orders", &[], "{").unwrap().status, 400);
    let mut all: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    let payments = processes.remove("payments").unwrap();
    all.insert("payments", lines(&payments.stop()));
    assert!([502, 503].contains(&order("second")));
    processes.get_mut("gateway").unwrap().says("a request failed");
    // Those that call, before those that are called.
    for name in ["gateway", "notifications", "reports", "orders", "stock", "users"] {
        let process = processes.remove(name).unwrap();
        all.insert(name, lines(&process.stop()));
    }

    for (process, lines) in &all {
        assert!(lines.len() >= 3, "{process}: {lines:#?}");
        let pids: BTreeSet<u64> =
            lines.iter().map(|line| line["process.pid"].as_u64().unwrap()).collect();
        assert_eq!(pids.len(), 1);
        for line in lines {
            assert_eq!(line["service.name"], "shop");
            assert_eq!(line["service.node.name"], **process);
        }
    }
    let find = |process: &str, message: &str| -> &Line {
        let found =
            all[process].iter().find(|line| line["message"].as_str().unwrap().starts_with(message));
        found.unwrap_or_else(|| panic!("{process} did not say {message:?}: {:#?}", all[process]))
    };
    find("orders", "orders runs orders");
    find("orders", "stopping: what is in flight has 20s");
    let failed = find("gateway", "a request failed");
    assert_eq!(failed["http.request.method"], "POST");
    assert_eq!(failed["url.path"], "/orders");
    assert!([502, 503].contains(&failed["http.response.status_code"].as_u64().unwrap()));
    assert!(failed["event.duration"].as_u64().unwrap() > 0);
    assert_eq!(failed["trace.id"], TRACE);
    assert!(failed["error.code"].is_string() && failed["error.message"].is_string(), "{failed:?}");
    let access = find("gateway", "a request");
    assert_eq!(access["event.dataset"], "shop.access");
    // The same trace in the process that the call failed in, in a line that knows nothing of traces.
    let below = find("orders", "call failed");
    assert_eq!(below["trace.id"], TRACE);
    assert_eq!(
        (&below["labels.module"], &below["labels.method"]),
        (&"orders".into(), &"place".into())
    );
}

#[test]
fn a_start_that_is_refused_is_a_line_too() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let run = MONOLITH.run("logs-refused").with("SHOP_LOG__FORMAT", "json");
    let run = run.with("SHOP_PROCESS__MONOLITH__HTTP", &taken);
    let (status, said) = run.start(&MONOLITH.program("app-monolith")).ended();
    assert!(!status.success(), "{said}");
    let lines = lines(&said);
    let refused = lines.last().unwrap();
    assert_eq!(refused["log.level"], "error");
    assert!(refused["message"].as_str().unwrap().starts_with("this process does not start:\n"));
    assert!(refused["error.message"].as_str().unwrap().contains(&taken), "{said}");
}

/// Outputs that are no terminals get lines for machines, unless a launcher shows them.
#[test]
fn the_format_follows_the_terminal() {
    for (format, is_json) in [("auto", true), ("json", true), ("text", false)] {
        let run = MONOLITH.run("logs-format").with("SHOP_LOG__FORMAT", format);
        let mut monolith = run.start(&MONOLITH.program("app-monolith"));
        monolith.says("monolith runs ");
        let said = monolith.stop();
        let (first, last) = (said.lines().next().unwrap(), said.lines().last().unwrap());
        assert_eq!(ecs::check(first).is_ok(), is_json, "{format}: {first}");
        assert_eq!(ecs::check(last).is_ok(), is_json, "{format}: {last}");
    }
}

#[test]
fn no_line_shows_a_secret() {
    let postgres = Postgres::start();
    // The server asks for no password, and takes any.
    let url = postgres.database("canaries").replace("postgres@", "postgres:c4n4ry-url@");
    for format in ["text", "json"] {
        let run = talkative(format).with("SHOP_ORDERS__DB__URL", &url);
        let mut monolith = run.start(&MONOLITH.program("app-monolith"));
        let address = gateway_of(&mut monolith);
        eventually("the monolith is ready", || is_ready(&address));
        let post = |path: &str, headers: &[(&str, &str)], body: &str| {
            request(&address, "POST", path, headers, body).unwrap()
        };
        let user = r#"{"name": "Ann", "email": "ann@example.org", "password": "c4n4ry-password"}"#;
        assert_eq!(post("/users", &[], user).status, 201);
        let session = r#"{"email": "ann@example.org", "password": "c4n4ry-password"}"#;
        let forged = post("/sessions", &[("authorization", "Bearer c4n4ry-header")], session);
        assert_eq!(forged.status, 401);
        let session = post("/sessions", &[("authorization", "Basic c4n4ry-header")], session);
        assert_eq!(session.status, 200);
        let session: Value = serde_json::from_str(&session.body).unwrap();
        let wrong = r#"{"email": "ann@example.org", "password": "c4n4ry-wrong"}"#;
        assert_eq!(post("/sessions", &[], wrong).status, 401);
        let order = ORDER.replace("}]", "}], \"card\": \"c4n4ry-card\"");
        assert_eq!(
            post("/orders?token=c4n4ry-query", &[("idempotency-key", "one")], &order).status,
            201
        );
        let demo = token(&address, CUSTOMER).unwrap();
        let said = monolith.stop();
        assert!(said.contains("DEBUG") || said.contains("\"debug\""), "{said}");
        let (token, demo) = (session["token"].as_str().unwrap(), demo.as_str());
        for line in said.lines() {
            let told = ["c4n4ry", token, demo].iter().any(|secret| line.contains(secret));
            assert!(!told, "{line}");
        }
    }
}

/// The shop in one process, which logs all that it can.
fn talkative(format: &str) -> Run {
    let run = MONOLITH.run(&format!("logs-canary-{format}")).with("SHOP_LOG__FORMAT", format);
    run.with("RUST_LOG", "trace").with("SHOP_USERS__PASSWORD_MEMORY_KIB", "8")
}
