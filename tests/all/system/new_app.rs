//! `cargo monolift new app`: an application outside of this repository runs, and its tests pass.

use super::{
    http::request,
    processes::{Run, eventually, is_ready},
    workspace::{builds_into, target},
};
use std::{fs, path::Path, process::Command};

#[test]
fn a_new_application_runs_and_takes_another_module() {
    // Outside of this workspace, whose settings of cargo would count as well.
    let parent = std::env::temp_dir().join(format!("ml-new-app-{}", std::process::id()));
    fs::create_dir_all(&parent).unwrap();
    let root = parent.join("shop2");
    let cli = |folder: &Path, arguments: &[&str]| {
        let mut command = Command::new(target().join("debug/cargo-monolift"));
        command.args(arguments).current_dir(folder).output().unwrap()
    };
    let made = cli(&parent, &["new", "app", "shop2"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = cli(&parent, &["new", "app", "shop2"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));
    let elsewhere = cli(&parent, &["new", "app", "shop3", "--monolift", "shop2"]);
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("no checkout of Monolift"));
    // The versions that these tests were built with, so that little is compiled.
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::copy(repository.join("Cargo.lock"), root.join("Cargo.lock")).unwrap();

    let cargo = |arguments: &[&str]| {
        let mut command = crate::cargo::cargo();
        command.args(arguments).current_dir(&root).env("CARGO_NET_OFFLINE", "true");
        let output = command.envs(builds_into(&parent.join("target"))).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{errors}");
        said
    };
    let module = cli(&root, &["new", "module", "coupons"]);
    assert!(module.status.success(), "{}", String::from_utf8_lossy(&module.stderr));
    cargo(&["fmt", "--check"]);
    let checked = cli(&root, &["check"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let said = cargo(&["test", "--quiet", "--workspace"]);
    assert_eq!(said.matches("3 passed").count(), 2, "{said}");
    cargo(&["build", "--quiet", "--workspace"]);

    let mut run = Run::new("new-app");
    run.env.push(("SHOP2_DATA".to_owned(), run.data.display().to_string()));
    run.env.push(("SHOP2_PROCESS__MONOLITH__HTTP".to_owned(), "127.0.0.1:0".to_owned()));
    run.env.push(("SHOP2_PROCESS__MONOLITH__LISTEN".to_owned(), super::processes::free_port()));
    let mut monolith = run.start(&parent.join("target/debug/app-monolith"));
    let address = monolith.http();
    eventually("the monolith is ready", || is_ready(&address));
    let put = monolith.says("try: curl -X PUT ");
    for command in [format!("curl -X PUT {put}"), format!("curl 1{}", monolith.says("try: curl 1"))]
    {
        let typed = command.replacen("curl", "curl --silent --show-error --fail", 1);
        let output = Command::new("bash").args(["-c", &typed]).output().unwrap();
        assert!(output.status.success(), "{typed}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), r#"{"text":"hello"}"#);
    }
    let note = r#"{"text":"ten percent"}"#;
    let answer = request(&address, "PUT", "/coupons/one", &[], note).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, note));
    monolith.stop();
    fs::remove_dir_all(&parent).unwrap();
}
