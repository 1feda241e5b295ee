//! Lists of traces: which are shown, and how each is summed up.

use super::{
    asked::{Here, ask_each},
    trace::{Trace, TraceEntry, TracePart},
    traces::KeptBecause,
};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most traces of one list.
pub(crate) const MOST: usize = 500;
/// How many are listed unless the question says otherwise.
const USUAL: usize = 100;

/// Which traces a list is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListOf {
    /// The latest requests and work, kept or not.
    Latest,
    /// Those that were kept.
    Kept,
}

/// The query of a list. Without any, all are shown but work that recurs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceFilter {
    /// Part of the route, such as `orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// A module that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    /// Part of a method's name, a statement, a process or an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    has: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<KeptBecause>,
    /// Only failed requests, or only those that did not fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<bool>,
    /// Also work that no request caused, and that neither failed nor was kept: schedules would fill the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurring: Option<bool>,
    /// The shortest and the longest, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ms: Option<f64>,
    /// The earliest and the latest beginning, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

/// A trace in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    trace_id: String,
    /// The route, or the kind of work.
    name: String,
    began_us: u64,
    ms: f64,
    status: Option<u16>,
    failed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<KeptBecause>,
    /// Whether it is work that no request caused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    recurring: bool,
    calls: usize,
    statements: usize,
    processes: BTreeSet<String>,
    modules: BTreeSet<String>,
}

/// A list, of all processes that were asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ListAnswer {
    /// The latest first.
    pub traces: Vec<Summary>,
    /// Requests that were to be kept and were not, because there were too many.
    pub passed_over: u64,
    /// Processes that did not answer.
    #[serde(default)]
    pub missing: Vec<String>,
}

impl Here {
    /// The traces that entered the application in this process, or in one that it calls.
    pub(crate) fn gather_list(
        &self,
        of: ListOf,
        filter: TraceFilter,
        mut asked: Vec<String>,
    ) -> BoxFuture<'_, ListAnswer> {
        let mut found = ListAnswer::default();
        if let Some(traces) = self.traces.upgrade() {
            asked.push(traces.process().to_owned());
            found.passed_over = traces.passed_over();
            found.traces = match of {
                ListOf::Latest => filter.apply(traces.recent(MOST).into_iter().map(alone)),
                ListOf::Kept => filter.apply(
                    traces.kept().iter().map(|kept| (Some(kept.because), kept.trace.clone())),
                ),
            };
        }
        Box::pin(async move {
            let to_ask = self.to_ask(&asked, |_| true);
            asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
            let (answers, silent) = ask_each(to_ask, |replica| {
                let (filter, asked) = (filter.clone(), asked.clone());
                async move { replica.traces(of, filter, asked).await }
            })
            .await;
            found.missing.extend(silent);
            for answer in answers {
                found.traces.extend(answer.traces);
                found.passed_over += answer.passed_over;
                found.missing.extend(answer.missing);
            }
            found.traces.sort_by(|a, b| b.began_us.cmp(&a.began_us).then(a.name.cmp(&b.name)));
            // Two processes may have asked the same third one.
            found.traces.dedup_by(|a, b| {
                (a.began_us, &a.trace_id, &a.name) == (b.began_us, &b.trace_id, &b.name)
            });
            found.traces.truncate(filter.most());
            found.missing.sort_unstable();
            found.missing.dedup();
            found
        })
    }
}

/// A part of this process, as a trace of its own.
fn alone(part: TracePart) -> (Option<KeptBecause>, Trace) {
    (None, Trace { trace_id: part.trace_id.clone(), parts: vec![part], missing: Vec::new() })
}

impl TraceFilter {
    fn most(&self) -> usize {
        self.limit.unwrap_or(USUAL).min(MOST)
    }

    fn apply(&self, traces: impl Iterator<Item = (Option<KeptBecause>, Trace)>) -> Vec<Summary> {
        let has = self.has.as_ref().map(|has| has.to_lowercase());
        let summaries = traces
            .filter(|(_, trace)| has.as_ref().is_none_or(|has| trace.mentions(has)))
            .filter_map(|(because, trace)| Summary::of(because, &trace));
        summaries.filter(|summary| self.shows(summary)).take(self.most()).collect()
    }

    fn shows(&self, summary: &Summary) -> bool {
        let Summary { name, began_us, ms, failed, because, recurring, modules, .. } = summary;
        self.route.as_ref().is_none_or(|route| name.contains(route.as_str()))
            && self.module.as_ref().is_none_or(|module| modules.contains(module))
            && self.because.is_none_or(|wanted| *because == Some(wanted))
            && self.failed.is_none_or(|wanted| *failed == wanted)
            && (self.recurring == Some(true) || !recurring || *failed || because.is_some())
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
            recurring: entry.began_by_itself(),
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
    /// Whether it is work that no request caused, such as a schedule's.
    fn began_by_itself(&self) -> bool {
        matches!(self.entry, TraceEntry::Work(_)) && self.parent.bytes().all(|digit| digit == b'0')
    }

    /// Whether the request failed: not that it was answered with a mistake of the client's.
    fn has_failed(&self) -> bool {
        let own = self.calls.iter().filter(|call| call.parent == self.span);
        match self.status {
            Some(status) => status >= 500,
            None => self.failed || own.into_iter().any(|call| call.has_failed()),
        }
    }
}
