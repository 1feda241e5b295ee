//! `traces`: a list of requests, or one as a waterfall.

use super::{
    AdminClient, Failed, admin::encoded, arguments::Arguments, duration, list, short, text,
};
use crate::{
    log::time::Rfc3339,
    trace::{Trace, TraceEntry, TracePart},
};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

/// The width of the bars of a waterfall, and of what stands before them.
const BARS: usize = 40;
const NAMES: usize = 52;

pub(super) fn run(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    match arguments.at_most(1)? {
        [] => all(client, arguments),
        [id, ..] => {
            let answer = client.get(&format!("/api/traces/{}", encoded(id)))?;
            if arguments.json {
                return Ok(format!("{answer:#}\n"));
            }
            Ok(waterfall(&serde_json::from_value(answer)?))
        }
    }
}

fn all(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    let because = ["slow", "failed"].into_iter().find(|one| arguments.has(&format!("--{one}")));
    let kept = because.is_some() || arguments.has("--kept");
    let which = if kept { "traces" } else { "requests" };
    let mut query = arguments.query(&["--route", "--module", "--min-ms", "--limit"]);
    if arguments.has("--recurring") {
        query.push_str("&recurring=true");
    }
    if let Some(because) = because {
        let _ = write!(query, "&because={because}");
    }
    let answer = client.get(&format!("/api/{which}?{}", query.trim_start_matches('&')))?;
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let mut page = String::new();
    for trace in list(&answer, which) {
        let began = Duration::from_micros(trace["began_us"].as_u64().unwrap_or_default());
        let began = Rfc3339::millis(UNIX_EPOCH + began).to_string();
        let nanos = trace["ms"].as_f64().unwrap_or_default() * 1e6;
        let status = trace["status"].as_u64().map_or_else(String::new, |status| status.to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "{began}  {}  {:>10}  {status:>3}  {:<6}  {}",
            text(trace, "trace_id"),
            duration(nanos),
            text(trace, "because"),
            short(text(trace, "name"), 60)
        );
    }
    if page.is_empty() {
        page.push_str("none\n");
    }
    for missing in list(&answer, "missing") {
        let _ =
            writeln!(page, "no answer from the process {}", missing.as_str().unwrap_or_default());
    }
    Ok(page)
}

/// A row of the waterfall.
struct Row {
    depth: usize,
    what: String,
    /// In nanoseconds since the request came in.
    began: f64,
    nanos: u64,
}

/// The calls and statements of a trace, each below the call that made it, with a bar for its time.
fn waterfall(trace: &Trace) -> String {
    let Some(first) = trace.parts.first() else { return "nothing is known of it\n".to_owned() };
    let (TraceEntry::Request(name) | TraceEntry::Call(name) | TraceEntry::Work(name)) =
        &first.entry;
    let status = first.status.map_or_else(String::new, |status| format!(" {status}"));
    let what = format!("{name}{status} · {}", first.process);
    let mut rows = vec![Row { depth: 0, what, began: 0.0, nanos: first.nanos }];
    let mut shown = BTreeSet::new();
    add(&mut rows, &mut shown, trace, first, &first.span, 1, 0.0);
    let whole = rows.iter().map(|row| row.began + row.nanos as f64).fold(1.0, f64::max);
    let mut page = String::new();
    for Row { depth, what, began, nanos } in &rows {
        let what = short(&format!("{}{what}", "  ".repeat(*depth)), NAMES);
        let from = (began / whole * BARS as f64) as usize;
        let length = (*nanos as f64 / whole * BARS as f64).round().max(1.0) as usize;
        let bar = format!("{}{}", " ".repeat(from.min(BARS - 1)), "█".repeat(length.min(BARS)));
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "{what:<width$} {:>10}  {bar}",
            duration(*nanos as f64),
            width = NAMES + 1
        );
    }
    for missing in &trace.missing {
        let _ = writeln!(page, "no answer from the process {missing}");
    }
    page
}

fn add<'a>(
    rows: &mut Vec<Row>,
    shown: &mut BTreeSet<&'a str>,
    trace: &'a Trace,
    part: &'a TracePart,
    parent: &str,
    depth: usize,
    offset: f64,
) {
    let calls = part.calls.iter().filter(|call| call.parent == parent);
    let statements = part.statements.iter().filter(|one| one.span == parent);
    let mut below: Vec<(u64, Result<_, _>)> = calls.map(|call| (call.began, Ok(call))).collect();
    below.extend(statements.map(|one| (one.began, Err(one))));
    below.sort_by_key(|(began, _)| *began);
    for (began, one) in below {
        let began = offset + began as f64;
        let call = match one {
            Ok(call) => call,
            Err(one) => {
                let what = format!("{} ({} rows)", one.text, one.rows);
                rows.push(Row { depth, what, began, nanos: one.nanos });
                continue;
            }
        };
        let ended = match call.outcome.as_str() {
            "answered" => String::new(),
            other => format!(" {other}"),
        };
        let served = trace.parts.iter().skip(1).find(|part| call.remote && part.span == call.span);
        let crossing = served.map_or(0, |served| call.nanos.saturating_sub(served.nanos));
        let mut what = format!("{}.{}{ended}", call.module, call.method);
        if served.is_some() {
            let _ = write!(what, " · crossing {}", duration(crossing as f64));
        } else if !call.remote {
            let _ = write!(what, " · {}", part.process);
        }
        rows.push(Row { depth, what, began, nanos: call.nanos });
        if let Some(served) = served
            && shown.insert(&served.span)
        {
            // Clocks of machines differ: what was served is placed in the middle of its call.
            let offset = began + crossing as f64 / 2.0;
            add(rows, shown, trace, served, &served.span, depth + 1, offset);
        }
        add(rows, shown, trace, part, &call.span, depth + 1, offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_waterfall_has_what_was_served_below_its_call() {
        let trace: Trace = serde_json::from_value(json!({ "trace_id": "4b", "missing": ["mail"], "parts": [
            { "trace_id": "4b", "process": "web", "pid": 1, "entry": { "request": "POST /orders" }, "began_us": 0,
              "nanos": 8_000_000, "status": 201, "parent": "0", "span": "1", "calls": [
                { "module": "orders", "interface": "Orders", "method": "place", "span": "2", "parent": "1",
                  "remote": true, "began": 1_000_000, "nanos": 6_000_000, "outcome": "answered" }] },
            { "trace_id": "4b", "process": "orders", "pid": 2, "entry": { "call": "web" }, "began_us": 0,
              "nanos": 4_000_000, "parent": "2", "span": "2", "calls": [
                { "module": "orders", "interface": "Orders", "method": "place", "span": "3", "parent": "2",
                  "remote": false, "began": 0, "nanos": 4_000_000, "outcome": "declared" }],
              "statements": [{ "span": "3", "began": 1_000_000, "nanos": 2_000_000, "rows": 1, "text": "INSERT INTO orders" }] },
        ] }))
        .unwrap();
        let page = waterfall(&trace);
        let lines: Vec<&str> = page.lines().collect();
        assert!(lines[0].starts_with("POST /orders 201 · web "), "{page}");
        assert!(lines[1].starts_with("  orders.place · crossing 2.00 ms "), "{page}");
        assert!(lines[2].starts_with("    orders.place declared · orders "), "{page}");
        assert!(lines[3].starts_with("      INSERT INTO orders (1 rows) "), "{page}");
        assert!(
            lines[3].ends_with(&format!("2.00 ms  {}{}", " ".repeat(15), "█".repeat(10))),
            "{page}"
        );
        assert_eq!(lines[4], "no answer from the process mail");
    }
}
