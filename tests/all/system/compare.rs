//! `cargo monolift compare`: figures of both shapes, and where the time of the split one goes.

use super::workspace::{Workspace, target};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Output},
};

fn compare(workspace: &Workspace, arguments: &[&str]) -> Output {
    let mut command = Command::new(target().join("debug/cargo-monolift"));
    command
        .args(["monolift", "compare", "--debug", "--time", "1"])
        .args(arguments)
        .current_dir(&workspace.root)
        .envs(workspace.env())
        .env_remove("MONOLIFT_MANIFEST")
        .env_remove("MONOLIFT_PROCESS");
    command.output().unwrap()
}

#[test]
fn an_application_is_compared_with_itself_in_several_processes() {
    let workspace = Workspace::copy();
    let (html, json) = (workspace.target.join("compared.html"), workspace.target.join("compared"));
    let files = ["--html", html.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let rounds = ["--rounds", "2", "--rate", "40"];
    let output = compare(&workspace, &[&files[..], &rounds[..]].concat());
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}{err}");

    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let side = |at: usize| &report["sides"][at];
    let figure = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{report}"));
    assert_eq!((&side(0)["name"], &side(0)["processes"]), (&"monolith".into(), &1.into()));
    assert_eq!((&side(1)["name"], &side(1)["processes"]), (&"split".into(), &7.into()));
    for side in [side(0), side(1)] {
        assert_eq!(side["failed"], 0, "{side}");
        for key in ["p50", "p90", "p99", "p999", "throughput", "cpu", "memory"] {
            assert!(figure(&side[key]["median"]) > 0.0, "{key}: {side}");
        }
        let requests = side["requests"].as_array().unwrap();
        let names: Vec<&str> = requests.iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, ["browse", "look", "log in", "order", "list"]);
    }
    let ratio = figure(&side(1)["cpu"]["median"]) / figure(&side(0)["cpu"]["median"]);
    assert!((figure(&report["ratios"]["cpu"]) - ratio).abs() < 1e-6);
    // Only one of them has calls between processes: one for each request at least.
    assert_eq!(figure(&side(0)["calls"]["count"]), 0.0);
    let calls = &side(1)["calls"];
    assert!(figure(&calls["count"]) > 0.5, "{calls}");
    for part in ["encode", "queue", "wire", "dispatch", "decode", "module"] {
        assert!(figure(&calls[part]) > 0.0, "{part}: {calls}");
    }
    for said in ["calls between processes", "p99.9", "split/monolith", "dispatch"] {
        assert!(out.contains(said), "{said}: {out}");
    }

    let page = fs::read_to_string(&html).unwrap();
    assert_eq!(page.matches("<polyline").count(), 2);
    assert!(page.contains("name=\"viewport\""));
    // All that it needs is in it.
    for from_elsewhere in ["http:", "https:", "src=", "@import", "<script"] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }

    // What is not there is no answer, and no workload is one that is to be written.
    workspace.write("wrong.toml", "[[request]]\npath = \"/nothing\"\n");
    let output = compare(&workspace, &["--rounds", "1", "--workload", "wrong.toml"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        err.contains("monolith: no call was answered: `GET /nothing` was answered 404"),
        "{err}"
    );
    let output = compare(&workspace, &["--workload", "missing.toml"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("missing.toml cannot be read") && err.contains("[[request]]"), "{err}");
    fs::remove_file(workspace.root.join("wrong.toml")).unwrap();
}
