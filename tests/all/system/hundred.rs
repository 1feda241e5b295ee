//! An application of a hundred modules, made by `cargo monolift new module`, beside the shop of five: what a change
//! costs must not grow with the number of modules.

use super::{
    processes::{Run, eventually, is_ready},
    workspace::{Workspace, edited, target},
};
use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

/// The shop has five.
const MORE: usize = 95;
/// The module that is touched and moved: one of the new ones, or one of the shop.
const NEW: &str = "m047";
const OLD: &str = "stock";

/// How long each step took.
#[derive(Debug)]
struct Took {
    module: Duration,
    api: Duration,
    split: Duration,
    /// The first start, which makes a database for each module.
    start: Duration,
    again: Duration,
}

/// Appends to a source, as an author does who changes something.
fn touch(workspace: &Workspace, file: &str) {
    let text = workspace.read(file);
    workspace
        .write(file, &format!("{text}\n/// Changed.\n#[allow(dead_code)]\nfn changed() {{}}\n"));
}

fn build(workspace: &Workspace, packages: &[&str]) -> (Duration, BTreeSet<String>) {
    let start = Instant::now();
    let compiled = workspace.build(packages, &[]);
    (start.elapsed(), compiled)
}

/// Changes a module, then its interface, then its process; and starts what came of it.
fn change(workspace: &Workspace, module: &str) -> Took {
    let snake = module.replace('-', "_");
    touch(workspace, &format!("modules/{module}/src/lib.rs"));
    let (touched_module, compiled) = build(workspace, &["app-monolith"]);
    let expected = [format!("lib {snake}"), "bin app-monolith".to_owned()];
    assert_eq!(compiled, BTreeSet::from(expected.clone()));

    touch(workspace, &format!("modules/{module}/api/src/lib.rs"));
    let (touched_api, compiled) = build(workspace, &["app-monolith"]);
    assert!(compiled.contains(&format!("lib {snake}_api")), "{compiled:?}");
    assert!(expected.iter().all(|target| compiled.contains(target)), "{compiled:?}");

    // A program of the module alone is there already, as in the tour.
    build(workspace, &["app-monolith", module]);
    let manifest = workspace.read("deployment.toml");
    let line =
        manifest.lines().find(|line| line.split('=').next().unwrap().trim() == module).unwrap();
    let moved = line.replace("\"monolith\"", &format!("\"{module}\""));
    let process = format!("\n[process.{module}]\nlisten = \"127.0.0.1:7199\"\n");
    workspace.write("deployment.toml", &(edited(&manifest, &[(line, &moved)]) + &process));
    let (split, compiled) = build(workspace, &["app-monolith", module]);
    let libraries: Vec<&String> = compiled.iter().filter(|one| one.starts_with("lib ")).collect();
    assert!(libraries.is_empty(), "{libraries:?}");

    workspace.write("deployment.toml", &manifest);
    build(workspace, &["app-monolith"]);
    let run = Run::new("hundred").listening("monolith").gateway("monolith");
    let start = || {
        let begun = Instant::now();
        let mut monolith = run.start(&workspace.program("app-monolith"));
        let address = monolith.http();
        eventually("it is ready", || is_ready(&address));
        let took = begun.elapsed();
        monolith.stop();
        took
    };
    Took { module: touched_module, api: touched_api, split, start: start(), again: start() }
}

#[test]
#[ignore = "it compiles a hundred modules"]
fn a_change_costs_the_same_among_a_hundred_modules() {
    let workspace = Workspace::copy();
    build(&workspace, &["app-monolith", OLD]);
    let five = change(&workspace, OLD);

    let cli = target().join("debug/cargo-monolift");
    for number in 0..MORE {
        let name = format!("m{number:03}");
        let mut new = Command::new(&cli);
        let made =
            new.args(["new", "module", &name]).current_dir(&workspace.root).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    // The new members come into the lock file.
    let locked = workspace.cargo(&["update", "--workspace", "--offline"]).output().unwrap();
    assert!(locked.status.success(), "{}", String::from_utf8_lossy(&locked.stderr));
    let (cold, compiled) = build(&workspace, &["app-monolith"]);
    assert!(compiled.len() >= 2 * MORE, "{}", compiled.len());
    let hundred = change(&workspace, NEW);
    println!("95 modules and their interfaces were compiled in {cold:.1?}");
    for (what, few, many) in [
        ("a module was touched", five.module, hundred.module),
        ("an interface was touched", five.api, hundred.api),
        ("a module was moved out", five.split, hundred.split),
        ("it was started for the first time", five.start, hundred.start),
        ("it was started again", five.again, hundred.again),
    ] {
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("{what}: {few:.2?} among five, {many:.2?} among a hundred: {ratio:.2} ×");
    }
}
