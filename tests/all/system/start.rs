//! What stops a start: in words, with nothing half done.

use super::{
    processes::{Run, free_port},
    workspace::Workspace,
};
use std::net::TcpListener;

#[test]
fn what_is_wrong_stops_the_start() {
    let workspace = Workspace::copy();
    workspace.build(&["-p", "app-monolith", "-p", "payments"], &[]);
    let monolith = workspace.program("app-monolith");
    let refused = |run: Run, program: &std::path::Path, told: &[&str]| {
        let (status, said) = run.start(program).ended();
        assert_eq!(status.code(), Some(1), "{said}");
        for text in told {
            assert!(said.contains(text), "no {text:?} in\n{said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    };
    let run = || Run::new("start", &["monolith"]);

    refused(
        run().with("SHOP_ORDER__MAX_LINES", "3"),
        &monolith,
        &["`order`", "did you mean `orders`?"],
    );
    refused(run().with("SHOP_ORDERS__MAX_LINES", "many"), &monolith, &["orders", "max_lines"]);
    refused(run().with("SHOP_ORDERS__MAX_LINS", "3"), &monolith, &["max_lins", "max_lines"]);
    refused(run().with("SHOP_CALLS__DEADLINE", "soon"), &monolith, &["calls.deadline", "soon"]);
    refused(run().with("MONOLIFT_SETTINGS", "/no/such.toml"), &monolith, &["/no/such.toml"]);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run_at = |address: &str| run().with("SHOP_PROCESS__MONOLITH__HTTP", address);
    refused(run_at(&address), &monolith, &["the gateway cannot listen on", &address]);

    // A manifest that places a module where it is not linked.
    let other = workspace.root.join("other.toml");
    let text = format!(
        "app = \"shop\"\n[modules]\nstock = \"monolith\"\norders = \"monolith\"\n\
         payments = \"monolith\"\ncoupons = \"monolith\"\n[process.monolith]\nhttp = \"{}\"\n",
        free_port()
    );
    std::fs::write(&other, text).unwrap();
    let run = run().with("MONOLIFT_MANIFEST", other.to_str().unwrap());
    refused(run, &monolith, &["places `coupons` in the process `monolith`", "not linked"]);
}
