//! Every program, and the tests, share one compiled copy of each dependency: `cargo run -p payments` after `cargo run`
//! compiles one program. Cargo chooses features for each command, so this holds only while all commands choose the
//! same ones: `libs/one-build` names those that some program would lack.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// The benchmark's peers, the exporter of traces and the collector of its tests need features that no program of the
/// workspace should have. `xtask` depends on nothing.
const APART: [&str; 4] = ["bench", "monolift-otlp", "otlp-tests", "xtask"];

/// The features that each package is compiled with, by its name and version. A package that build scripts or macros
/// need as well may have two sets.
type Features = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = crate::cargo::cargo().args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn features(packages: &[&str]) -> Features {
    let format = ["--locked", "--no-dedupe", "--prefix", "none", "--format", "{p}|{f}"];
    let tree = cargo(&[&["tree"], &format[..], packages].concat());
    let mut features = Features::new();
    // Each package is in it once for each package that needs it: a million lines for the tests.
    let lines: HashSet<&str> = tree.lines().collect();
    for line in lines {
        let Some((package, chosen)) = line.split_once('|') else { continue };
        let name: Vec<&str> = package.split(' ').take(2).collect();
        features.entry(name.join(" ")).or_default().insert(chosen.to_owned());
    }
    features
}

/// The packages that have a program, without those that are built apart.
fn programs() -> Vec<String> {
    let metadata = cargo(&["metadata", "--locked", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let has_program = |package: &&serde_json::Value| {
        let targets = package["targets"].as_array().unwrap();
        targets.iter().any(|target| target["kind"][0] == "bin")
    };
    let names = packages.filter(has_program).map(|package| package["name"].as_str().unwrap());
    names.filter(|name| !APART.contains(name)).map(str::to_owned).collect()
}

/// The packages of `one` that are compiled again for `other`.
fn differences(one: &Features, other: &Features) -> Vec<String> {
    let both =
        other.iter().filter_map(|(package, features)| Some((package, one.get(package)?, features)));
    both.filter(|(_, one, other)| !other.is_subset(one))
        .map(|(package, one, other)| format!("{package}: {one:?} and {other:?}"))
        .collect()
}

#[test]
fn programs_and_tests_share_what_is_compiled() {
    let programs = programs();
    assert!(programs.len() >= 10 && programs.iter().any(|name| name == "payments"), "{programs:?}");
    let first = features(&["--edges", "normal,build", "--package", "app-monolith"]);
    assert!(first.keys().any(|package| package.starts_with("ring ")), "{first:?}");
    let mut all: Vec<(String, Features)> = programs
        .into_iter()
        .map(|name| {
            let features = features(&["--edges", "normal,build", "--package", &name]);
            (name, features)
        })
        .collect();
    // What `cargo nextest run` builds: development dependencies too.
    let mut tests = vec!["--edges", "normal,build,dev", "--workspace"];
    tests.extend(APART.iter().flat_map(|package| ["--exclude", package]));
    all.push(("the tests".to_owned(), features(&tests)));
    for (name, features) in all {
        // Each has packages that the other lacks; those that both have are compiled alike.
        let mut differences = differences(&first, &features);
        differences.dedup();
        assert!(
            differences.is_empty(),
            "`cargo run` and {name} compile these differently; \
             name the features in libs/one-build/Cargo.toml: {differences:#?}"
        );
    }
}

/// `test = false` and `doctest = false` save linking an empty program; a test that is written later must run.
#[test]
fn a_target_that_is_not_tested_has_no_tests() {
    let metadata = cargo(&["metadata", "--locked", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let mut untested = 0;
    for target in metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|package| package["targets"].as_array().unwrap())
    {
        let kind = target["kind"][0].as_str().unwrap();
        let source = Path::new(target["src_path"].as_str().unwrap());
        let is = |key: &str| target[key].as_bool().unwrap();
        if kind == "custom-build" {
            continue;
        }
        let mut sources = Vec::new();
        sources_of(source, &mut sources);
        for source in sources {
            let text = fs::read_to_string(&source).unwrap();
            let has = |what: &str| text.lines().any(|line| line.trim_start().starts_with(what));
            if !is("test") {
                untested += 1;
                assert!(
                    !["#[test]", "#[tokio::test", "#[cfg(test)]"].into_iter().any(has),
                    "{} has tests, and its Cargo.toml says `test = false`",
                    source.display()
                );
            }
            if kind == "lib" && !is("doctest") {
                assert!(
                    !["/// ```", "//! ```"].into_iter().any(has),
                    "{} has an example in its docs, and its Cargo.toml says `doctest = false`",
                    source.display()
                );
            }
        }
    }
    assert!(untested > 0);
}

/// The file, and those of the modules that it declares by `mod name;`. A library and a program may be beside each other.
fn sources_of(file: &Path, found: &mut Vec<PathBuf>) {
    let folder = match file.file_stem().unwrap().to_str().unwrap() {
        "lib" | "main" | "mod" => file.parent().unwrap().to_owned(),
        _ if found.is_empty() => file.parent().unwrap().to_owned(),
        _ => file.with_extension(""),
    };
    found.push(file.to_owned());
    for line in fs::read_to_string(file).unwrap().lines() {
        let words = line.trim_start().strip_suffix(';').unwrap_or_default();
        let words: Vec<&str> = words.split_whitespace().collect();
        let [.., "mod", name] = words[..] else { continue };
        let files = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        if let Some(file) = files.iter().find(|file| file.exists()) {
            sources_of(file, found);
        }
    }
}
