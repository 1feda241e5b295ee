//! Methods that take their caller's transaction: who calls them, and that caller and module are placed together.

use monolift_manifest::{Graph, LocalCalls, local_methods};

use crate::scratch::{Scratch, parse};

fn api(module: &str, local: &str) -> String {
    format!("[package]\nname = \"{module}-api\"\n[package.metadata.monolift]\nlocal = [{local}]\n")
}

/// `orders`, `reports` and the host `old` depend on `stock`, which has two such methods.
fn shop() -> Scratch {
    Scratch::workspace()
        .module("stock", &[])
        .file(
            "modules/stock/api/Cargo.toml",
            &api("stock", "\"Stock::reserve_in\", \"Stock::release_in\""),
        )
        .module("orders", &["stock-api"])
        .module("reports", &["stock-api"])
        .package("apps/old", "old", &["stock-api"])
}

/// The module `reports`, which says which of them it calls.
fn reports_call(scratch: Scratch, calls: &str) -> Scratch {
    scratch.file(
        "modules/reports/Cargo.toml",
        &format!(
            "[package]\nname = \"reports\"\n[package.metadata.monolift]\nlocal_calls = [{calls}]\n\
             [dependencies]\nreports-api = \"1\"\nstock-api = \"1\"\n"
        ),
    )
}

const TOGETHER: &str = "app = \"shop\"\nhost = \"old\"\n[modules]\nstock = \"old\"\norders = \"old\"\nreports = \"old\"\n";

fn calls(caller: Option<&str>, methods: &[&str]) -> LocalCalls {
    let methods = methods.iter().map(|&method| method.to_owned()).collect();
    LocalCalls { caller: caller.map(str::to_owned), module: "stock".into(), methods }
}

const BOTH: [&str; 2] = ["Stock::reserve_in", "Stock::release_in"];

#[test]
fn a_package_that_depends_on_the_interface_calls_them_unless_it_says_otherwise() {
    let graph = shop().graph(TOGETHER);
    assert_eq!(graph.modules["stock"].local, BOTH);
    let all = [calls(Some("orders"), &BOTH), calls(Some("reports"), &BOTH), calls(None, &BOTH)];
    assert_eq!(graph.local_calls, all);
    let graph = reports_call(shop(), "\"Stock::release_in\"").graph(TOGETHER);
    assert_eq!(graph.local_calls[1], calls(Some("reports"), &["Stock::release_in"]));
    let graph = reports_call(shop(), "").graph(TOGETHER);
    assert_eq!(graph.local_calls, [calls(Some("orders"), &BOTH), calls(None, &BOTH)]);
}

#[test]
fn a_caller_that_is_placed_apart_is_refused_and_each_method_named() {
    let apart = TOGETHER.replace("orders = \"old\"", "orders = \"orders\"")
        + "[process.old]\nlisten = \"a:1\"\n[process.orders]\nlisten = \"a:2\"\n";
    assert_eq!(
        shop().refused(&apart),
        "deployment.toml:4:1: `stock` (in `old`) takes the transaction of `orders` (in `orders`) by `Stock::reserve_in`, \
         `Stock::release_in`: a transaction does not reach another process\n  help: place both in one process, or replace \
         `#[local]` by durable work first; if `orders` does not call them, write `local_calls = []` under \
         [package.metadata.monolift] in its Cargo.toml"
    );
    let apart = TOGETHER.replace("stock = \"old\"", "stock = \"stock\"")
        + "[process.stock]\nlisten = \"a:1\"\n";
    let refused = reports_call(shop(), "\"Stock::reserve_in\"").refused(&apart);
    let by = |caller: &str, methods: &str| {
        format!(
            "takes the transaction of {caller} (in `old`) by {methods}: a transaction does not reach"
        )
    };
    for told in [
        by("`orders`", "`Stock::reserve_in`, `Stock::release_in`"),
        by("`reports`", "`Stock::reserve_in`"),
        by("the host", "`Stock::reserve_in`, `Stock::release_in`"),
    ] {
        assert!(refused.contains(&told), "no {told:?} in\n{refused}");
    }
    assert_eq!(refused.matches("takes the transaction").count(), 3, "{refused}");
    // One that calls none of them may be elsewhere.
    let apart = TOGETHER.replace("reports = \"old\"", "reports = \"reports\"")
        + "[process.old]\nlisten = \"a:1\"\n";
    reports_call(shop(), "").graph(&apart);
}

#[test]
fn another_manifest_is_held_against_the_same_graph() {
    let graph = shop().graph(TOGETHER);
    assert!(graph.local_calls_apart(&parse(TOGETHER).expect("a manifest")).is_empty());
    let apart = TOGETHER.replace("reports = \"old\"", "reports = \"reports\"");
    let apart = graph.local_calls_apart(&parse(&apart).expect("a manifest"));
    assert_eq!(apart.0.len(), 1);
    assert!(apart.to_string().contains("of `reports` (in `reports`) by"), "{apart}");
    // What the manifest does not place is not called.
    let fewer = parse("app = \"shop\"\n[modules]\norders = \"a\"\n").expect("a manifest");
    assert!(graph.local_calls_apart(&fewer).is_empty());
    let without: Graph = Graph::new([], vec![]);
    assert!(without.local_calls.is_empty());
}

#[test]
fn an_interface_in_the_host_s_own_crate_has_them_too() {
    let host = "[package]\nname = \"old\"\n[package.metadata.monolift]\nlocal = [\"Profiles::follow_in\"]\n";
    let scratch = Scratch::workspace().file("apps/old/Cargo.toml", host);
    let graph = scratch.graph("app = \"shop\"\nhost = \"old\"\n[modules]\nprofiles = \"old\"\n");
    assert_eq!(graph.host_local, ["Profiles::follow_in"]);
    assert!(graph.local_calls.is_empty());
}

#[test]
fn a_list_of_calls_names_methods_that_there_are() {
    assert_eq!(
        reports_call(shop(), "\"Stock::reserve_on\"").refused(TOGETHER),
        "modules/reports/Cargo.toml:4:1: `reports` lists `Stock::reserve_on` in `local_calls`, and no interface that it \
         depends on has such a method with `#[local]`\n  help: did you mean `Stock::reserve_in`?"
    );
}

#[test]
fn a_package_s_own_list_is_read_without_a_workspace() {
    let scratch = shop();
    assert_eq!(local_methods(&scratch.root.join("modules/stock/api")), BOTH);
    assert!(local_methods(&scratch.root.join("modules/orders")).is_empty());
    assert!(local_methods(&scratch.root.join("nowhere")).is_empty());
}
