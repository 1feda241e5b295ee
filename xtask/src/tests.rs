//! `cargo xtask test`: what must pass before a change lands, and with `--long` also what must pass before a release.
//!
//! Most of the time goes into compiling, so steps share what is compiled. Lints and docs share one set of artefacts,
//! which holds the whole workspace. Programs, tests, examples in the docs, the quick simulation and the programs that
//! tests build share another: `tests/all/one_build.rs` holds that.

use crate::{
    cargo::{cargo, everything, target, workspace},
    deny, install, simulate,
    steps::Steps,
};
use std::{process::Command, thread::available_parallelism};

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Before each change: every check, the random ones with few seeds.
    Short,
    /// Before a release: many seeds, many kills, planted mistakes, figures, and the tests that are marked as long.
    Long,
}

/// Runs them, and says whether the tests passed. Their closing line is the last one that it prints.
pub(crate) fn run(length: Length) -> Result<bool, String> {
    install::what_is_missing(length)?;
    let mut steps = Steps::new();
    check(&mut steps)?;
    let nextest = has_nextest();
    build(&mut steps, nextest)?;
    steps.run("the simulation", simulate::quick(&["--seeds", "10"]))?;
    storms(&mut steps, length)?;
    if length == Length::Long {
        long(&mut steps)?;
    }
    let (passed, closing) = steps.tests("tests", tests(length, nextest))?;
    println!("{steps}");
    println!("{closing}");
    Ok(passed)
}

