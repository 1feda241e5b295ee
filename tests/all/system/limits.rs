//! The limits of the gateway, as the shop's own programs hold them.

use super::{
    http::{Response, get, request},
    processes::{Process, eventually, free_port, is_ready},
    shop::{ALL_SPLIT, MONOLITH},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A request, as its verb, path, headers and body; and the status and the code of its answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

/// A problem: its status, which its body repeats, and its code.
#[track_caller]
fn problem(answer: &Response) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["status"], answer.status);
    (answer.status, body["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_caller_has_its_rate_and_a_trusted_proxy_says_who_it_is() {
    let admin = free_port();
    let run = MONOLITH
        .run("limits")
        .with("SHOP_LIMITS__RATE", "1000/s")
        .with("SHOP_LIMITS__RATES", "stock.level=2/h,users=1000/s")
        .with("SHOP_HTTP__TRUSTED_PROXIES", "127.0.0.1")
        .with("SHOP_HTTP__ACCESS_LOG", "true")
        .with("SHOP_HTTP__CORS_ORIGINS", "https://app.example.com")
        .with("SHOP_PROCESS__MONOLITH__ADMIN", &admin);
    let mut monolith = run.start(&MONOLITH.program("app-monolith"));
    let address = monolith.http();
    eventually("the monolith is ready", || is_ready(&address));
    let level = |client: &str| {
        let headers = [("x-forwarded-for", client), ("origin", "https://app.example.com")];
        request(&address, "GET", "/products/tea/stock", &headers, "").unwrap()
    };
    let first = level("192.0.2.1");
    assert_eq!(first.status, 200);
    let stated = "\"all\";q=1000;w=1, \"stock.level\";q=2;w=3600";
    assert_eq!(first.header("ratelimit-policy"), Some(stated));
    assert_eq!(first.header("ratelimit"), Some("\"stock.level\";r=1;t=1800"));
    assert_eq!(first.header("access-control-allow-origin"), Some("https://app.example.com"));
    for name in ["content-security-policy", "referrer-policy", "cross-origin-resource-policy"] {
        assert!(first.header(name).is_some(), "{name}");
    }
    assert_eq!(level("192.0.2.1").status, 200);
    let third = level("192.0.2.1");
    assert_eq!(problem(&third), (429, "too-many-requests".to_owned()));
    let again: u32 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&again), "{again}");
    // Another client, and another method.
    assert_eq!(level("192.0.2.2").status, 200);
    let other = [("x-forwarded-for", "192.0.2.1")];
    assert_eq!(request(&address, "GET", "/products", &other, "").unwrap().status, 200);
    let metrics = get(&admin, "/metrics").body;
    let line =
        "monolift_requests_refused_total{limit=\"rate\",method=\"stock.level\",by=\"nobody\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    let said = monolith.stop();
    let logged = said.lines().any(|line| line.contains("client=192.0.2.1") && line.contains("429"));
    assert!(logged, "{said}");
}

#[test]
fn every_refusal_is_a_problem_in_both_shapes() {
    for placement in [MONOLITH, ALL_SPLIT] {
        let run = placement
            .run("refusals")
            .with("SHOP_LIMITS__HEAD", "8KiB")
            .with("SHOP_LIMITS__TARGET", "1KiB")
            .with("SHOP_LIMITS__FRAME", "64KiB");
        let mut processes: BTreeMap<&str, Process> = placement
            .programs
            .iter()
            .map(|program| (program.process, run.start(&placement.program(program.file))))
            .collect();
        let gateway = placement.programs.last().unwrap().process;
        let address = processes.get_mut(gateway).unwrap().http();
        eventually("the gateway is ready", || is_ready(&address));
        let long = "a".repeat(10 * 1024);
        let body = format!("\"{}\"", "a".repeat(70 * 1024));
        let far = format!("/products?after={}", &long[..1100]);
        let plain = [("content-type", "text/plain")];
        let large = [("x-long", long.as_str())];
        let many: Vec<(String, String)> =
            (0..120).map(|at| (format!("x-{at}"), "y".to_owned())).collect();
        let many: Vec<(&str, &str)> =
            many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let cases: [Case<'_>; 7] = [
            ("POST", "/orders", &[], body.as_str(), 413, "too-large"),
            ("GET", far.as_str(), &[], "", 414, "target-too-long"),
            ("POST", "/orders", &plain, "{}", 415, "unsupported-media-type"),
            ("GET", "/products", &large, "", 431, "head-too-large"),
            ("GET", "/products", &many, "", 431, "head-too-large"),
            ("POST", "/orders", &[], "{", 400, "bad-arguments"),
            ("PUT", "/orders", &[], "{}", 405, "method-not-allowed"),
        ];
        for (method, path, headers, body, status, code) in cases {
            let answer = request(&address, method, path, headers, body).unwrap();
            assert_eq!(problem(&answer), (status, code.to_owned()), "{method} {code}");
        }
        // Those that call end before those that are called.
        processes.remove(gateway).unwrap().stop();
    }
}

#[test]
fn a_rate_of_nothing_stops_the_start() {
    let run = MONOLITH.run("rate-of-nothing").with("SHOP_LIMITS__RATES", "stock.levle=2/h");
    let (status, said) = run.start(&MONOLITH.program("app-monolith")).ended();
    assert!(!status.success(), "{said}");
    assert!(said.contains("`limits.rates` names `stock.levle`"), "{said}");
    assert!(said.contains("did you mean `stock.level`?"), "{said}");
}
