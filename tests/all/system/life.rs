//! How processes come up, go, and come back, beside others that do.

use super::{
    http::{Response, get, request},
    processes::{Process, Run, eventually, is_ready},
    shop::{MONOLITH, PAYMENTS_OUT},
};
use std::{
    io,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The manifest's `drain`, where nobody says otherwise.
const DRAIN: Duration = Duration::from_secs(20);

fn order(address: &str, key: &str) -> io::Result<Response> {
    let body = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 2}]}"#;
    request(address, "POST", "/orders", &[("idempotency-key", key)], body)
}

/// Where an order is that was placed.
fn path_of(placed: &Response) -> String {
    let order: serde_json::Value = serde_json::from_str(&placed.body).unwrap();
    format!("/orders/{}", order["id"].as_str().unwrap())
}

fn teas(address: &str) -> u64 {
    let level = get(address, "/products/tea/stock");
    let level: serde_json::Value = serde_json::from_str(&level.body).unwrap();
    level["on_hand"].as_u64().unwrap()
}

/// The monolith and the process that it calls for payments, both at work.
struct Two {
    monolith: Process,
    payments: Process,
    address: String,
}

impl Two {
    fn start(run: &Run) -> Self {
        let payments = start_payments(run);
        let mut monolith = run.start(&PAYMENTS_OUT.program("app-monolith"));
        let address = monolith.http();
        eventually("the monolith is ready", || is_ready(&address));
        Self { monolith, payments, address }
    }

    /// An order that waits, for payments stands still until it has `CONT`.
    fn order_that_waits(&self, key: &'static str) -> JoinHandle<io::Result<Response>> {
        let before = teas(&self.address);
        self.payments.signal("STOP");
        let address = self.address.clone();
        let waiting = thread::spawn(move || order(&address, key));
        eventually("the order has its teas", || teas(&self.address) < before);
        waiting
    }
}

fn start_payments(run: &Run) -> Process {
    let mut payments = run.start(&PAYMENTS_OUT.program("payments"));
    payments.says("payments runs payments");
    payments
}

#[test]
fn a_request_in_flight_ends_before_the_process_does() {
    for signal in ["TERM", "INT"] {
        let run = PAYMENTS_OUT.run("in-flight");
        let mut two = Two::start(&run);
        let waiting = two.order_that_waits("last");
        let start = Instant::now();
        two.monolith.signal(signal);
        two.monolith.says("stopping: what is in flight has 20s");
        eventually("nobody is sent here any more", || !is_ready(&two.address));
        assert!(!waiting.is_finished(), "the order waits for payments");
        two.payments.signal("CONT");
        let answer = waiting.join().unwrap().unwrap();
        assert_eq!(answer.status, 201, "{signal}: {answer:?}");
        let (status, said) = two.monolith.ended();
        assert_eq!(status.code(), Some(0), "{signal}: {said}");
        assert!(start.elapsed() < DRAIN, "{signal}: {:?}", start.elapsed());
        assert!(!said.contains("WARN"), "{signal}: {said}");
        two.payments.stop();
    }
}

#[test]
fn a_request_that_does_not_end_is_not_waited_for() {
    let run = PAYMENTS_OUT.run("stuck").with("SHOP_CALLS__DRAIN", "300ms");
    let two = Two::start(&run);
    let waiting = two.order_that_waits("stuck");
    let start = Instant::now();
    two.monolith.signal("TERM");
    let (status, said) = two.monolith.ended();
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopping: what is in flight has 300ms"), "{said}");
    assert!(said.contains("requests were still under way"), "{said}");
    // Less than the deadline of the call, which is 5 s.
    assert!(Duration::from_millis(300) < took && took < Duration::from_secs(4), "{took:?}");
    waiting.join().unwrap().unwrap_err();
}

#[test]
fn a_process_that_is_not_there_yet_delays_readiness_and_not_the_start() {
    let run = PAYMENTS_OUT.run("waiting");
    let mut monolith = run.start(&PAYMENTS_OUT.program("app-monolith"));
    let address = monolith.http();
    monolith.says("waiting for payments at 127.0.0.1:");
    let waiting = get(&address, "/readyz");
    assert_eq!(waiting.status, 503, "{waiting:?}");
    let report: serde_json::Value = serde_json::from_str(&waiting.body).unwrap();
    // The log says where it is looked for, and not everybody.
    assert_eq!(report, serde_json::json!({ "ready": false, "waiting_for": ["payments"] }));
    // It lives, and does what it can.
    assert_eq!(get(&address, "/livez").status, 200);
    assert_eq!(teas(&address), 20);
    assert_eq!(order(&address, "early").unwrap().status, 503);

    let payments = start_payments(&run);
    monolith.says("monolith is ready");
    assert!(is_ready(&address));
    // A connection that failed is tried again after a while, and callers hear that until then.
    eventually("an order is placed", || order(&address, "early").unwrap().status == 201);
    // It stays ready: that payments goes is the business of those who call it.
    payments.stop();
    assert!(is_ready(&address));
    monolith.stop();
}

#[test]
fn a_process_that_is_killed_is_missed_by_its_callers_only_and_comes_back() {
    let run = PAYMENTS_OUT.run("killed");
    let two = Two::start(&run);
    let placed = order(&two.address, "before").unwrap();
    assert_eq!(placed.status, 201);
    two.payments.kill();

    let start = Instant::now();
    let failed = order(&two.address, "during").unwrap();
    let took = start.elapsed();
    assert!([502, 503].contains(&failed.status), "{failed:?}");
    assert_eq!(failed.header("content-type"), Some("application/problem+json"));
    assert!(!failed.body.contains("127.0.0.1"), "{failed:?}");
    // It is not waited for: the deadline of the call is 5 s.
    assert!(took < Duration::from_secs(4), "{took:?}");
    // What needs no payment is as it was; the order that failed is held until it is settled.
    assert_eq!(get(&two.address, &path_of(&placed)).body, placed.body);
    assert_eq!(order(&two.address, "before").unwrap().body, placed.body);
    assert_eq!(teas(&two.address), 16);

    let payments = start_payments(&run);
    let start = Instant::now();
    eventually("orders are placed again", || order(&two.address, "during").unwrap().status == 201);
    // The longest pause between two attempts is 2 s.
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(teas(&two.address), 16);
    two.monolith.stop();
    payments.stop();
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let run = MONOLITH.run("acknowledged");
    let start = || {
        let mut monolith = run.start(&MONOLITH.program("app-monolith"));
        let address = monolith.http();
        eventually("the monolith is ready", || is_ready(&address));
        (monolith, address)
    };
    let (monolith, address) = start();
    let placed: Vec<Response> =
        ["a", "b", "c"].iter().map(|key| order(&address, key).unwrap()).collect();
    // Others are in flight as it ends.
    let in_flight: Vec<_> = (0..8)
        .map(|number| {
            let address = address.clone();
            thread::spawn(move || order(&address, &format!("late-{number}")).ok())
        })
        .collect();
    monolith.kill();
    let late = in_flight.into_iter().filter_map(|order| order.join().unwrap());
    let placed: Vec<Response> =
        placed.into_iter().chain(late).filter(|answer| answer.status == 201).collect();
    assert!(placed.len() >= 3, "{placed:?}");

    let (monolith, address) = start();
    for answer in placed {
        assert_eq!(get(&address, &path_of(&answer)).body, answer.body);
    }
    monolith.stop();
}
