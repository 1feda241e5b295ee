//! Mistakes in an author's code, and what the compiler says of them: one file for each, its message pinned beside it.
//! `UPDATE_MESSAGES=1 cargo nextest run -p tests -E 'test(mistakes_are_told)'` writes the messages anew.
//!
//! The compiler is called with the crates that this test was built with. So no dependency is compiled once more.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

/// The crates that the examples use.
const CRATES: [&str; 4] = ["monolift", "schemars", "serde", "thiserror"];

/// Where the examples are, from the workspace's root.
const EXAMPLES: &str = "tests/ui";

/// This package. The macros read its Cargo.toml, as they read the one of any crate that uses them.
fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn workspace() -> &'static Path {
    package().parent().unwrap()
}

#[test]
fn mistakes_are_told() {
    let compiler = Compiler::find();
    let mut cases: Vec<PathBuf> = fs::read_dir(workspace().join(EXAMPLES))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    cases.sort();
    assert!(cases.len() > 30, "{cases:?}");
    let wrong = Mutex::new(BTreeMap::new());
    let rest = Mutex::new(cases.into_iter());
    let next = || rest.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = next() {
                    if let Err(why) = check(&compiler, &case) {
                        wrong.lock().unwrap().insert(case, why);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let told = wrong.iter().fold(String::new(), |mut told, (case, why)| {
        let _ = writeln!(told, "{}: {why}", case.display());
        told
    });
    assert!(wrong.is_empty(), "{told}");
}

/// Compiles one example, and compares what the compiler says.
fn check(compiler: &Compiler, case: &Path) -> Result<(), String> {
    let said = compiler.refuses(case)?;
    let file = case.with_extension("stderr");
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        return fs::write(&file, said).map_err(|error| error.to_string());
    }
    let pinned = fs::read_to_string(&file).unwrap_or_default();
    if said == pinned {
        return Ok(());
    }
    Err(format!("expected:\n{pinned}\nthe compiler says:\n{said}"))
}

struct Compiler {
    /// The folder of the crates that the crates below need.
    dependencies: PathBuf,
    /// Of each of [`CRATES`], its library.
    libraries: Vec<(&'static str, PathBuf)>,
    out: PathBuf,
}

impl Compiler {
    /// Asks cargo what this test was built with. All is built by then, so cargo only says where it is.
    fn find() -> Self {
        let told = crate::cargo::cargo()
            .args(["test", "-p", "tests", "--no-run", "--locked", "--message-format", "json"])
            .current_dir(package())
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let mut found: BTreeMap<&str, (usize, PathBuf)> = BTreeMap::new();
        for line in String::from_utf8(told.stdout).unwrap().lines() {
            let artifact: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = artifact["target"]["name"].as_str().unwrap_or_default();
            let Some(name) = CRATES.into_iter().find(|known| *known == name) else { continue };
            let files = artifact["filenames"].as_array().unwrap().iter();
            let library = files.filter_map(|file| file.as_str()).find(|f| f.ends_with(".rlib"));
            // Macros and build scripts can have a copy of their own, with fewer features.
            let features = artifact["features"].as_array().unwrap().len();
            if found.get(name).is_none_or(|(fewer, _)| *fewer < features) {
                found.insert(name, (features, PathBuf::from(library.unwrap())));
            }
        }
        let libraries: Vec<(&str, PathBuf)> =
            found.into_iter().map(|(name, (_, library))| (name, library)).collect();
        assert_eq!(libraries.len(), CRATES.len(), "{libraries:?}");
        let program = std::env::current_exe().unwrap();
        let dependencies = program.parent().unwrap().to_owned();
        let out = dependencies.join("mistakes");
        fs::create_dir_all(&out).unwrap();
        Self { dependencies, libraries, out }
    }

    /// What the compiler says of a program that it must refuse.
    fn refuses(&self, case: &Path) -> Result<String, String> {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc
            // The crates of the workspace were compiled there, so the compiler finds their files to show lines of them.
            .current_dir(workspace())
            .env("CARGO_MANIFEST_DIR", package())
            .env("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"))
            .env("CARGO_CRATE_NAME", name)
            .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", name])
            .args([
                "--emit",
                "metadata",
                "--diagnostic-width",
                "140",
                "--verbose",
                "-A",
                "dead_code",
            ])
            .arg("--out-dir")
            .arg(&self.out)
            .arg("-L")
            .arg(format!("dependency={}", self.dependencies.display()));
        for (library, file) in &self.libraries {
            rustc.arg("--extern").arg(format!("{library}={}", file.display()));
        }
        rustc.arg(Path::new(EXAMPLES).join(case.file_name().unwrap()));
        let output = rustc.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8(output.stderr).map_err(|error| error.to_string())?;
        if output.status.success() {
            return Err(format!("the compiler accepts it\n{said}"));
        }
        Ok(portable(&said))
    }
}

/// The message without what differs by machine, or by a change of a line elsewhere.
fn portable(said: &str) -> String {
    let mut text = String::new();
    let mut elsewhere = false;
    for line in said.lines().filter(|line| !is_summary(line)) {
        let (margin, rest) = line.split_at(line.find(|c| c != ' ').unwrap_or(0));
        let numbered = rest.split_once(" |").filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()));
        // The margin is as wide as the longest line number, which can be one of another file.
        if let Some(place) = rest.strip_prefix("--> ").or_else(|| rest.strip_prefix("::: ")) {
            elsewhere = !place.starts_with(EXAMPLES);
            let place = if elsewhere { file_elsewhere(place) } else { place.to_owned() };
            let _ = writeln!(text, "    --> {place}");
        } else if let Some((number, code)) = numbered {
            let number = if elsewhere { "" } else { number };
            let _ = writeln!(text, "{number:>4} |{code}");
        } else if !margin.is_empty() && (rest.starts_with('|') || rest.starts_with('=')) {
            let _ = writeln!(text, "     {rest}");
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    format!("{}\n", text.trim_end())
}

/// The file of `framework/src/lib.rs:1:2`, or `serde/src/lib.rs` for a file of the package `serde-1.0.0`.
fn file_elsewhere(place: &str) -> String {
    let file = place.split(".rs:").next().unwrap_or_default();
    let package = |folder: &str| {
        let name = folder.rsplit('/').next().unwrap_or_default();
        let version = name.rfind('-').filter(|at| name[at + 1..].starts_with(char::is_numeric));
        name[..version.unwrap_or(name.len())].to_owned()
    };
    match file.rsplit_once("/src/") {
        Some((folder, file)) if folder.starts_with('/') => {
            format!("{}/src/{file}.rs", package(folder))
        }
        _ => format!("{file}.rs"),
    }
}

/// The compiler counts its errors at the end, and names those that it can explain.
fn is_summary(line: &str) -> bool {
    ["error: aborting due to", "For more information about", "Some errors have detailed"]
        .iter()
        .any(|beginning| line.starts_with(beginning))
}
