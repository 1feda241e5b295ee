//! `logs`: the latest lines of all processes, and those that follow.

use super::{AdminClient, Failed, arguments::Arguments, print, short};
use crate::log::{LogAnswer, LogLine, time::Rfc3339};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    thread::sleep,
    time::{Duration, UNIX_EPOCH},
};

/// How often further lines are asked for.
const EACH: Duration = Duration::from_secs(1);
/// How much later than its time a line may arrive, in microseconds: clocks of machines differ, and questions take time.
const LATE_US: u64 = 5_000_000;
/// The longest message on a terminal.
const LONGEST: usize = 400;

pub(super) fn run(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    arguments.at_most(0)?;
    let query = arguments.query(&["--module", "--level", "--trace", "--text", "--limit"]);
    let ask = |since: Option<u64>| -> Result<LogAnswer, Failed> {
        let since = since.map_or_else(String::new, |since| format!("&since_us={since}"));
        let query = format!("{query}{since}");
        let answer = client.get(&format!("/api/logs?{}", query.trim_start_matches('&')))?;
        Ok(serde_json::from_value(answer)?)
    };
    let shown = |line: &LogLine| match arguments.json {
        true => serde_json::to_string(line).unwrap_or_default() + "\n",
        false => shown(line),
    };
    let mut answer = ask(None)?;
    if !arguments.has("--follow") {
        let missing = answer.missing.iter();
        let missing = missing.map(|process| format!("no answer from the process {process}\n"));
        return Ok(answer.lines.iter().map(shown).chain(missing).collect());
    }
    let mut known = BTreeSet::new();
    loop {
        let id = |line: &LogLine| (line.process.clone(), line.pid, line.number);
        let new: String =
            answer.lines.iter().filter(|line| !known.contains(&id(line))).map(shown).collect();
        if print(&new).is_err() {
            return Ok(String::new());
        }
        let last = answer.lines.last().map(|line| line.at_us.saturating_sub(LATE_US));
        // What can come again is all that has to be remembered.
        known = answer.lines.iter().map(id).collect();
        sleep(EACH);
        answer = ask(last)?;
    }
}

/// A line for people.
fn shown(line: &LogLine) -> String {
    let time = Rfc3339::millis(UNIX_EPOCH + Duration::from_micros(line.at_us));
    let place = match (&line.module, &line.method, &line.work) {
        (Some(module), Some(method), _) => format!("{module}.{method}"),
        (Some(module), None, Some(work)) => format!("{module} (work {work})"),
        (Some(module), None, None) => module.clone(),
        (None, ..) => line.target.clone(),
    };
    let level = line.level.to_ascii_uppercase();
    let mut text =
        format!("{time} {level:>5} {} {place}: {}", line.process, short(&line.message, LONGEST));
    for (name, value) in &line.fields {
        // Writing to a string cannot fail.
        let _ = write!(text, " {name}={}", short(value, LONGEST));
    }
    if let Some(trace) = &line.trace_id {
        let _ = write!(text, " trace={trace}");
    }
    text.push('\n');
    text
}
