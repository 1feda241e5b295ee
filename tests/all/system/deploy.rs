//! What `cargo monolift deploy` and `ci` write: the repository's own files are up to date, the programs take them, and so
//! do the tools that they are for.

use super::{
    http::request,
    observed::root_file,
    processes::{Process, Run, eventually, is_ready},
    shop::ALL_SPLIT,
    workspace::target,
};
use crate::{nginx::Nginx, postgres::Postgres};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

mod images;
mod pipeline;
mod rights;
mod stages;

const MANIFEST: &str = "app-split/deployment.toml";

/// The commands that wrote what is in the repository, without `cargo monolift`.
const COMMITTED: [&str; 6] = [
    "deploy docker --out app-split/deploy/docker",
    "deploy compose --out app-split/deploy/compose",
    "deploy kubernetes --out app-split/deploy/kubernetes --mesh linkerd",
    "deploy helm-values --out app-split/deploy/helm",
    "deploy nginx --out app-split/deploy/nginx",
    "ci github --out app-split/deploy/github --docker app-split/deploy/docker --kubernetes app-split/deploy/kubernetes",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn monolift(arguments: &[&str]) -> Output {
    let mut command = Command::new(target().join("debug/cargo-monolift"));
    command.args(arguments).current_dir(root()).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    said.into_owned()
}

#[test]
fn committed_files_are_up_to_date() {
    for command in COMMITTED {
        let words: Vec<&str> =
            command.split(' ').chain(["--manifest", MANIFEST, "--check"]).collect();
        let output = monolift(&words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "cargo monolift {command} --manifest {MANIFEST}: {errors}"
        );
    }
}

#[test]
fn an_edited_file_is_found() {
    let run = Run::new("deploy-edited");
    let out = run.data.join("kubernetes").display().to_string();
    let words = ["deploy", "kubernetes", "--manifest", MANIFEST, "--out", &out];
    let check = || monolift(&[&words[..], &["--check"]].concat());
    assert!(!check().status.success());
    assert!(succeeds(&monolift(&words)).contains("base/orders.yaml"));
    succeeds(&check());
    let file = run.data.join("kubernetes/base/orders.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("maxUnavailable: 0", "maxUnavailable: 1")).unwrap();
    let found = check();
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(
        !found.status.success()
            && said.contains("out of date: ")
            && said.contains("base/orders.yaml"),
        "{said}"
    );
    succeeds(&monolift(&words));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

/// The variables of a file of secrets.
fn variables(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| {
            (key.to_owned(), if value.is_empty() { "c4n4ry".to_owned() } else { value.to_owned() })
        })
        .collect()
}

/// Each program says which settings are in force, and where each comes from. It starts nothing for that.
#[test]
fn the_programs_take_the_settings_and_the_secrets() {
    let run = Run::new("deploy-settings");
    for (folder, before) in [("compose", ""), ("kubernetes/base", "shop-")] {
        let settings = root().join("app-split/deploy").join(folder).join("settings.toml");
        for program in ALL_SPLIT.programs {
            let process = program.process;
            let secrets = root_file(&format!(
                "app-split/deploy/kubernetes/secrets.example/shop-{process}.env"
            ));
            let secrets = variables(&secrets);
            let mut command = Command::new(ALL_SPLIT.program(program.file));
            command
                .env(monolift::app::ASK, "config")
                .env("MONOLIFT_SETTINGS", &settings)
                .env_remove("MONOLIFT_MANIFEST");
            command
                .env("SHOP_TLS__AUTHORITY", "/tls/ca.crt")
                .env("SHOP_TLS__CERTIFICATE", "/tls/tls.crt");
            command
                .env("SHOP_TLS__KEY", "/tls/tls.key")
                .envs(secrets.iter().cloned())
                .current_dir(&run.data);
            let said = succeeds(&command.output().unwrap());
            let listed: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
            let in_force: BTreeMap<&str, &str> = listed
                .iter()
                .filter_map(|one| Some((one["key"].as_str()?, one["value"].as_str()?)))
                .collect();
            let origin = |key: &str| {
                let found = listed
                    .iter()
                    .find(|one| one["key"] == key)
                    .unwrap_or_else(|| panic!("{process}: no {key}"));
                found["origin"].as_str().unwrap_or_default().to_owned()
            };
            let of = |key: &str| in_force.get(format!("process.{process}.{key}").as_str()).copied();
            match process {
                "gateway" => assert_eq!(of("http"), Some("0.0.0.0:8080")),
                _ => assert_eq!(of("connect"), Some(format!("{before}{process}:7100").as_str())),
            }
            assert_eq!(of("admin"), Some("0.0.0.0:7200"));
            assert_eq!(in_force["tls.key"], "/tls/tls.key");
            for module in program.modules {
                if secrets.iter().any(|(key, _)| key.ends_with("__DB__URL")) {
                    let variable = format!("SHOP_{}__DB__URL", module.to_uppercase());
                    assert_eq!(origin(&format!("{module}.db.url")), variable, "{process}");
                }
            }
        }
    }
}

/// What runs in a new volume of the composed system makes roles with which the programs start, and the jobs of Kubernetes
/// migrate.
#[test]
fn the_roles_of_the_composed_system_reach_their_tables_and_no_others() {
    let server = Postgres::start();
    let url = server.database("shop");
    let at = url.strip_prefix("postgres://postgres@").unwrap();
    let (host, port) = at.split('/').next().unwrap().split_once(':').unwrap();
    let script = root().join("app-split/deploy/compose/postgres/modules.sh");
    let mut made = Command::new("sh");
    made.arg(&script)
        .env("PGHOST", host)
        .env("PGPORT", port)
        .env("POSTGRES_DB", "shop")
        .env("POSTGRES_PASSWORD", "c4n4ry");
    made.env(
        "PATH",
        format!("{}:{}", Postgres::programs().display(), std::env::var("PATH").unwrap()),
    );
    succeeds(&made.output().unwrap());
    let module_url = |module: &str| format!("postgres://shop_{module}:c4n4ry@{at}");
    let migrate = |module: &str, url: &str| {
        let secrets = root_file(&format!(
            "app-split/deploy/kubernetes/secrets.example/shop-{module}-migrate.env"
        ));
        let listed = variables(&secrets);
        let [(variable, _)] = &listed[..] else { panic!("{secrets}") };
        let mut job = Command::new(ALL_SPLIT.program(module));
        job.arg("migrate")
            .env("MONOLIFT_SETTINGS", "/dev/null")
            .env(variable, url)
            .env_remove("MONOLIFT_MANIFEST");
        job.output().unwrap()
    };
    succeeds(&migrate("orders", &module_url("orders")));
    succeeds(&migrate("stock", &module_url("stock")));
    let query = |module: &str, sql: &str| {
        let mut psql = Command::new(Postgres::programs().join("psql"));
        psql.args([&module_url(module), "--tuples-only", "--command", sql]).output().unwrap()
    };
    succeeds(&query("orders", "SELECT count(*) FROM orders"));
    assert!(!query("orders", "SELECT count(*) FROM stock.products").status.success());
}

/// Names of packages, images and addresses are no matter of NGINX, so the shop stands behind it with two gateways.
#[test]
#[ignore = "it runs NGINX: cargo xtask test --long"]
fn behind_nginx_a_rolling_restart_loses_no_request() {
    let run = ALL_SPLIT.run("nginx-rolling");
    let mut modules: Vec<Process> = ALL_SPLIT
        .programs
        .iter()
        .filter(|program| program.process != "gateway")
        .map(|program| run.start(&ALL_SPLIT.program(program.file)))
        .collect();
    let addresses = [super::free_port(), super::free_port()];
    let start = |address: &String| {
        let mut env = run.env.clone();
        // Nothing calls a gateway, and each has an address of its own.
        env.retain(|(key, _)| !key.starts_with("SHOP_PROCESS__GATEWAY__"));
        env.push(("SHOP_PROCESS__GATEWAY__HTTP".to_owned(), address.clone()));
        let gateway = Process::start(&ALL_SPLIT.program("process"), &env);
        eventually("the gateway is ready", || is_ready(address));
        gateway
    };
    let mut gateways: Vec<Process> = addresses.iter().map(start).collect();
    let nginx = Nginx::in_front_of(&addresses);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..2)
        .map(|client| {
            let (address, stop, sent) =
                (nginx.address.clone(), Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || {
                let mut failed = Vec::new();
                while !stop.load(SeqCst) {
                    let (method, path, body) = match client {
                        0 => ("GET", "/products", ""),
                        _ => (
                            "POST",
                            "/orders",
                            r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}"#,
                        ),
                    };
                    match request(&address, method, path, &[], body) {
                        // Tea sells out at some time, which is an answer.
                        Ok(answer) if [200, 201, 409].contains(&answer.status) => {}
                        Ok(answer) => failed
                            .push(format!("{method} {path}: {} {}", answer.status, answer.body)),
                        Err(error) => failed.push(format!("{method} {path}: {error}")),
                    }
                    sent.fetch_add(1, SeqCst);
                }
                failed
            })
        })
        .collect();
    for _ in 0..2 {
        for (at, address) in addresses.iter().enumerate() {
            let before = sent.load(SeqCst);
            eventually("requests are sent", || sent.load(SeqCst) > before + 20);
            gateways.remove(at).stop();
            gateways.insert(at, start(address));
        }
    }
    stop.store(true, SeqCst);
    let failed: Vec<String> =
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(
        failed.is_empty(),
        "{} of {} requests failed: {failed:#?}",
        failed.len(),
        sent.load(SeqCst)
    );
    gateways.into_iter().chain(modules.drain(..).rev()).for_each(|process| drop(process.stop()));
}

