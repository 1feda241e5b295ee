//! A process that the manifest has observe the application shows all of it, also what it does not call.

use super::{
    http::{get, request},
    observed::Observed,
    processes::{eventually, free_port},
};
use serde_json::Value;
use std::collections::BTreeSet;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn ask(admin: &str, path: &str) -> Value {
    serde_json::from_str(&get(admin, path).body).unwrap()
}

/// The names in a list.
fn names(value: &Value, list: &str) -> BTreeSet<String> {
    let entries = value[list].as_array().into_iter().flatten();
    entries.map(|entry| entry["process"].as_str().unwrap().to_owned()).collect()
}

/// The admin address of the payments, which call no other module.
fn of_payments(shop: &Observed) -> String {
    let states = ask(&shop.admin, "/api/processes");
    let mut states = states["processes"].as_array().unwrap().iter();
    let found = states.find(|state| state["process"] == "payments").unwrap();
    found["admin"].as_str().unwrap().to_owned()
}

#[test]
fn a_process_that_observes_shows_the_whole_application() {
    let listen = free_port();
    let gateway = ("SHOP_PROCESS__GATEWAY__LISTEN", listen.as_str());
    let shop = Observed::start("observes", &[gateway, ("SHOP_PROCESS__PAYMENTS__OBSERVE", "true")]);
    let payments = of_payments(&shop);
    let all = ["gateway", "notifications", "orders", "payments", "reports", "stock", "users"];
    let all = BTreeSet::from(all.map(str::to_owned));
    let mut states = Value::Null;
    eventually("it has reached all, and both replicas of orders", || {
        states = ask(&payments, "/api/processes");
        names(&states, "processes") == all && states["processes"].as_array().unwrap().len() == 8
    });
    // Who listens to whom, for the map.
    let listens = states["processes"].as_array().unwrap().iter();
    let listens = listens.flat_map(|state| state["listens"].as_array().unwrap());
    let listeners: BTreeSet<&str> = listens.map(|one| one["listener"].as_str().unwrap()).collect();
    assert_eq!(listeners, BTreeSet::from(["notifications", "reports"]), "{states:#}");
    assert_eq!(shop.order_as_part_of(TRACE), 201);
    let trace = ask(&payments, &format!("/api/traces/{TRACE}"));
    let expected = ["gateway", "orders", "payments", "stock", "users"].map(str::to_owned);
    assert!(names(&trace, "parts").is_superset(&BTreeSet::from(expected)), "{trace:#}");
    assert_eq!(trace["missing"], Value::Null, "{trace:#}");
    // What it does not call is not waited for.
    let own = states["processes"].as_array().unwrap().iter();
    let mut own = own.filter(|state| state["process"] == "payments");
    assert_eq!(own.next().unwrap()["ready"], true);
}

/// The one command works before and after a split, and work of every process is in the list.
#[test]
fn levels_and_lists_are_those_of_all_processes() {
    let shop = Observed::start("observes-levels", &[]);
    let payments = of_payments(&shop);
    let set = |admin: &str, levels: &str| -> Value {
        let body = serde_json::json!({ "levels": levels }).to_string();
        let answer = request(admin, "PUT", "/api/log", &[], &body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };
    let changed = set(&shop.admin, "stock=debug");
    let all = ["gateway", "notifications", "orders", "payments", "reports", "stock", "users"];
    assert_eq!(names(&changed, "processes"), BTreeSet::from(all.map(str::to_owned)), "{changed:#}");
    assert_eq!(ask(&payments, "/api/log")["levels"], "info,stock=debug");
    // It calls no other module, and observes nothing.
    let own = set(&payments, "payments=debug");
    assert_eq!(names(&own, "processes"), BTreeSet::from(["payments".to_owned()]));
    assert_eq!(ask(&shop.admin, "/api/log")["levels"], "info,stock=debug");
    // The stock's schedule runs in the process of the stock.
    let listed = || ask(&shop.admin, "/api/requests?recurring=true&route=stock.expire");
    eventually("its work is listed", || !listed()["requests"].as_array().unwrap().is_empty());
}

#[test]
fn any_other_process_shows_what_it_calls() {
    let shop = Observed::start("observes-not", &[]);
    let payments = of_payments(&shop);
    let states = ask(&payments, "/api/processes");
    assert_eq!(names(&states, "processes"), BTreeSet::from(["payments".to_owned()]));
    assert_eq!(shop.order_as_part_of(TRACE), 201);
    // It has parts of its own.
    let trace = ask(&payments, &format!("/api/traces/{TRACE}"));
    assert!(names(&trace, "parts").iter().all(|process| process == "payments"), "{trace:#}");
}
