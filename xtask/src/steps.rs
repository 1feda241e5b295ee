//! Steps, one after the other: each says what it does and what it cost, and the first that fails ends the run.

use std::{
    fmt, fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What the steps have cost so far.
pub(crate) struct Steps {
    start: Instant,
    done: Vec<Step>,
}

struct Step {
    what: &'static str,
    cost: Cost,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    time: Duration,
    /// CPU time of all processes of the step, where the system tells it. Unlike the time it does not depend on what
    /// else the machine does.
    cpu: Option<Duration>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), done: Vec::new() }
    }

    /// Runs a step, whose output is shown.
    pub(crate) fn run(&mut self, what: &'static str, mut command: Command) -> Result<(), String> {
        self.measured(what, || {
            let status = command.status().map_err(|error| not_started(what, &error))?;
            if status.success() { Ok(()) } else { Err(format!("{what}: failed")) }
        })
    }

    /// Runs a step, whose output is shown only if it fails.
    pub(crate) fn quiet(&mut self, what: &'static str, mut command: Command) -> Result<(), String> {
        self.measured(what, || {
            let output = command.output().map_err(|error| not_started(what, &error))?;
            if output.status.success() {
                return Ok(());
            }
            print!("{}", String::from_utf8_lossy(&output.stdout));
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            Err(format!("{what}: failed"))
        })
    }

    /// Runs the tests: their output is shown, and their closing line returned, with whether they passed.
    pub(crate) fn tests(
        &mut self,
        what: &'static str,
        mut command: Command,
    ) -> Result<(bool, String), String> {
        self.measured(what, || {
            let (reader, writer) = std::io::pipe().map_err(|error| not_started(what, &error))?;
            command.stdin(Stdio::null());
            let copy = writer.try_clone().map_err(|error| not_started(what, &error))?;
            command.stdout(copy).stderr(writer);
            let mut child = command.spawn().map_err(|error| not_started(what, &error))?;
            // It holds the ends of the pipe that are written to.
            drop(command);
            let mut closing = Closing::default();
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                closing.read(&line);
            }
            let status = child.wait().map_err(|error| format!("{what}: {error}"))?;
            Ok((status.success(), closing.to_string()))
        })
    }

    fn measured<T>(
        &mut self,
        what: &'static str,
        step: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        println!("==> {what}");
        let (start, cpu) = (Instant::now(), children_cpu());
        let done = step();
        let spent = children_cpu().zip(cpu).map(|(now, before)| now.saturating_sub(before));
        let cost = Cost { time: start.elapsed(), cpu: spent };
        println!("    {cost}");
        self.done.push(Step { what, cost });
        done
    }
}

/// The table of all steps.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = self.done.iter().map(|step| step.cost.cpu).sum();
        let all = Cost { time: self.start.elapsed(), cpu };
        let rows = self.done.iter().map(|step| (step.what, step.cost)).chain([("in all", all)]);
        let width = rows.clone().map(|(what, _)| what.len()).max().unwrap_or(0);
        for (what, cost) in rows {
            writeln!(f, "  {what:width$}  {cost}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} s", self.time.as_secs())?;
        if let Some(cpu) = self.cpu {
            write!(f, " {:>5} s of CPU", cpu.as_secs())?;
        }
        Ok(())
    }
}

fn not_started(what: &str, error: &std::io::Error) -> String {
    format!("{what}: cargo did not start: {error}")
}

/// CPU time of all children that have ended, and of theirs: Linux counts it in hundredths of a second.
fn children_cpu() -> Option<Duration> {
    cpu_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn cpu_of(stat: &str) -> Option<Duration> {
    // The second field is the program's name, in parentheses, and may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((next()? + next()?) * 10))
}

/// The line that says how many tests passed: nextest's summary, or the sum of what `cargo test` says of each binary.
#[derive(Debug, Default)]
struct Closing {
    summary: Option<String>,
    passed: u64,
    failed: u64,
}

impl Closing {
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with("Summary [") {
            self.summary = Some(line.to_owned());
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let count = |what: &str| {
                let before = result.split(what).next()?;
                before.rsplit([' ', '.']).find(|word| !word.is_empty())?.parse::<u64>().ok()
            };
            self.passed += count(" passed").unwrap_or(0);
            self.failed += count(" failed").unwrap_or(0);
        }
    }
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.summary {
            Some(summary) => f.write_str(summary),
            None => write!(f, "{} passed, {} failed", self.passed, self.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_nextests_own() {
        let mut closing = Closing::default();
        closing.read("     Summary [  12.345s] 3 tests run: 2 passed, 1 failed, 0 skipped");
        closing.read("        FAIL [   0.010s] (1/3) tests::all it");
        closing.read("error: test run failed");
        let expected = "Summary [  12.345s] 3 tests run: 2 passed, 1 failed, 0 skipped";
        assert_eq!(closing.to_string(), expected);
    }

    #[test]
    fn results_of_cargo_test_are_added_up() {
        let mut closing = Closing::default();
        closing.read("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        closing.read("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        assert_eq!(closing.to_string(), "15 passed, 2 failed");
    }

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 250 50 20 0";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("42"), None);
    }

    #[test]
    fn a_step_is_measured_and_its_failure_told() {
        let mut steps = Steps::new();
        steps.run("works", Command::new("true")).unwrap_or_else(|error| panic!("{error}"));
        let failed = steps.quiet("fails", Command::new("false"));
        assert_eq!(failed, Err("fails: failed".to_owned()));
        let mut said = Command::new("sh");
        said.args(["-c", "echo 'test result: ok. 1 passed; 0 failed'; echo more >&2; exit 3"]);
        let tests = steps.tests("tests", said);
        assert_eq!(tests, Ok((false, "1 passed, 0 failed".to_owned())));
        let table = steps.to_string();
        let first: Vec<&str> =
            table.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(first, ["works", "fails", "tests", "in"]);
    }
}
