//! `examples/postgres`: modules with all that sqlx has for one database.

use super::{
    http::request,
    processes::Process,
    workspace::{builds_into, target},
};
use crate::postgres::Postgres;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

struct Example {
    folder: PathBuf,
    target: PathBuf,
}

impl Example {
    fn of(path: &str) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples");
        Self { folder: examples.join(path), target: target().join("examples") }
    }

    fn build(&self, env: &[(&str, &str)]) {
        let built = crate::cargo::cargo()
            .args(["build", "--quiet", "--locked", "--workspace"])
            .current_dir(&self.folder)
            .envs(builds_into(&self.target))
            // As the dependencies of this workspace are built.
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .envs(env.iter().copied())
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    /// Starts one of its programs; `env` says the rest.
    fn start(&self, program: &str, env: &[(&str, String)]) -> Process {
        let env: Vec<(String, String)> =
            env.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Process::start(&self.target.join("debug").join(program), &env)
    }
}

/// Built without a database, from the answers that were kept; run with a role for each module.
#[test]
#[ignore = "compiles an application: cargo xtask test --long"]
fn queries_are_checked_when_they_are_compiled() {
    let market = Example::of("postgres");
    market.build(&[("SQLX_OFFLINE", "true")]);
    let postgres = Postgres::start();
    let admin = postgres.database("market");
    let init = Command::new(target().join("debug/cargo-monolift"))
        .args(["db", "init", "--admin", &admin])
        .current_dir(&market.folder)
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let settings = target().join(format!("market-{}.toml", std::process::id()));
    std::fs::write(&settings, init.stdout).unwrap();
    let env = [
        ("MONOLIFT_SETTINGS", settings.display().to_string()),
        ("MARKET_PROCESS__APP__HTTP", "127.0.0.1:0".to_owned()),
    ];
    let mut app = market.start("app", &env);
    let address = app.http();
    app.says("schema carts, isolated: role market_carts reaches nothing else");
    let put = |sku: &str, quantity: i32| {
        let body = format!(r#"{{"sku": "{sku}", "quantity": {quantity}}}"#);
        let answer = request(&address, "POST", "/carts/mine", &[], &body).unwrap();
        (answer.status, answer.body)
    };
    assert_eq!(put("tea", 2), (200, "900".to_owned()));
    assert_eq!(put("pot", 1), (200, "3800".to_owned()));
    assert_eq!(put("gold", 1).0, 422);
    let price = request(&address, "GET", "/prices/tea", &[], "").unwrap();
    assert_eq!(price.body, r#"{"cents":450,"tags":["green","loose"]}"#);
    drop(app);
    std::fs::remove_file(settings).unwrap();
}
