//! Which traces are shown, and how they are summed up in a list.

use crate::{
    trace::{Trace, TraceEntry, TracePart},
    traces::KeptBecause,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most traces of one list.
pub(super) const MOST: usize = 500;

/// The query of a list. Without any, all are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TraceFilter {
    /// Part of the route, such as `orders`.
    route: Option<String>,
    /// A module that was called.
    module: Option<String>,
    /// Part of a method's name, a statement, a process or an outcome.
    has: Option<String>,
    because: Option<KeptBecause>,
    /// Only failed requests, or only those that did not fail.
    failed: Option<bool>,
    /// The shortest and the longest, in milliseconds.
    min_ms: Option<f64>,
    max_ms: Option<f64>,
    /// The earliest and the latest beginning, in microseconds since 1970.
    since_us: Option<u64>,
    until_us: Option<u64>,
    limit: Option<usize>,
}

/// A trace in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Summary {
    trace_id: String,
    /// The route, or the kind of work.
    name: String,
    began_us: u64,
    ms: f64,
    status: Option<u16>,
    failed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<KeptBecause>,
    calls: usize,
    statements: usize,
    processes: BTreeSet<String>,
    modules: BTreeSet<String>,
}

impl TraceFilter {
    pub(super) fn apply(
        &self,
        traces: impl Iterator<Item = (Option<KeptBecause>, Trace)>,
    ) -> Vec<Summary> {
        let has = self.has.as_ref().map(|has| has.to_lowercase());
        let summaries = traces
            .filter(|(_, trace)| has.as_ref().is_none_or(|has| trace.mentions(has)))
            .filter_map(|(because, trace)| Summary::of(because, &trace));
        let limit = self.limit.unwrap_or(100).min(MOST);
        summaries.filter(|summary| self.shows(summary)).take(limit).collect()
    }

    fn shows(&self, summary: &Summary) -> bool {
        let Summary { name, began_us, ms, failed, because, modules, .. } = summary;
        self.route.as_ref().is_none_or(|route| name.contains(route.as_str()))
            && self.module.as_ref().is_none_or(|module| modules.contains(module))
            && self.because.is_none_or(|wanted| *because == Some(wanted))
            && self.failed.is_none_or(|wanted| *failed == wanted)
            && self.min_ms.is_none_or(|least| *ms >= least)
            && self.max_ms.is_none_or(|most| *ms <= most)
            && self.since_us.is_none_or(|since| *began_us >= since)
            && self.until_us.is_none_or(|until| *began_us <= until)
    }
}

impl Summary {
    /// Of a trace whose first part is where it entered the application.
    fn of(because: Option<KeptBecause>, trace: &Trace) -> Option<Self> {
        let entry = trace.parts.first()?;
        let name = match &entry.entry {
            TraceEntry::Request(name) | TraceEntry::Work(name) => name.clone(),
            TraceEntry::Call(from) => format!("a call of {from}"),
        };
        let parts = || trace.parts.iter();
        let calls = || parts().flat_map(|part| &part.calls);
        Some(Self {
            trace_id: trace.trace_id.clone(),
            name,
            began_us: entry.began_us,
            ms: entry.nanos as f64 / 1e6,
            status: entry.status,
            failed: entry.has_failed(),
            because,
            calls: calls().filter(|call| !call.remote).count(),
            statements: parts().map(|part| part.statements.len()).sum(),
            processes: parts().map(|part| part.process.clone()).collect(),
            modules: calls().map(|call| call.module.clone()).collect(),
        })
    }
}

impl Trace {
    /// Whether a call, a statement or a process of it has this text, which is in lower case.
    fn mentions(&self, text: &str) -> bool {
        let has = |there: &str| there.to_lowercase().contains(text);
        self.parts.iter().any(|part| {
            has(&part.process)
                || part.statements.iter().any(|statement| has(&statement.text))
                || part.calls.iter().any(|call| {
                    has(&call.outcome) || has(&format!("{}.{}", call.module, call.method))
                })
        })
    }
}

impl TracePart {
    /// Whether the request failed: not that it was answered with a mistake of the client's.
    fn has_failed(&self) -> bool {
        let own = self.calls.iter().filter(|call| call.parent == self.span);
        match self.status {
            Some(status) => status >= 500,
            None => own.into_iter().any(|call| call.has_failed()),
        }
    }
}