fn check(steps: &mut Steps) -> Result<(), String> {
    steps.run("formatting", cargo(&["fmt", "--all", "--check"]))?;
    let lints = ["--all-targets", "--quiet", "--", "-D", "warnings"];
    steps.run("lints", everything("clippy", &lints))?;
    let mut docs = everything("doc", &["--lib", "--no-deps", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("docs", docs)?;
    steps.quiet("packages", packages())?;
    deny::check(steps)
}

/// What a release would publish. What is in the packages is not compiled once more.
fn packages() -> Command {
    let mut package = cargo(&["package", "--no-verify", "--allow-dirty"]);
    package.args(PACKAGES.iter().flat_map(|name| ["-p", name]));
    package
}

/// The crates that a user's application needs.
const PACKAGES: [&str; 11] = [
    "monolift",
    "monolift-call",
    "monolift-data",
    "monolift-gateway",
    "monolift-identity",
    "monolift-macros",
    "monolift-manifest",
    "monolift-observe",
    "monolift-otlp",
    "monolift-seam",
    "monolift-trim",
];

fn build(steps: &mut Steps, nextest: bool) -> Result<(), String> {
    // Whole-system tests start these.
    steps.run("programs", workspace(&["build"], &["--bins", "--quiet"]))?;
    let tests: &[&str] = if nextest { &["nextest", "run"] } else { &["test", "--all-targets"] };
    let quiet = if nextest { "--cargo-quiet" } else { "--quiet" };
    steps.quiet("tests are built", workspace(tests, &["--no-run", quiet]))?;
    steps.run("examples in the docs", workspace(&["test", "--doc"], &["--quiet"]))
}

/// The shop, as processes that are restarted, killed, stopped and cut off.
fn storms(steps: &mut Steps, length: Length) -> Result<(), String> {
    steps.run("the shop is restarted", chaos_command(&["--debug", "--rolling"]))?;
    let (kills, operations) = match length {
        Length::Short => ("3", "300"),
        Length::Long => ("10", "2000"),
    };
    let storm = ["--debug", "--kills", kills, "--operations", operations];
    steps.run("the shop in a storm", chaos_command(&storm))
}

/// What needs builds of its own, or too much time for each change.
fn long(steps: &mut Steps) -> Result<(), String> {
    features(steps)?;
    let exporter = ["test", "-p", "monolift-otlp", "-p", "otlp-tests", "--quiet"];
    steps.run("traces reach a collector", cargo(&exporter))?;
    steps.run("the benchmark", cargo(&["build", "-p", "bench", "--quiet"]))?;
    // Its figures mean nothing here; what it says matters only when it fails.
    steps
        .quiet("the benchmark runs", cargo(&["run", "-p", "bench", "--quiet", "--", "--smoke"]))?;
    steps.run("the benchmark's own tests", cargo(&["test", "-p", "bench", "--quiet"]))?;
    let simulation =
        |options: &[&str]| simulate::seeded(&["run", "--quiet"], &[&["--"], options].concat());
    steps.run("the seeded simulation", simulation(&["--seeds", "100", "--twice"]))?;
    steps.run("the simulation's deadlines", simulation(&["--deadlines"]))?;
    steps.run("the mistakes planted in it", simulation(&["--planted"]))?;
    steps.run("the mistakes planted in the shop", chaos_command(&["--debug", "--planted"]))?;
    steps.run("what calls promise, in figures", chaos_command(&["--figures"]))
}

/// What programs with other features compile. Their packages are compared by a test; these are builds.
fn features(steps: &mut Steps) -> Result<(), String> {
    let lint = |features: &[&str]| {
        let package = ["clippy", "-p", "monolift", "--no-default-features", "--quiet"];
        cargo(&[&package, features, &["--", "-D", "warnings"]].concat())
    };
    steps.run("monolift with HTTP alone", lint(&["--features", "http"]))?;
    steps.run("monolift with databases alone", lint(&["--features", "sqlite"]))?;
    let postgres =
        ["-p", "monolift-data", "--no-default-features", "--features", "postgres,tls-ring"];
    let tests = [&["test", "--lib", "--quiet"], &postgres[..]].concat();
    steps.run("databases with PostgreSQL alone", cargo(&tests))?;
    let types = ["clippy", "-p", "stock-api", "--no-default-features", "--quiet"];
    steps.run(
        "an interface without its client",
        cargo(&[&types[..], &["--", "-D", "warnings"]].concat()),
    )?;
    // The examples have interfaces, modules and systems of tests.
    let seam = ["test", "-p", "monolift", "--no-default-features", "--quiet"];
    steps.run("monolift with neither", cargo(&seam))
}

fn tests(length: Length, nextest: bool) -> Command {
    let mut tests = if nextest {
        // Many tests wait for processes, so one more than there are cores keeps the cores busy.
        let at_once = available_parallelism().map_or(2, |cores| cores.get() + 1).to_string();
        let options = ["--cargo-quiet", "--no-fail-fast", "--test-threads", &at_once];
        workspace(&["nextest", "run"], &options)
    } else {
        println!("cargo-nextest is not installed: running `cargo test`, which is slower");
        workspace(&["test", "--all-targets"], &["--no-fail-fast"])
    };
    if length == Length::Long {
        tests.args(if nextest {
            &["--run-ignored", "all"][..]
        } else {
            &["--", "--include-ignored"]
        });
        let many =
            [("MONOLIFT_SEEDS", "200"), ("MONOLIFT_KILLS", "100"), ("MONOLIFT_CASES", "40000")];
        for (many, count) in many {
            // What was asked for already stays.
            if std::env::var_os(many).is_none() {
                tests.env(many, count);
            }
        }
    }
    tests
}

/// `cargo xtask chaos`.
pub(crate) fn chaos(options: &[&str]) -> Result<(), String> {
    Steps::new().run("chaos", chaos_command(options))
}

/// `cargo xtask abuse`. What floods is optimised as the shop is, or it would be what is measured.
pub(crate) fn abuse(options: &[&str]) -> Result<(), String> {
    let short = ["--quick", "--help", "--list"].iter().any(|short| options.contains(short));
    let profile: &[&str] = if short { &[] } else { &["--release"] };
    let run = [&["run", "--quiet", "-p", "chaos"], profile, &["--", "abuse"], options].concat();
    Steps::new().run("abuse", cargo(&run))
}

fn chaos_command(options: &[&str]) -> Command {
    let mut command = cargo(&[&["run", "--quiet", "-p", "chaos", "--"], options].concat());
    if options.contains(&"--planted") {
        // A build of its own, so that no other one has the mistakes in it.
        command.env("CARGO_TARGET_DIR", target().join("planted"));
        command.env("RUSTFLAGS", "--cfg planted");
    }
    command
}

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}