/// The versions of Kubernetes whose schemas the files are held against.
const VERSIONS: [&str; 3] = ["1.30.0", "1.33.0", "1.36.0"];

#[test]
#[ignore = "it needs a package of Python: cargo xtask test --long"]
fn kubernetes_takes_the_objects() {
    let folder = root().join("app-split/deploy/kubernetes");
    let names = |part: &str| -> Vec<String> {
        let entries = fs::read_dir(folder.join(part)).unwrap().map(|entry| entry.unwrap().path());
        let yaml = entries.filter(|path| {
            path.extension().is_some_and(|kind| kind == "yaml")
                && !path.ends_with("kustomization.yaml")
        });
        yaml.map(|path| path.display().to_string()).collect()
    };
    let files = [names("base"), names("migrate")].concat();
    assert!(files.len() >= 12, "{files:?}");
    for version in VERSIONS {
        let mut command = Command::new("kubernetes-validate");
        command.args(["--strict", "--kubernetes-version", version]).args(&files);
        let output = command.output();
        let output =
            output.unwrap_or_else(|error| panic!("pip install kubernetes-validate: {error}"));
        let said = succeeds(&output) + &String::from_utf8_lossy(&output.stderr);
        let said = said.to_lowercase();
        assert!(!said.contains("warn") && !said.contains("error"), "{version}: {said}");
        assert!(said.matches("passed").count() >= files.len(), "{version}: {said}");
    }
}
