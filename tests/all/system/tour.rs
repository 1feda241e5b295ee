//! The tour: one word of the manifest is changed, the programs are built again, and nothing else is
//! different: neither what was compiled before, nor an answer, nor what was stored.

use super::{
    http::{Response, get, request},
    processes::Run,
    shop::{ALL_SPLIT, MONOLITH, PAYMENTS_OUT, PLACEMENTS, TWO_TOGETHER},
    tables::MODULES,
};

const ORDER: &str = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 2}]}"#;

/// What a shopper asks for, again and again: the order is placed the first time.
fn visit(address: &str) -> Vec<Response> {
    let place = || request(address, "POST", "/orders", &[("idempotency-key", "one")], ORDER);
    let placed = place().unwrap();
    let order: serde_json::Value = serde_json::from_str(&placed.body).unwrap();
    vec![
        placed,
        place().unwrap(),
        get(address, &format!("/orders/{}", order["id"].as_str().unwrap())),
        get(address, "/products/tea/stock"),
        get(address, "/products/gold/stock"),
    ]
}

#[test]
fn one_word_moves_a_module_and_nothing_else() {
    let mut run = Run::new("tour");
    let mut expected: Option<Vec<Response>> = None;
    // And back again: the last is the first.
    for placement in [&MONOLITH, &PAYMENTS_OUT, &TWO_TOGETHER, &ALL_SPLIT, &MONOLITH] {
        run = placement.addressed(run);
        let shop = placement.start(&run);
        let answers = visit(&shop.address);
        shop.stop();
        match &expected {
            // The data is where it was: even the time of the order is the same.
            Some(expected) => assert_eq!(&answers, expected, "{}", placement.name),
            None => expected = Some(answers),
        }
    }
    let answers = expected.unwrap();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [201, 201, 200, 200, 404], "{answers:#?}");
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].body, answers[2].body);
    let order: serde_json::Value = serde_json::from_str(&answers[0].body).unwrap();
    assert_eq!((&order["state"], &order["total"]), (&"placed".into(), &900.into()));
    let tea = r#"{"sku":"tea","on_hand":18}"#;
    assert_eq!(answers[3].body, tea);
    let problem: serde_json::Value = serde_json::from_str(&answers[4].body).unwrap();
    assert_eq!(answers[4].header("content-type"), Some("application/problem+json"));
    assert_eq!(problem["detail"], "no product gold");
    assert_eq!(problem["type"], "urn:monolift:Stock:unknown-product");
}

#[test]
fn only_programs_are_built_again() {
    // A program that has the launcher beside it may be the first to need that.
    let is_ours = |target: &&String| {
        let name = target.rsplit(' ').next().unwrap_or_default().trim_end_matches("_api");
        MODULES.contains(&name) || ["monolift", "axum", "sqlx", "tokio"].contains(&name)
    };
    for placement in &PLACEMENTS[1..] {
        let compiled = placement.compiled();
        let libraries: Vec<_> = compiled
            .iter()
            .filter(|target| !target.starts_with("bin ") && is_ours(target))
            .collect();
        assert!(libraries.is_empty(), "{}: {libraries:?}", placement.name);
    }
    let compiled: Vec<String> = PAYMENTS_OUT.compiled().into_iter().collect();
    assert_eq!(compiled, ["bin app-monolith", "bin payments"]);
}
