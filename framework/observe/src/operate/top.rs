//! `top`: methods by the rate of their calls.

use super::{AdminClient, Failed, arguments::Arguments, duration, list, print, text};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, IsTerminal},
    thread::sleep,
    time::{Duration, Instant},
};

/// How often the table is drawn.
const EACH: Duration = Duration::from_secs(2);
/// How long rates are measured for one table.
const ONCE: Duration = Duration::from_secs(1);
/// The most rows of a table that is drawn again and again.
const ROWS: usize = 40;

/// Clears a terminal, and goes to its first place.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The calls of a method by one caller, in all processes.
#[derive(Debug, Default, Clone, PartialEq)]
struct Row {
    calls: f64,
    failed: f64,
    p50_us: f64,
    p99_us: f64,
}

/// Caller and method.
type Rows = BTreeMap<(String, String), Row>;

pub(super) fn run(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    arguments.at_most(0)?;
    let look = || Ok::<_, Failed>((Instant::now(), rows(&client.get("/api/processes")?)));
    let once = arguments.has("--once") || !io::stdout().is_terminal();
    let mut before = look()?;
    loop {
        sleep(if once { ONCE } else { EACH });
        let now = look()?;
        let seconds = (now.0 - before.0).as_secs_f64();
        let most = if once { usize::MAX } else { ROWS };
        let page = table(&before.1, &now.1, seconds, most);
        if once {
            return Ok(page);
        }
        if print(&format!("{CLEAR}{page}\nctrl-C ends this\n")).is_err() {
            return Ok(String::new());
        }
        before = now;
    }
}

/// What callers have counted. What is served for another process is counted by its caller.
fn rows(processes: &Value) -> Rows {
    let mut rows = Rows::new();
    for call in list(processes, "processes").iter().flat_map(|process| list(process, "calls")) {
        if text(call, "placement") == "served" || text(call, "module") == "monolift" {
            continue;
        }
        let method = format!("{}.{}", text(call, "module"), text(call, "method"));
        let row = rows.entry((text(call, "caller").to_owned(), method)).or_default();
        let of = |key: &str| call[key].as_f64().unwrap_or_default();
        row.calls += of("answered") + of("failed") + of("dropped");
        row.failed += of("failed");
        row.p50_us = row.p50_us.max(of("p50_us"));
        row.p99_us = row.p99_us.max(of("p99_us"));
    }
    rows
}

fn table(before: &Rows, now: &Rows, seconds: f64, most: usize) -> String {
    let none = Row::default();
    let mut all: Vec<_> = now
        .iter()
        .map(|(name, row)| {
            let earlier = before.get(name).unwrap_or(&none);
            let rate = (row.calls - earlier.calls).max(0.0) / seconds.max(0.001);
            let failing = (row.failed - earlier.failed).max(0.0) / seconds.max(0.001);
            (rate, failing, name, row)
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.cmp(b.2)));
    let mut page = format!(
        "{:<34}{:<18}{:>10}{:>10}{:>12}{:>12}{:>10}\n",
        "method", "caller", "calls/s", "failed/s", "p50", "p99", "failed"
    );
    for (rate, failing, (caller, method), row) in all.into_iter().take(most) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "{method:<34}{caller:<18}{rate:>10.1}{failing:>10.1}{:>12}{:>12}{:>10}",
            duration(row.p50_us * 1e3),
            duration(row.p99_us * 1e3),
            row.failed
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_busiest_method_is_first_and_served_calls_count_once() {
        let look = |orders: u64, failed: u64| {
            rows(&json!({ "processes": [{ "calls": [
                { "caller": "(edge)", "module": "orders", "method": "place", "placement": "remote",
                  "answered": orders, "failed": failed, "p50_us": 1500.0, "p99_us": 9000.0 },
                { "caller": "(process)", "module": "orders", "method": "place", "placement": "served",
                  "answered": orders, "failed": failed },
                { "caller": "orders", "module": "stock", "method": "level", "placement": "local", "answered": 7 },
            ] }] }))
        };
        let page = table(&look(10, 0), &look(30, 2), 2.0, 10);
        let lines: Vec<Vec<&str>> =
            page.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines[1],
            ["orders.place", "(edge)", "11.0", "1.0", "1.50", "ms", "9.00", "ms", "2"]
        );
        assert_eq!(lines[2][..4], ["stock.level", "orders", "0.0", "0.0"]);
        assert_eq!(table(&look(0, 0), &look(1, 0), 1.0, 1).lines().count(), 2);
    }
}
