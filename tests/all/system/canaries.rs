//! Secrets of settings, tokens and requests are in nothing that a process shows: no log, no answer, no metric, no page, no
//! file that is generated.

use super::{
    http::{get, request},
    processes::{Process, eventually, free_port, is_ready},
    shop::MONOLITH,
    workspace::target,
};
use crate::postgres::Postgres;
use std::{fs, path::Path, process::Command};

/// It is a part of every secret.
const CANARY: &str = "c4n4ry";
const ADMIN_TOKEN: &str = "c4n4ry-admin-token";

#[track_caller]
fn is_silent(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(CANARY));
    assert!(line.is_none(), "{what} shows a secret: {}", line.unwrap_or_default());
}

/// The addresses of an admin address that a page may read.
const READ: [&str; 13] = [
    "/",
    "/metrics",
    "/api/process",
    "/api/processes",
    "/api/calls",
    "/api/requests",
    "/api/traces?limit=200",
    "/api/log",
    "/api/logs?limit=1000",
    "/api/work",
    "/api/work/orders",
    "/api/methods",
    "/api/openapi.json",
];

/// Requests with a secret in a wrong place.
const MALFORMED: [(&str, &str, &str); 8] = [
    ("POST", "/orders", r#"{"user": {"password": "c4n4ry"}, "lines": []}"#),
    ("POST", "/orders", r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": "c4n4ry"}]}"#),
    ("POST", "/orders", r#"{"user": "demo", "lines": "c4n4ry"}"#),
    ("POST", "/orders", r#"{"user": "c4n4ry"#),
    ("POST", "/products", r#"{"c4n4ry": 1}"#),
    ("POST", "/sessions", r#"{"email": ["c4n4ry"], "password": "c4n4ry"}"#),
    ("GET", "/products?limit=c4n4ry", ""),
    ("GET", "/products?limit=c4n4ry&limit=c4n4ry", ""),
];

#[test]
fn no_secret_is_shown_anywhere() {
    let postgres = Postgres::start();
    let run = MONOLITH.run("canaries");
    // As a container gives them: in files.
    let file = |name: &str, text: &str| {
        let file = run.data.join(name);
        fs::write(&file, format!("{text}\n")).unwrap();
        file.display().to_string()
    };
    // The server asks for no password, and takes any.
    let url = |name: &str| {
        postgres.database(name).replace("postgres@", &format!("postgres:{CANARY}-{name}@"))
    };
    let files = [
        ("SHOP_ORDERS__DB__URL__FILE", file("orders", &url("orders"))),
        ("SHOP_ADMIN_TOKEN__FILE", file("token", ADMIN_TOKEN)),
        ("SHOP_OBSERVE__OTLP__HEADERS__FILE", file("headers", "authorization=Bearer c4n4ry-otlp")),
    ];
    let variables = [
        ("SHOP_STOCK__DB__URL", url("stock")),
        ("SHOP_USERS__PASSWORD_MEMORY_KIB", "8".to_owned()),
        ("SHOP_HTTP__ACCESS_LOG", "true".to_owned()),
        ("RUST_LOG", "trace".to_owned()),
    ];
    let admin = free_port();
    let mut run = run.with("SHOP_PROCESS__MONOLITH__ADMIN", &admin);
    for (key, value) in files.into_iter().chain(variables) {
        run = run.with(key, value);
    }
    let mut monolith = run.start(&MONOLITH.program("app-monolith"));
    let address = monolith.http();
    let address = address.split(['\\', '"']).next().unwrap().to_owned();
    eventually("the monolith is ready", || is_ready(&address));

    for (method, path, body) in MALFORMED {
        let cookie = ("cookie", "session=c4n4ry");
        let forged = [("authorization", "Bearer c4n4ry-token"), cookie];
        for (headers, status) in [(&forged[..], 401), (&[cookie], 400)] {
            let answer = request(&address, method, path, headers, body).unwrap();
            assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.body);
            is_silent("an answer", &format!("{:?} {}", answer.headers, answer.body));
        }
    }
    let user = r#"{"name": "Ann", "email": "ann@example.org", "password": "c4n4ry-password"}"#;
    let answer = request(&address, "POST", "/users", &[], user).unwrap();
    is_silent("an answer", &answer.body);
    assert_eq!(get(&address, "/nowhere/c4n4ry?token=c4n4ry").status, 404);

    // Without the token nothing is shown.
    for headers in [&[][..], &[("authorization", "Bearer c4n4ry-wrong")]] {
        let answer = request(&admin, "GET", "/api/process", headers, "").unwrap();
        assert_eq!(answer.status, 401);
        is_silent("a refusal", &answer.body);
    }
    let token = format!("Bearer {ADMIN_TOKEN}");
    let read = |path: &str| {
        let headers = [("authorization", token.as_str()), ("accept-encoding", "identity")];
        let answer = request(&admin, "GET", path, &headers, "").unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    };
    for path in READ {
        is_silent(path, &read(path));
    }
    let traces: serde_json::Value = serde_json::from_str(&read("/api/traces?limit=200")).unwrap();
    let mut ids = Vec::new();
    trace_ids(&traces, &mut ids);
    for id in ids.iter().take(50) {
        is_silent("a trace", &read(&format!("/api/traces/{id}")));
    }
    let shown: serde_json::Value = serde_json::from_str(&read("/api/process")).unwrap();
    let shown = shown.to_string();
    assert!(shown.contains("SHOP_ORDERS__DB__URL__FILE"), "where it comes from is shown: {shown}");

    is_silent("the log", &monolith.stop());
    is_silent("config", &config(&run.env));
    is_silent("observe", &observed(&run.env, &run.data.join("observe")));
}

/// Everything that looks like the id of a trace.
fn trace_ids(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text)
            if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            into.push(text.clone());
        }
        serde_json::Value::Array(all) => all.iter().for_each(|one| trace_ids(one, into)),
        serde_json::Value::Object(all) => all.values().for_each(|one| trace_ids(one, into)),
        _ => {}
    }
}

/// What the program says of its settings, which is what `cargo monolift config` prints.
fn config(env: &[(String, String)]) -> String {
    let output = Command::new(MONOLITH.program("app-monolith"))
        .env("MONOLIFT_ASK", "config")
        .envs(env.iter().map(|(key, value)| (key, value)))
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("orders.db.url") && said.contains("__FILE"), "{said}");
    said
}

/// Every file that `cargo monolift observe` writes, and what it says.
fn observed(env: &[(String, String)], folder: &Path) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(target().join("debug/cargo-monolift"))
        .args(["observe", "--manifest"])
        .arg(manifest.join("app-split/observed.toml"))
        .arg("--out")
        .arg(folder)
        .envs(env.iter().map(|(key, value)| (key, value)))
        .output()
        .unwrap();
    let mut all = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{all}");
    let mut files = 0;
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            all.push_str(&fs::read_to_string(file).unwrap());
            files += 1;
        }
    }
    assert!(files >= 3, "{files} files");
    all
}

/// What is wrong with a file is told without the name of the file, which may be the secret.
#[test]
fn a_secret_where_the_name_of_its_file_should_be_is_not_shown() {
    let start = |key: &str, value: &str| {
        let run = MONOLITH.run("canary-file").with(key, value);
        let process: Process = run.start(&MONOLITH.program("app-monolith"));
        let (status, said) = process.ended();
        assert!(!status.success(), "{said}");
        is_silent("a start that is refused", &said);
        said
    };
    let said = start("SHOP_ORDERS__DB__URL__FILE", "postgres://shop:c4n4ry@db/shop");
    assert!(
        said.contains("SHOP_ORDERS__DB__URL__FILE: orders.db.url: the file that it names"),
        "{said}"
    );
    let folder = std::env::temp_dir().display().to_string();
    let said = start("SHOP_ADMIN_TOKEN__FILE", &folder);
    assert!(said.contains("admin_token: the file that it names cannot be read"), "{said}");
}
