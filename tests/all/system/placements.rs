//! The same requests have the same answers, wherever the modules live.

use super::{
    http::{Response, get, request},
    shop::PLACEMENTS,
};
use std::thread;

/// An order under a key, which is its number.
fn place(address: &str, key: &str, lines: &str) -> Response {
    let body = format!(r#"{{"user": "demo", "lines": {lines}}}"#);
    request(address, "POST", "/orders", &[("idempotency-key", key)], &body).unwrap()
}

fn post(address: &str, headers: &[(&str, &str)], body: &str) -> Response {
    request(address, "POST", "/orders", headers, body).unwrap()
}

/// What shoppers ask for, some of it badly, and the statuses that this has.
fn shop(address: &str) -> Vec<(u16, Response)> {
    let lines = r#"[{"sku": "tea", "quantity": 2}, {"sku": "cup", "quantity": 1}]"#;
    let too_many = format!("[{}]", [r#"{"sku": "cup", "quantity": 1}"#; 21].join(","));
    let too_long = format!(r#"{{"user": "{}", "lines": []}}"#, "a".repeat(5 << 20));
    let first = place(address, "one", lines);
    let order: serde_json::Value = serde_json::from_str(&first.body).unwrap();
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    vec![
        (201, first),
        // What is said of it all is the same, too.
        (200, get(address, "/openapi.json")),
        (200, get(address, "/docs")),
        (200, get(address, "/products")),
        (200, get(address, "/products/tea")),
        (200, get(address, "/products/tea/stock")),
        (404, get(address, "/products/gold/stock")),
        (404, get(address, "/products/%C3%BC%2F%20/stock")),
        // One order, however often it is sent.
        (201, place(address, "one", lines)),
        (200, get(address, &path)),
        (404, get(address, "/orders/two")),
        // Errors of modules, from one and two calls away.
        (409, place(address, "many", r#"[{"sku": "tea", "quantity": 2000}]"#)),
        (422, place(address, "unknown", r#"[{"sku": "gold", "quantity": 1}]"#)),
        (402, place(address, "dear", r#"[{"sku": "pot", "quantity": 5}]"#)),
        (422, place(address, "none", "[]")),
        (422, place(address, "lines", &too_many)),
        // Nothing is held for an order that was not placed.
        (200, get(address, "/products/tea/stock")),
        (200, get(address, "/products/pot/stock")),
        (200, get(address, "/products/cup/stock")),
        (200, get(address, "/orders?user=demo")),
        (200, get(address, "/orders?user=demo&limit=1")),
        (200, get(address, "/users/demo")),
        (404, get(address, "/users/nobody")),
        (401, request(address, "POST", "/sessions", &[], LOG_IN).unwrap()),
        // What is no call at all.
        (400, get(address, "/orders")),
        (400, get(address, "/orders?user=demo&limit=few")),
        (400, place(address, "odd", "7")),
        (400, post(address, &[], r#"{"user": "a"}"#)),
        (400, post(address, &[], "{")),
        (400, post(address, &[("idempotency-key", "")], "{}")),
        (415, post(address, &[("content-type", "text/plain")], "tea")),
        (413, post(address, &[], &too_long)),
        (405, request(address, "DELETE", &path, &[], "").unwrap()),
        (404, get(address, "/nowhere")),
        (404, get(address, "/payments")),
        (200, request(address, "GET", "/readyz", &[], "").unwrap()),
        (200, request(address, "GET", "/livez", &[], "").unwrap()),
    ]
}

/// Many want the last pots at once; as many have one as there are.
fn rush(address: &str) -> (usize, Response) {
    let buy = |number: usize| {
        let address = address.to_owned();
        let one = r#"[{"sku": "pot", "quantity": 1}]"#;
        thread::spawn(move || place(&address, &format!("rush-{number}"), one).status)
    };
    let buyers: Vec<_> = (0..12).map(buy).collect();
    let statuses: Vec<u16> = buyers.into_iter().map(|buyer| buyer.join().unwrap()).collect();
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    let placed = statuses.iter().filter(|status| **status == 201).count();
    (placed, get(address, "/products/pot/stock"))
}

/// The times of orders and customers are their own.
fn without_times(mut answer: Response) -> Response {
    for key in ["\"made_at_ms\":", "\"since_ms\":"] {
        let mut parts = answer.body.split(key);
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            text.push_str(key);
            text.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
        }
        answer.body = text;
    }
    // So is the length, then.
    answer.headers.retain(|header| !header.starts_with("content-length"));
    answer
}

const LOG_IN: &str = r#"{"email": "demo@example.org", "password": "no such password"}"#;

#[test]
fn answers_are_the_same_in_every_placement() {
    let mut expected: Option<Vec<Response>> = None;
    for placement in PLACEMENTS {
        let run = placement.run("same").with("SHOP_PAYMENTS__MOST_CENTS", "10000");
        // A password is hashed even for who cannot log in; cheaply, here.
        let run = run.with("SHOP_USERS__PASSWORD_MEMORY_KIB", "8");
        let shop_open = placement.start(&run);
        let mut answers = Vec::new();
        for (number, (status, answer)) in shop(&shop_open.address).into_iter().enumerate() {
            assert_eq!(answer.status, status, "{}, {number}: {answer:#?}", placement.name);
            answers.push(without_times(answer));
        }
        let (placed, left) = rush(&shop_open.address);
        assert_eq!(placed, 5, "{}", placement.name);
        assert!(left.body.contains("\"on_hand\":0"), "{left:?}");
        answers.push(left);
        shop_open.stop();
        match &expected {
            Some(expected) => assert_eq!(&answers, expected, "{}", placement.name),
            None => expected = Some(answers),
        }
    }
    let answers = expected.unwrap();
    let body = |path: &str| answers.iter().filter(|answer| answer.body.contains(path)).count();
    assert!(body("\"total\":1800") >= 4, "one order, three times, and in the list: {answers:#?}");
    assert_eq!(body("{\"sku\":\"tea\",\"on_hand\":18}"), 2, "{answers:#?}");
}
