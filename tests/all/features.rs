//! A program compiles only what it uses: what each feature brings into the tree of packages, and what stays out of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The packages that a program with these arguments compiles, without those of tests.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    versions(arguments).into_iter().map(|(name, _)| name).collect()
}

/// The same, with their versions.
fn versions(arguments: &[&str]) -> BTreeSet<(String, String)> {
    let format = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tree = crate::cargo::cargo();
    let output = tree.args(format).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let parts = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    parts.collect()
}

/// Those of `monolift` with these features and no others.
fn with(features: &str) -> BTreeSet<String> {
    packages(&["--package", "monolift", "--no-default-features", "--features", features])
}

/// Those of `names` that are in the tree.
fn among<'a>(packages: &BTreeSet<String>, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|&name| packages.contains(name)).collect()
}

const HTTP: [&str; 5] = ["axum", "hyper", "hyper-util", "monolift-gateway", "tower-http"];
const DATA: [&str; 3] = ["monolift-data", "sqlx", "sqlx-core"];

#[test]
fn http_and_databases_are_compiled_where_they_are_used() {
    let none: [&str; 0] = [];
    let all = packages(&["--package", "monolift"]);
    assert_eq!((among(&all, &HTTP), among(&all, &DATA)), (HTTP.to_vec(), DATA.to_vec()));
    let seam = with("");
    assert_eq!((among(&seam, &HTTP), among(&seam, &DATA)), (none.to_vec(), none.to_vec()));
    assert_eq!(among(&seam, &["tarpc", "monolift-seam"]), ["tarpc", "monolift-seam"]);
    let http = with("http");
    assert_eq!((among(&http, &HTTP), among(&http, &DATA)), (HTTP.to_vec(), none.to_vec()));
    let data = with("postgres,sqlite");
    assert_eq!((among(&data, &HTTP), among(&data, &DATA)), (none.to_vec(), DATA.to_vec()));
}

/// The features and whether each is on by default, as Cargo.toml has them.
fn stated() -> BTreeMap<String, bool> {
    let mut metadata = crate::cargo::cargo();
    let arguments = ["metadata", "--locked", "--no-deps", "--format-version", "1"];
    let output = metadata.args(arguments).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let monolift = packages.iter().find(|package| package["name"] == "monolift").unwrap();
    let features = monolift["features"].as_object().unwrap();
    let mut on = BTreeSet::new();
    let mut next = vec!["default"];
    while let Some(feature) = next.pop() {
        if let Some(turns_on) = features.get(feature) {
            on.insert(feature);
            next.extend(turns_on.as_array().unwrap().iter().filter_map(|name| name.as_str()));
        }
    }
    let names = features.keys().filter(|name| *name != "default");
    names.map(|name| (name.clone(), on.contains(name.as_str()))).collect()
}

/// The same, as the table of a page has them.
fn shown(page: &str) -> BTreeMap<String, bool> {
    let (_, table) = page.split_once("| feature | default |").unwrap();
    let rows = table.lines().map(|line| line.trim_start_matches("//! "));
    let rows = rows.skip(2).take_while(|row| row.starts_with("| "));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(["on", "off"].contains(&cells[2]), "{row}");
        (cells[1].trim_matches('`').to_owned(), cells[2] == "on")
    })
    .collect()
}

#[test]
fn every_feature_is_in_the_docs() {
    assert_eq!(shown(include_str!("../../docs/settings.md")), stated());
    assert_eq!(shown(include_str!("../../framework/src/lib.rs")), stated());
}

/// The types of an interface are for front ends too, which are compiled for `wasm32-unknown-unknown`.
#[test]
fn the_types_of_an_interface_need_no_operating_system() {
    let target = ["--target", "wasm32-unknown-unknown", "--edges", "normal,no-proc-macro"];
    let needing = [
        "tokio",
        "mio",
        "socket2",
        "libc",
        "ring",
        "getrandom",
        "quanta",
        "web-sys",
        "inventory",
        "futures-util",
    ];
    let api = ["--package", "stock-api", "--no-default-features"];
    let types = packages(&[&api[..], &target].concat());
    assert_eq!(among(&types, &needing), [""; 0]);
    assert!(types.contains("monolift-call") && types.contains("serde"), "{types:?}");
    assert!(types.len() < 30, "{types:?}");
    assert!(packages(&["--package", "stock-api"]).contains("tokio"));
}

#[test]
fn a_program_has_the_drivers_that_it_names() {
    const SQLITE: [&str; 2] = ["libsqlite3-sys", "sqlx-sqlite"];
    const ALL: [&str; 4] = ["libsqlite3-sys", "sqlx-sqlite", "sqlx-postgres", "sqlx-mysql"];
    assert_eq!(among(&packages(&["--package", "monolift"]), &ALL), ALL[..3]);
    assert_eq!(among(&with("postgres"), &ALL), ["sqlx-postgres"]);
    assert_eq!(among(&with("sqlite"), &ALL), SQLITE);
}

/// Two versions of `opentelemetry` in a program would not see each other's traces, and nothing would say so.
#[test]
fn a_program_has_one_opentelemetry_and_its_exporter_only_if_it_says_so() {
    let all = versions(&["--package", "monolift", "--features", "otlp"]);
    let named = |name: &str| all.iter().filter(|(package, _)| package == name).count();
    assert_eq!(named("opentelemetry"), 1, "{all:?}");
    let exporter = ["monolift-otlp", "h2", "prost"];
    let names: BTreeSet<String> = all.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(among(&names, &exporter), exporter);
    assert_eq!(among(&names, &["opentelemetry_sdk", "tonic", "reqwest"]), [""; 0]);
    assert_eq!(among(&packages(&["--package", "monolift"]), &exporter), [""; 0]);
    let tests = versions(&["--package", "otlp-tests", "--edges", "normal,dev"]);
    let ours = tests.iter().filter(|(package, _)| package == "opentelemetry");
    assert_eq!(ours.count(), 1, "{tests:?}");
}

/// `monolift` has ring for connections between processes in any case, so `monolift-data` is looked at.
fn encrypted_by(features: &str) -> Vec<&'static str> {
    let data = ["--package", "monolift-data", "--no-default-features", "--features", features];
    among(&packages(&data), &["rustls", "ring", "aws-lc-rs", "native-tls"])
}

#[test]
fn connections_to_a_database_are_encrypted_if_the_program_says_so() {
    assert_eq!(encrypted_by("postgres"), [""; 0]);
    assert_eq!(encrypted_by("postgres,tls-ring"), ["rustls", "ring"]);
    // TLS alone brings no database.
    assert_eq!(among(&with("tls-ring"), &DATA), [""; 0]);
}

#[test]
#[ignore = "long: downloads packages that no program of the workspace has"]
fn connections_to_a_database_are_encrypted_by_what_the_program_names() {
    assert_eq!(encrypted_by("postgres,tls-aws-lc"), ["rustls", "aws-lc-rs"]);
    assert_eq!(encrypted_by("postgres,tls-native"), ["native-tls"]);
    assert_eq!(among(&with("postgres,tls-native"), &["native-tls"]), ["native-tls"]);
}
