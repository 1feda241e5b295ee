//! A program compiles only what it uses: what each feature brings into the tree of packages, and what stays out of it.

use std::{collections::BTreeSet, path::Path};

/// The packages that a program with these arguments compiles, without those of tests.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let format = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tree = crate::cargo::cargo();
    let output = tree.args(format).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
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
    let data = with("data");
    assert_eq!((among(&data, &HTTP), among(&data, &DATA)), (none.to_vec(), DATA.to_vec()));
}
