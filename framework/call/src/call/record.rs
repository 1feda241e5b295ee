//! What one process did for one request: the calls that it made, as a tree, and what they asked of databases.
//!
//! A request is recorded from where it enters the process to where it leaves it. Each call writes its record when it
//! ends, so recording costs a call two readings of the clock and one uncontended lock. This file decides nothing about
//! what is kept: that is the [`Recorder`]'s part.

use super::{CallErrorKind, Callee, Context, Side, chance, clock::Moment};
use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// The most calls, and the most statements, that are recorded of one request in one process. More are counted only.
pub const MOST: usize = 1_000;

/// Keeps what was recorded, or drops it.
pub trait Recorder: Send + Sync + fmt::Debug + 'static {
    /// Whether a request that enters this process now is recorded.
    fn records(&self, entry: &Entry) -> bool;

    /// A recorded request has left the process.
    fn ended(&self, part: Part);
}

/// How a request came into this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// At the gateway: the verb and the template of its route.
    Request { route: String },
    /// As a call of another process.
    Call { from: String },
    /// As durable work of a module.
    Work { module: String, kind: String },
}

/// How a recorded request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this status of HTTP.
    Status(u16),
    /// Without one: a call, or work. Its own calls say how they ended.
    Done,
    /// Its caller went away.
    Dropped,
}

/// How a recorded call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// With an error that its interface declares.
    Declared,
    /// With a [`super::CallError`].
    Failed(CallErrorKind),
    /// Its caller went away.
    Dropped,
}

/// One call, in nanoseconds since its request entered the process.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// The method that was called.
    pub callee: &'static Callee,
    /// The call itself, and the one that it was made by.
    pub span: u64,
    pub parent: u64,
    /// Where the call was made to: a module here, or another process.
    pub side: Side,
    pub began: u64,
    pub nanos: u64,
    pub outcome: Outcome,
}

/// One statement of a call to a database. Values are not part of it.
#[derive(Debug, Clone)]
pub struct StatementRecord {
    /// The call that made it.
    pub span: u64,
    pub began: u64,
    pub nanos: u64,
    /// The rows that it returned or changed.
    pub rows: u64,
    pub text: Arc<str>,
}

/// What is recorded of one request in this process.
pub struct Recording {
    trace_id: u128,
    parent: u64,
    root: u64,
    sampled: bool,
    entry: Entry,
    began: Moment,
    began_at: SystemTime,
    recorder: Arc<dyn Recorder>,
    recorded: Mutex<Recorded>,
}

/// The calls and statements of a recording.
#[derive(Debug, Default)]
pub struct Recorded {
    /// In the order in which they ended.
    pub calls: Vec<CallRecord>,
    pub statements: Vec<StatementRecord>,
    /// How many there were beyond [`MOST`].
    pub left_out: usize,
}

/// A recording that is complete.
#[derive(Debug)]
pub struct Part {
    pub trace_id: u128,
    /// The caller's span: of the client at the gateway, or of the process that called.
    pub parent: u64,
    /// The span that the calls of the request itself have as their parent.
    pub root: u64,
    /// Whether the trace is sampled, as its edge decided.
    pub sampled: bool,
    pub entry: Entry,
    pub began_at: SystemTime,
    pub nanos: u64,
    pub ended: Ended,
    pub recorded: Recorded,
}

/// The end of a recording. If it is dropped before, the request's caller went away.
#[derive(Debug)]
pub struct RecordingEnd(Option<Arc<Recording>>);

impl Recording {
    /// Records what is done in `context` from here on, if `recorder` wants to. The result is the context to do it in, and
    /// what ends the recording.
    pub fn begin(
        recorder: &Arc<dyn Recorder>,
        context: Context,
        entry: impl FnOnce() -> Entry,
    ) -> (Context, Option<RecordingEnd>) {
        // Of a request within a recorded one, the calls are recorded there.
        if context.recording().is_some() {
            return (context, None);
        }
        let entry = entry();
        if !recorder.records(&entry) {
            return (context, None);
        }
        let trace = context.trace();
        // A call has a span of its own, made by its guard. A request has none but this one.
        let root = match entry {
            Entry::Call { .. } => trace.span_id,
            Entry::Request { .. } | Entry::Work { .. } => next_span(),
        };
        let recording = Arc::new(Self {
            trace_id: trace.trace_id,
            parent: trace.span_id,
            root,
            sampled: trace.sampled,
            entry,
            began: Moment::now(),
            began_at: SystemTime::now(),
            recorder: Arc::clone(recorder),
            recorded: Mutex::default(),
        });
        (context.with_recording(Arc::clone(&recording)), Some(RecordingEnd(Some(recording))))
    }

    /// The span of what the request does itself, outside of its calls.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Records a call of `nanos` that began at `began`.
    pub(super) fn call(&self, began: Moment, record: CallRecord) {
        let record = CallRecord { began: began.nanos_since(self.began), ..record };
        let mut recorded = self.recorded();
        match recorded.calls.len() < MOST {
            true => recorded.calls.push(record),
            false => recorded.left_out += 1,
        }
    }

    /// Records a statement of the call with this span, which ended now.
    pub fn statement(&self, span: u64, nanos: u64, rows: u64, text: Arc<str>) {
        let began = self.began.nanos().saturating_sub(nanos);
        let mut recorded = self.recorded();
        match recorded.statements.len() < MOST {
            true => recorded.statements.push(StatementRecord { span, began, nanos, rows, text }),
            false => recorded.left_out += 1,
        }
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, ended: Ended) {
        let Self { trace_id, parent, root, sampled, entry, began, began_at, .. } = self;
        self.recorder.ended(Part {
            trace_id: *trace_id,
            parent: *parent,
            root: *root,
            sampled: *sampled,
            entry: entry.clone(),
            began_at: *began_at,
            nanos: began.nanos(),
            ended,
            recorded: std::mem::take(&mut *self.recorded()),
        });
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({:032x})", self.trace_id)
    }
}

impl RecordingEnd {
    /// The request ended so.
    pub fn end(mut self, ended: Ended) {
        if let Some(recording) = self.0.take() {
            recording.end(ended);
        }
    }
}

impl Drop for RecordingEnd {
    fn drop(&mut self) {
        if let Some(recording) = self.0.take() {
            recording.end(Ended::Dropped);
        }
    }
}

thread_local! {
    static SPAN: Cell<u64> = const { Cell::new(0) };
}

/// The id of a new span: random for each thread, and then counted. It is never 0.
#[inline]
pub(super) fn next_span() -> u64 {
    let last = SPAN.get();
    let span = if last == 0 { chance::number() } else { last.wrapping_add(1) }.max(1);
    SPAN.set(span);
    span
}
