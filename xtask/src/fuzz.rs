//! `cargo xtask fuzz`: builds the fuzzers with instruments, and runs each for a while.
//!
//! The instruments are LLVM's for coverage, which the stable compiler can be told to insert. It has no sanitizers; the
//! workspace has no `unsafe` code but one call, and each fuzzer counts the memory that an input takes. cargo-fuzz can run the
//! same fuzzers with sanitizers, on a nightly compiler.

use crate::cargo::{cargo, root, target};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

pub(crate) const HELP: &str = "\
cargo xtask fuzz [--seconds N] [TARGET…]

Runs the fuzzers of these targets, or of all, for N seconds each: 60 unless it is said.";

/// How the compiler is told to count which code an input reaches, and which comparisons it nearly meets.
const INSTRUMENTS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// The longest input that is tried, in bytes.
const LONGEST: &str = "16384";
/// An input that takes longer, in seconds, hangs.
const HANGS: &str = "10";
/// What a fuzzer may have resident, in MiB: its own books, the corpus, and what one input may take (`fuzz/src/lib.rs`).
const RESIDENT: &str = "1024";
const SECONDS: u64 = 60;

pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    if options.contains(&"--help") {
        println!("{HELP}");
        return Ok(());
    }
    let (seconds, named) = match options {
        ["--seconds", seconds, named @ ..] => {
            (seconds.parse().map_err(|_| format!("`{seconds}` is no number of seconds"))?, named)
        }
        named => (SECONDS, named),
    };
    let all = targets()?;
    if let Some(unknown) = named.iter().find(|name| !all.iter().any(|known| known == *name)) {
        return Err(format!("no target is called `{unknown}`: there are {}", all.join(", ")));
    }
    let chosen = all.iter().filter(|name| named.is_empty() || named.contains(&name.as_str()));
    let host = host()?;
    println!("==> the fuzzers are built");
    let mut build = cargo(&["build", "--release", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]);
    // With a target, neither build scripts nor macros get instruments.
    build.args(["--target", &host]).env("CARGO_TARGET_DIR", folder());
    build.env("RUSTFLAGS", INSTRUMENTS.join(" "));
    let built = build.status().map_err(|error| format!("cargo did not start: {error}"))?;
    if !built.success() {
        return Err("the fuzzers cannot be built".to_owned());
    }
    let mut failed = Vec::new();
    for name in chosen {
        println!("==> {name}, for {seconds} s");
        let began = Instant::now();
        let output = fuzz(name, &host, seconds)?;
        let said = String::from_utf8_lossy(&output.stderr);
        println!("    {}", summary(&said, began.elapsed()));
        if !output.status.success() {
            println!("{}", end_of(&said));
            failed.push(name.clone());
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "found something: {}. The inputs are in fuzz/artifacts: put each into fuzz/corpus, which \
             `tests/all/corpus.rs` repeats",
            failed.join(", ")
        )),
    }
}

/// Where the fuzzers are built, and where they put what they learn.
fn folder() -> PathBuf {
    target().join("fuzz")
}

/// The targets: each has a file.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let stems = files.flatten().filter_map(|file| {
        let path = file.path();
        Some(path.file_stem()?.to_str()?.to_owned())
    });
    let mut targets: Vec<String> = stems.collect();
    targets.sort();
    Ok(targets)
}

fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("rustc did not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say which host it is for".to_owned())
}

fn fuzz(name: &str, host: &str, seconds: u64) -> Result<Output, String> {
    let learnt = folder().join("corpus").join(name);
    let found = root().join("fuzz/artifacts").join(name);
    for folder in [&learnt, &found] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut command = Command::new(folder().join(host).join("release").join(name));
    // New inputs go to the first folder, so that a run leaves the repository as it is.
    command.arg(learnt).arg(root().join("fuzz/corpus").join(name));
    command.arg(format!("-max_total_time={seconds}"));
    command.args([
        format!("-max_len={LONGEST}"),
        format!("-timeout={HANGS}"),
        format!("-rss_limit_mb={RESIDENT}"),
        format!("-artifact_prefix={}/", found.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    command.output().map_err(|error| format!("{name} did not start: {error}"))
}

/// What the fuzzer says of its run, in one line.
fn summary(said: &str, took: Duration) -> String {
    let stat = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or("?").to_owned()
    };
    let last = said.lines().rfind(|line| line.starts_with('#') && line.contains("cov: "));
    let covered = last.and_then(|line| line.split("cov: ").nth(1)?.split(' ').next());
    format!(
        "{} inputs in {} s, {} places of the code reached, at most {} MiB resident",
        stat("stat::number_of_executed_units"),
        took.as_secs(),
        covered.unwrap_or("?"),
        stat("stat::peak_rss_mb"),
    )
}

/// The last lines, which say what went wrong.
fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_summed_up() {
        let said = "INFO: Seed: 1\n#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                    #4096\tDONE   cov: 345 ft: 678 corp: 9/9b lim: 4 exec/s: 1 rss: 41Mb\n\
                    stat::number_of_executed_units: 4096\nstat::peak_rss_mb:              41\n";
        assert_eq!(
            summary(said, Duration::from_secs(60)),
            "4096 inputs in 60 s, 345 places of the code reached, at most 41 MiB resident"
        );
    }

    #[test]
    fn each_target_has_a_corpus() {
        let targets = targets().unwrap_or_else(|error| panic!("{error}"));
        assert!(targets.len() >= 10, "{targets:?}");
        for name in targets {
            assert!(root().join("fuzz/corpus").join(&name).is_dir(), "{name}");
        }
    }
}
