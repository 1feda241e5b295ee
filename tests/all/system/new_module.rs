//! `cargo monolift new module`: the workspace builds with it, and its tests pass.

use super::{
    http::request,
    processes::{Run, eventually, is_ready},
    workspace::{Workspace, target},
};
use std::process::Command;

#[test]
fn a_new_module_is_part_of_the_workspace() {
    let workspace = Workspace::copy();
    let cli = target().join("debug/cargo-monolift");
    let bench = workspace.read("bench/Cargo.toml");
    let new = |name: &str| {
        let mut command = Command::new(&cli);
        command.args(["new", "module", name]).current_dir(&workspace.root).output().unwrap()
    };
    let made = new("gift-cards");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let refused = |name: &str| {
        let output = new(name);
        assert!(!output.status.success(), "{name}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("gift-cards").contains("there is a package `gift-cards` already"));
    assert!(refused("inventory").contains("it means something else"));
    assert!(refused("serde").contains("has a package `serde`"));
    assert!(refused("serde-json").contains("has a package `serde_json`"));
    assert!(refused("async").contains("it means something else"));
    assert!(refused("note").contains("it means something else"));

    // Imports are in the order of the alphabet, which depends on the name.
    let mut format =
        workspace.cargo(&["fmt", "--check", "-p", "gift-cards", "-p", "gift-cards-api"]);
    let output = format.env("CARGO_NET_OFFLINE", "true").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    // Comments and what else was there stay.
    let after = workspace.read("bench/Cargo.toml");
    let others = after.lines().filter(|line| !line.starts_with("gift-cards"));
    assert_eq!(others.collect::<Vec<_>>(), bench.lines().collect::<Vec<_>>());
    let manifest = workspace.read("deployment.toml");
    assert!(manifest.contains("# Which process each module lives in."), "{manifest}");
    assert!(manifest.contains("gift-cards = \"monolith\""), "{manifest}");
    let split = workspace.read("app-split/deployment.toml");
    assert!(split.contains("[process.gift-cards]\nlisten = \"127.0.0.1:7107\""), "{split}");

    let mut tests = workspace.cargo(&["test", "--quiet", "--offline", "-p", "gift-cards"]);
    let output = tests.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("3 passed"), "{said}");
    let mut build = workspace.cargo(&["build", "--quiet", "--offline", "-p", "app-monolith"]);
    let output = build.args(["-p", "gift-cards"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let run = Run::new("new-module").listening("monolith").gateway("monolith");
    let mut monolith = run.start(&workspace.program("app-monolith"));
    let address = monolith.http();
    eventually("the monolith is ready", || is_ready(&address));
    let note = r#"{"text":"hello"}"#;
    let put = request(&address, "PUT", "/gift-cards/one", &[], note).unwrap();
    assert_eq!((put.status, put.body.as_str()), (200, note));
    assert_eq!(request(&address, "GET", "/gift-cards/one", &[], "").unwrap().body, note);
    monolith.stop();
    std::fs::remove_dir_all(workspace.root.join("modules/gift-cards")).unwrap();
    std::fs::remove_dir_all(workspace.root.join("migrations/gift-cards")).unwrap();
}
