//! Two replicas of a listener, of which one stands still for a while, as a process does whose machine is suspended.

use super::{
    http::request,
    processes::{Process, eventually, free_port, is_ready},
    shop::{ALL_SPLIT, Program},
    tables::Tables,
};
use crate::postgres::Postgres;
use std::{
    thread,
    time::{Duration, Instant},
};

const ORDERS: usize = 40;
/// An event that a frozen replica held is handled by another one within this time: its lease ends, and the server ends its
/// transaction if it has one.
const HANDLED: Duration = Duration::from_secs(15);

fn order(address: &str, number: usize) {
    let body = r#"{"user": "demo", "lines": [{"sku": "k", "quantity": 1}], "card": "card"}"#;
    let key = number.to_string();
    let answer = request(address, "POST", "/orders", &[("idempotency-key", &key)], body).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// The orders of which customers were told, each as often as they were.
fn mails(tables: &Tables) -> Vec<Vec<String>> {
    tables.rows("notifications", "SELECT subject FROM notifications ORDER BY subject")
}

fn frozen_for(time: Duration) {
    let postgres = Postgres::start();
    let run = ALL_SPLIT
        .run("frozen")
        .with("SHOP_ORDERS__DB__URL", postgres.database("orders"))
        .with("SHOP_NOTIFICATIONS__DB__URL", postgres.database("notifications"));
    let start = |program: &Program| run.start(&ALL_SPLIT.program(program.file));
    let mut all: Vec<Process> = ALL_SPLIT.programs.iter().map(start).collect();
    // A second one, at an address of its own.
    let mut env = run.env.clone();
    env.push(("SHOP_PROCESS__NOTIFICATIONS__LISTEN".to_owned(), free_port()));
    all.insert(0, Process::start(&ALL_SPLIT.program("notifications"), &env));
    let address = all.last_mut().unwrap().http();
    eventually("the gateway is ready", || is_ready(&address));
    let tables = Tables::of(&run);

    let product = r#"{"sku": "k", "name": "Product", "price": 100, "on_hand": 1000}"#;
    assert_eq!(request(&address, "POST", "/products", &[], product).unwrap().status, 201);
    for number in 0..ORDERS / 2 {
        order(&address, number);
    }
    // In the middle of what it has in hand.
    all[0].signal("STOP");
    let since = Instant::now();
    for number in ORDERS / 2..ORDERS {
        order(&address, number);
    }
    while mails(&tables).len() < ORDERS {
        assert!(since.elapsed() < HANDLED + Duration::from_secs(5), "{}", mails(&tables).len());
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(time.saturating_sub(since.elapsed()));
    all[0].signal("CONT");
    order(&address, ORDERS);
    tables.settle();
    let mut told = mails(&tables);
    assert_eq!(told.len(), ORDERS + 1);
    told.dedup();
    assert_eq!(told.len(), ORDERS + 1);
    while let Some(process) = all.pop() {
        process.stop();
    }
}

#[test]
fn a_replica_that_is_frozen_holds_nothing_up_and_doubles_nothing() {
    frozen_for(Duration::from_secs(6));
}

#[test]
#[ignore = "it stands still for a minute"]
fn a_replica_that_is_frozen_for_a_minute_holds_nothing_up() {
    frozen_for(Duration::from_secs(60));
}
