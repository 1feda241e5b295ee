//! Kept traces that leave the process: what takes them, and which parts of a trace an entry takes along.

use super::{
    metrics::{Kind, Page},
    trace::{TraceEntry, TracePart},
    traces::Kept,
};
use std::{collections::HashSet, fmt, sync::Arc};

/// Takes kept traces to where they are stored.
pub trait Export: Send + Sync + fmt::Debug + 'static {
    /// Takes a trace, or drops it. It does not wait.
    fn export(&self, kept: &Arc<Kept>);

    /// How that went so far.
    fn figures(&self) -> ExportFigures;
}

/// What became of traces that were to leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportFigures {
    /// The bytes of those that wait.
    pub waiting_bytes: usize,
    /// Spans that were taken.
    pub sent_spans: u64,
    /// Traces that found no room.
    pub dropped_full: u64,
    /// Traces that could not be brought there.
    pub dropped_failed: u64,
    /// Spans that were brought there and refused.
    pub rejected_spans: u64,
}

impl ExportFigures {
    /// Adds them to a page of metrics.
    pub(crate) fn show(self, page: &mut Page) {
        page.family("monolift_export_spans_total", Kind::Counter, "Spans sent to the collector.")
            .sample(&[("result", "taken")], self.sent_spans)
            .sample(&[("result", "rejected")], self.rejected_spans);
        let help = "Traces that were not sent to the collector, and are lost there.";
        page.family("monolift_export_dropped_traces_total", Kind::Counter, help)
            .sample(&[("because", "full")], self.dropped_full)
            .sample(&[("because", "failed")], self.dropped_failed);
        let help = "Traces that wait to be sent to the collector.";
        page.family("monolift_export_waiting_bytes", Kind::Gauge, help)
            .sample(&[], self.waiting_bytes);
    }
}

/// What an entry did, of all parts of its trace: its own part, and those of the calls that it made. A trace may have several
/// entries (two requests of one client, durable work), each of which is kept, or not, by itself. So no part leaves twice.
pub(crate) fn of_entry(own: TracePart, mut others: Vec<TracePart>) -> Vec<TracePart> {
    let calls =
        |part: &TracePart| part.calls.iter().map(|call| call.span.clone()).collect::<Vec<_>>();
    let mut known: HashSet<String> = calls(&own).into_iter().collect();
    let mut parts = vec![own];
    others.retain(|part| matches!(part.entry, TraceEntry::Call(_)));
    loop {
        let (below, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|part| known.contains(&part.parent));
        if below.is_empty() {
            return parts;
        }
        known.extend(below.iter().flat_map(calls));
        parts.extend(below);
        others = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TraceCall;

    fn part(entry: TraceEntry, parent: &str, span: &str, calls: &[(&str, &str)]) -> TracePart {
        let call = |(span, parent): &(&str, &str)| TraceCall {
            module: "stock".to_owned(),
            interface: "Stock".to_owned(),
            method: "level".to_owned(),
            span: (*span).to_owned(),
            parent: (*parent).to_owned(),
            remote: false,
            began: 0,
            nanos: 0,
            untimed: false,
            outcome: "answered".to_owned(),
        };
        TracePart {
            trace_id: "1".to_owned(),
            process: "shop".to_owned(),
            pid: 1,
            entry,
            began_us: 0,
            nanos: 0,
            status: None,
            dropped: false,
            failed: false,
            parent: parent.to_owned(),
            span: span.to_owned(),
            calls: calls.iter().map(call).collect(),
            statements: Vec::new(),
            left_out: 0,
        }
    }

    #[test]
    fn an_entry_takes_along_what_it_did_and_nothing_else() {
        let request = || TraceEntry::Request("GET /".to_owned());
        let call = || TraceEntry::Call("shop".to_owned());
        let own = part(request(), "client", "a", &[("a1", "a")]);
        let others = vec![
            part(call(), "b1", "b1", &[("b2", "b1")]),
            part(call(), "a2", "a2", &[]),
            part(call(), "a1", "a1", &[("a2", "a1")]),
            part(request(), "client", "b", &[("b1", "b")]),
            part(TraceEntry::Work("orders.settle".to_owned()), "a2", "c", &[]),
        ];
        let spans: Vec<String> = of_entry(own, others).into_iter().map(|part| part.span).collect();
        assert_eq!(spans, ["a", "a1", "a2"]);
    }
}
