//! A trace as it is shown, and sent between processes: plain data with names in place of numbers.

use crate::call::{
    Side,
    record::{CallRecord, Ended, Entry, Outcome, Part, StatementRecord},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

/// All that is known of one request, in every process that took part.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// In hex, as in `traceparent`.
    pub trace_id: String,
    /// Where it entered the application, then what other processes did.
    pub parts: Vec<TracePart>,
    /// Processes that were asked and did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// What one process did for a request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TracePart {
    /// The trace, in hex.
    pub trace_id: String,
    /// The process, as the manifest names it.
    pub process: String,
    /// The replica: its process id.
    pub pid: u32,
    /// How the request came here.
    pub entry: TraceEntry,
    /// When, in microseconds since 1970 by this machine's clock.
    pub began_us: u64,
    /// How long the request was here, in nanoseconds.
    pub nanos: u64,
    /// The status of HTTP that it was answered with, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether its caller went away before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// Whether it was work that failed, and is tried again or given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// The span of the caller, and that of what the request did here outside of its calls.
    pub parent: String,
    pub span: String,
    /// In the order in which they began.
    pub calls: Vec<TraceCall>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<TraceStatement>,
    /// Calls and statements beyond the most that are recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// How a request came into a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceEntry {
    /// At the gateway: the verb and the template of the route.
    Request(String),
    /// As a call of this process.
    Call(String),
    /// As durable work: its module and kind.
    Work(String),
}

/// One call. Times are in nanoseconds, `began` since the request came into the process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TraceCall {
    pub module: String,
    pub interface: String,
    pub method: String,
    pub span: String,
    pub parent: String,
    /// Whether the call went to another process.
    pub remote: bool,
    pub began: u64,
    /// 0 for a call of a fast method that was not timed.
    pub nanos: u64,
    /// Whether the method is a fast one, of whose calls one in sixteen is timed, and this one was not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untimed: bool,
    /// `answered`, `declared` (an error of the interface), `dropped`, or the kind of the call's error.
    pub outcome: String,
}

/// A statement that a call made to its database.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TraceStatement {
    /// The call's span.
    pub span: String,
    pub began: u64,
    pub nanos: u64,
    pub rows: u64,
    pub text: String,
    /// The kind of its database: `sqlite` or `postgresql`. `None` if its module is not known to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

impl Trace {
    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let of_part = |part: &TracePart| {
            let statements: usize = part.statements.iter().map(|one| 80 + one.text.len()).sum();
            300 + part.calls.len() * 250 + statements
        };
        self.parts.iter().map(of_part).sum()
    }
}

impl TracePart {
    /// A part of this process.
    pub fn of(part: &Part, process: &str) -> Self {
        let mut calls: Vec<TraceCall> = part.recorded.calls.iter().map(TraceCall::of).collect();
        calls.sort_by_key(|call| call.began);
        Self {
            trace_id: hex_of_trace(part.trace_id),
            process: process.to_owned(),
            pid: std::process::id(),
            entry: TraceEntry::of(&part.entry),
            began_us: micros(part.began_at),
            nanos: part.nanos,
            status: match part.ended {
                Ended::Status(status) => Some(status),
                Ended::Done | Ended::Failed | Ended::Dropped => None,
            },
            dropped: part.ended == Ended::Dropped,
            failed: part.ended == Ended::Failed,
            parent: hex(part.parent),
            span: hex(part.root),
            calls,
            statements: part.recorded.statements.iter().map(TraceStatement::of).collect(),
            left_out: part.recorded.left_out,
        }
    }
}

impl TracePart {
    /// Says of each statement what kind of database its module has.
    pub(crate) fn with_systems(mut self, systems: &BTreeMap<String, &'static str>) -> Self {
        let work = match &self.entry {
            TraceEntry::Work(work) => work.split_once('.').map(|(module, _)| module.to_owned()),
            TraceEntry::Request(_) | TraceEntry::Call(_) => None,
        };
        let calls: HashMap<&str, &str> =
            self.calls.iter().map(|call| (call.span.as_str(), call.module.as_str())).collect();
        for statement in &mut self.statements {
            let module = calls.get(statement.span.as_str()).copied().or(work.as_deref());
            let system = module.and_then(|module| systems.get(module));
            statement.system = system.map(|system| (*system).to_owned());
        }
        self
    }
}

impl TraceEntry {
    fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Request { route } => Self::Request(route.to_string()),
            Entry::Call { from } => Self::Call(from.to_string()),
            Entry::Work { module, kind } => Self::Work(format!("{module}.{kind}")),
        }
    }
}

impl TraceCall {
    fn of(call: &CallRecord) -> Self {
        Self {
            module: call.callee.module.to_owned(),
            interface: call.callee.interface.to_owned(),
            method: call.callee.method.to_owned(),
            span: hex(call.span),
            parent: hex(call.parent),
            remote: call.side == Side::Caller,
            began: call.began,
            nanos: call.nanos.unwrap_or_default(),
            untimed: call.nanos.is_none(),
            outcome: outcome(call.outcome).to_owned(),
        }
    }
}

impl TraceCall {
    /// Whether it ended with an error that its interface does not declare.
    pub(crate) fn has_failed(&self) -> bool {
        !matches!(self.outcome.as_str(), "answered" | "declared" | "dropped")
    }
}

impl TraceStatement {
    fn of(statement: &StatementRecord) -> Self {
        Self {
            span: hex(statement.span),
            began: statement.began,
            nanos: statement.nanos,
            rows: statement.rows,
            text: statement.text.to_string(),
            system: None,
        }
    }
}

/// A trace's id in hex.
pub(crate) fn hex_of_trace(trace_id: u128) -> String {
    format!("{trace_id:032x}")
}

fn hex(span: u64) -> String {
    format!("{span:016x}")
}

fn micros(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// How a call ended, as one word.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => "answered",
        Outcome::Declared => "declared",
        Outcome::Dropped => "dropped",
        Outcome::Failed(kind) => kind.code(),
    }
}
