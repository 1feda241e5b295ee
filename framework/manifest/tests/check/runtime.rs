//! The graph as a running process has it: without a workspace.

use monolift_manifest::Graph;

use crate::scratch::parse;

fn graph(calls: &[(&str, &[&str])], host_calls: &[&str]) -> Graph {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Graph::new(
        calls.iter().map(|(module, calls)| ((*module).to_owned(), owned(calls))),
        owned(host_calls),
    )
}

#[test]
fn dependencies_start_first() {
    let shop = graph(
        &[
            ("notifications", &[]),
            ("orders", &["stock", "payments"]),
            ("payments", &["users"]),
            ("stock", &[]),
            ("users", &[]),
        ],
        &[],
    );
    assert_eq!(shop.start_order(), ["notifications", "users", "payments", "stock", "orders"]);
    assert_eq!(graph(&[], &[]).start_order(), [""; 0]);
    assert_eq!(
        graph(&[("a", &["b"]), ("b", &["a"]), ("c", &["gone"])], &[]).start_order(),
        ["b", "a", "c"]
    );
}

#[test]
fn only_declared_calls_are_allowed() {
    let manifest = parse(
        "app = \"shop\"\nhost = \"old\"\n[modules]\norders = \"monolith\"\nusers = \"monolith\"\npayments = \"payments\"\nstock = \"old\"\n",
    )
    .expect("a manifest");
    let graph = graph(
        &[
            ("orders", &["payments", "users"]),
            ("users", &[]),
            ("payments", &["users"]),
            ("stock", &["orders"]),
        ],
        &["users"],
    );
    assert!(graph.may_call(&manifest, "monolith", "payments"), "orders lives there");
    assert!(graph.may_call(&manifest, "monolith", "users"));
    assert!(!graph.may_call(&manifest, "monolith", "monolith"));
    assert!(!graph.may_call(&manifest, "payments", "orders"));
    assert!(
        !graph.may_call(&manifest, "payments", "payments"),
        "not even itself: it did not declare that"
    );
    assert!(graph.may_call(&manifest, "old", "users"), "the host declares it");
    assert!(graph.may_call(&manifest, "old", "orders"), "stock lives there");
    assert!(!graph.may_call(&manifest, "old", "payments"));
    assert!(graph.may_call(&manifest, "orders", "payments"), "orders served on its own");
    assert!(!graph.may_call(&manifest, "orders", "stock"));
    assert!(!graph.may_call(&manifest, "stranger", "users"));
}
