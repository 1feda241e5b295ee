//! Runs the calling and the serving side in a simulated network, from one seed after the other.

mod calling;
mod deadlines;
mod faults;
mod history;
#[allow(unreachable_pub, reason = "an interface writes `pub` beside it")]
mod model;
mod network;

use clap::Parser;
use std::{
    io::{IsTerminal, Write},
    process::{Command, ExitCode},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Runs the calling and the serving side in a simulated network that fails, once for each seed.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask simulate")]
struct Options {
    /// How many seeds are run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs this seed alone, and shows all that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs each seed twice, and compares what happened.
    #[arg(long)]
    twice: bool,
    /// Makes a hundred thousand calls to processes that do not answer, instead, and shows how exactly
    /// they end.
    #[arg(long)]
    deadlines: bool,
    /// Plants one mistake after the other, instead, and shows which seed finds it.
    #[arg(long)]
    planted: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.seed {
        _ if options.deadlines => deadlines(options.from),
        _ if options.planted => planted(),
        Some(seed) => replay(seed),
        None => run(&options),
    }
}

/// How long after its caller's deadline work may go on.
const WORK: Duration = Duration::from_millis(100);

fn deadlines(seed: u64) -> ExitCode {
    let seen = deadlines::run(seed);
    for (peer, seen) in &seen {
        let deadlines::Seen { calls, outcomes, most_late, longest_work } = seen;
        println!(
            "{peer:>8}: {calls} calls, the last one {most_late:?} after its deadline, work stopped at \
             most {longest_work:?} after it: {outcomes:?}"
        );
    }
    let well = |seen: &deadlines::Seen| seen.most_late.is_zero() && seen.longest_work <= WORK;
    if seen.values().all(well) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How the last lines of a run begin.
const COUNTS: &str = "calls and those that were done: ";
const VIOLATION: &str = "violation: ";

fn replay(seed: u64) -> ExitCode {
    let run = faults::run(seed);
    print!("{}", run.history);
    let (calls, done) = run.history.counts();
    println!("{COUNTS}{calls} {done}");
    for violation in &run.violations {
        println!("{VIOLATION}{violation}");
    }
    if run.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What all runs come to.
#[derive(Default)]
struct Sum {
    calls: usize,
    done: usize,
    failed: Vec<u64>,
    differed: Vec<u64>,
}

fn run(options: &Options) -> ExitCode {
    let start = Instant::now();
    let next = AtomicU64::new(options.from);
    let end = options.from + options.seeds;
    let sum = Mutex::new(Sum::default());
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end {
                        return;
                    }
                    one(seed, options.twice, &sum);
                    progress(seed + 1 - options.from, options.seeds, &sum);
                }
            });
        }
    });
    let Sum { calls, done, failed, differed } = sum.into_inner().expect("no run panics with it");
    println!(
        "{} seeds, {calls} calls, {done} done: {} with violations, {} that went another way the \
         second time, {:.0?}",
        options.seeds,
        failed.len(),
        differed.len(),
        start.elapsed()
    );
    if failed.is_empty() && differed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Mistakes that can be planted. The last two are the ledger's own.
const MISTAKES: [&str; 12] = [
    "retries-any-method",
    "fresh-deadlines",
    "lost-is-not-sent",
    "callers-wait-on",
    "work-goes-on",
    "retries-multiply",
    "lost-is-undone",
    "silence-is-golden",
    "connects-once",
    "answers-go-astray",
    "acknowledges-first",
    "puts-twice",
];
/// The seeds that may be tried before a mistake is found.
const TRIES: u64 = 60;

fn planted() -> ExitCode {
    let mut missed = 0;
    for mistake in MISTAKES {
        let found = (0..TRIES).find_map(|seed| {
            let violation = apart(seed, Some(mistake)).violations.into_iter().next()?;
            Some((seed, violation))
        });
        match found {
            Some((seed, violation)) => println!("{mistake}: seed {seed}: {violation}"),
            None => {
                println!("{mistake}: not found by {TRIES} seeds");
                missed += 1;
            }
        }
    }
    println!("{} mistakes planted, {} found", MISTAKES.len(), MISTAKES.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a seed, and says what is wrong with it.
fn one(seed: u64, twice: bool, sum: &Mutex<Sum>) {
    let run = apart(seed, None);
    let again = twice.then(|| apart(seed, None));
    let mut sum = sum.lock().expect("no run panics with it");
    sum.calls += run.calls;
    sum.done += run.done;
    if let Some(again) = again.filter(|again| again.history != run.history) {
        let lines = run.history.lines().zip(again.history.lines());
        let first = lines.into_iter().find(|(one, other)| one != other);
        println!("\rseed {seed} went another way the second time, from here on: {first:?}");
        sum.differed.push(seed);
    }
    if !run.violations.is_empty() {
        println!("\rseed {seed}: to see it again: cargo xtask simulate --seed {seed}");
        for violation in run.violations.iter().take(5) {
            println!("  {violation}");
        }
        sum.failed.push(seed);
    }
}

/// What a run in a process of its own says of itself.
#[derive(Debug, Default)]
struct Report {
    history: String,
    calls: usize,
    done: usize,
    violations: Vec<String>,
}

/// Runs a seed in a process of its own: tokio numbers the tasks of a process, and in what order those
/// of a host end that crashes depends on their numbers.
fn apart(seed: u64, mistake: Option<&str>) -> Report {
    let program = std::env::current_exe().expect("this program is somewhere");
    let mut command = Command::new(program);
    command.args(["--seed", &seed.to_string()]).env_remove("MONOLIFT_PLANTED");
    command.envs(mistake.map(|mistake| ("MONOLIFT_PLANTED", mistake)));
    let output = command.output();
    let output = output.expect("this program can be started again");
    let mut report = Report::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(violation) = line.strip_prefix(VIOLATION) {
            report.violations.push(violation.to_owned());
        } else if let Some(counts) = line.strip_prefix(COUNTS) {
            let mut counts = counts.split(' ').filter_map(|word| word.parse().ok());
            report.calls = counts.next().unwrap_or(0);
            report.done = counts.next().unwrap_or(0);
        } else {
            report.history.push_str(line);
            report.history.push('\n');
        }
    }
    if report.calls == 0 {
        let why = String::from_utf8_lossy(&output.stderr);
        report.violations.push(format!("the run came to nothing: {why}"));
    }
    report
}

fn progress(done: u64, all: u64, sum: &Mutex<Sum>) {
    if std::io::stderr().is_terminal() {
        let failed = sum.lock().expect("no run panics with it").failed.len();
        eprint!("\r{done} of {all} seeds, {failed} with violations ");
        // Nothing depends on it.
        let _ = std::io::stderr().flush();
    }
}
