//! What one process did for one request: the calls that it made, as a tree, and what they asked of databases.
//!
//! A request is recorded from where it enters the process to where it leaves it. Each call writes its record when it
//! ends, to a list of its thread, which the recording takes over at the end of a poll, so it takes no lock. A call
//! is timed if it is for its counter: of the calls of a fast method, one in sixteen. Two readings of the clock would cost
//! such a call more than all the rest. This file decides nothing about what is kept: that is the [`Recorder`]'s part.

use super::{CallErrorKind, Callee, Context, Side, chance, clock::Moment};
use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// The most calls, and the most statements, that are recorded of one request in one process. More are counted only.
pub const MOST: usize = 1_000;

/// The most records that a thread keeps to itself.
const AT_ONCE: usize = 256;

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
    Request { route: Arc<str> },
    /// As a call of another process.
    Call { from: Arc<str> },
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
    /// Without one, and not well: work that is tried again, or given up.
    Failed,
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
    /// In a call that was not timed, the end of the last one before it on its thread that was.
    pub began: u64,
    /// `None` for a fast call that was not timed.
    pub nanos: Option<u64>,
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
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Those of one thread are in the order in which they ended.
    pub calls: Vec<CallRecord>,
    pub statements: Vec<StatementRecord>,
    /// How many there were beyond [`MOST`].
    pub left_out: usize,
}

/// A recording that is complete.
#[derive(Debug, Clone)]
pub struct Part {
    pub trace_id: u128,
    /// The caller's span: of the client at the gateway, or of the process that called. 0 where the trace begins.
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
        // A call has a span of its own, made by its guard. A request has none but this one, and where it begins the trace,
        // it is the trace's own.
        let (root, parent) = match entry {
            Entry::Request { .. } | Entry::Work { .. } if context.begins_trace() => {
                (trace.span_id, 0)
            }
            Entry::Request { .. } | Entry::Work { .. } => (next_span(), trace.span_id),
            Entry::Call { .. } => (trace.span_id, trace.span_id),
        };
        let recording = Arc::new(Self {
            trace_id: trace.trace_id,
            parent,
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

    /// Takes over what a thread recorded.
    fn take_over(&self, calls: &mut Vec<CallRecord>) {
        if calls.is_empty() {
            return;
        }
        let mut recorded = self.recorded();
        let room = MOST - recorded.calls.len().min(MOST);
        recorded.left_out += calls.len().saturating_sub(room);
        // Most parts are complete after one poll, and are kept for a while.
        if recorded.calls.is_empty() {
            recorded.calls.reserve_exact(calls.len().min(room));
        }
        recorded.calls.extend(calls.drain(..).take(room));
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

    fn end(self: &Arc<Self>, ended: Ended) {
        // It may end within its own context.
        drop(Within::enter(self));
        let Self { trace_id, parent, root, sampled, entry, began, began_at, .. } = &**self;
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

/// What a thread has recorded in the context that it is in.
struct OfThread {
    /// `None` where nothing is recorded.
    to: Option<To>,
    calls: Vec<CallRecord>,
}

/// The recording that takes over what a thread recorded.
#[derive(Clone, Copy)]
struct To {
    address: usize,
    began: Moment,
    /// What had passed since then at this thread's last reading of the clock.
    passed: u64,
}

thread_local! {
    static OF_THREAD: RefCell<OfThread> =
        const { RefCell::new(OfThread { to: None, calls: Vec::new() }) };
    /// The list of the last poll, which is empty: the next one need not allocate its own.
    static SPARE: Cell<Vec<CallRecord>> = const { Cell::new(Vec::new()) };
    static SPAN: Cell<u64> = const { Cell::new(0) };
}

/// A thread is in the context of a recording. What it recorded is taken over when this is dropped.
pub(super) struct Within<'a> {
    recording: &'a Arc<Recording>,
    /// What the thread had recorded in the context around it.
    around: Option<OfThread>,
}

impl<'a> Within<'a> {
    pub(super) fn enter(recording: &'a Arc<Recording>) -> Self {
        let began = recording.began;
        let address = Arc::as_ptr(recording).addr();
        let calls = SPARE.try_with(Cell::take).unwrap_or_default();
        let own = OfThread { to: Some(To { address, began, passed: began.nanos() }), calls };
        // A thread that ends records nothing.
        let mut around = OF_THREAD.try_with(|of_thread| of_thread.replace(own)).ok();
        if let Some(OfThread { to: Some(to), calls }) = &mut around
            && to.address == address
        {
            recording.take_over(calls);
        }
        Self { recording, around }
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        let Some(around) = self.around.take() else { return };
        if let Ok(OfThread { mut calls, .. }) = OF_THREAD.try_with(|own| own.replace(around)) {
            self.recording.take_over(&mut calls);
            let _ = SPARE.try_with(|spare| spare.set(calls));
        }
    }
}

/// Records a call, if this thread is in the context of a recording.
#[inline]
pub(super) fn call(began: Option<Moment>, record: CallRecord) {
    let _ = OF_THREAD.try_with(|of_thread| {
        let OfThread { to, calls } = &mut *of_thread.borrow_mut();
        let Some(to) = to else { return };
        let began = match began {
            Some(began) => {
                let began = began.nanos_since(to.began);
                to.passed = began + record.nanos.unwrap_or_default();
                began
            }
            None => to.passed,
        };
        calls.push(CallRecord { began, ..record });
        if calls.len() == AT_ONCE {
            Context::look(|context| context.recording().map(|to| to.take_over(calls)));
            calls.clear();
        }
    });
}

/// The id of a new span: random for each thread, and then counted. It is never 0.
#[inline]
pub(super) fn next_span() -> u64 {
    let last = SPAN.get();
    let span = if last == 0 { chance::number() } else { last.wrapping_add(1) }.max(1);
    SPAN.set(span);
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallSettings, Meter};

    static CALLEE: Callee = Callee {
        module: "shop",
        interface: "Shop",
        method: "open",
        deadline: None,
        rule: None,
        meter: Meter::new(),
    };

    /// Keeps the one part that it is given.
    #[derive(Debug, Default)]
    struct Keeps(Mutex<Option<Part>>);

    impl Recorder for Keeps {
        fn records(&self, _: &Entry) -> bool {
            true
        }

        fn ended(&self, part: Part) {
            assert!(self.0.lock().unwrap().replace(part).is_none(), "it ended twice");
        }
    }

    impl Keeps {
        fn begin(self: &Arc<Self>) -> (Context, RecordingEnd) {
            let recorder: Arc<dyn Recorder> = self.clone();
            let edge = Context::edge(&CallSettings::default());
            let entry = || Entry::Request { route: "GET /".into() };
            let (context, end) = Recording::begin(&recorder, edge, entry);
            (context, end.unwrap())
        }

        fn recorded(&self) -> Recorded {
            self.0.lock().unwrap().take().unwrap().recorded
        }
    }

    fn call_with_span(span: u64) {
        let record = CallRecord {
            callee: &CALLEE,
            span,
            parent: 0,
            side: Side::Module,
            began: 0,
            nanos: Some(1),
            outcome: Outcome::Answered,
        };
        call(Some(Moment::now()), record);
    }

    #[test]
    fn what_several_threads_do_for_a_request_is_one_recording() {
        let keeps = Arc::new(Keeps::default());
        let (context, end) = keeps.begin();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let context = context.clone();
                scope.spawn(move || {
                    context.enter(|| (0..100).for_each(|at| call_with_span(thread * 100 + at)))
                });
            }
        });
        end.end(Ended::Done);
        let mut spans: Vec<u64> = keeps.recorded().calls.iter().map(|call| call.span).collect();
        spans.sort_unstable();
        assert_eq!(spans, Vec::from_iter(0..400));
    }

    #[test]
    fn a_request_within_another_does_not_take_its_calls() {
        let (outer, inner) = (Arc::new(Keeps::default()), Arc::new(Keeps::default()));
        let ((around, outer_end), (within, inner_end)) = (outer.begin(), inner.begin());
        around.enter(|| {
            call_with_span(1);
            within.enter(|| call_with_span(2));
            call_with_span(3);
            // It ends within its own context.
            outer_end.end(Ended::Done);
        });
        inner_end.end(Ended::Done);
        let spans = |keeps: Arc<Keeps>| {
            keeps.recorded().calls.iter().map(|call| call.span).collect::<Vec<_>>()
        };
        assert_eq!((spans(outer), spans(inner)), (vec![1, 3], vec![2]));
        // Outside of every request, nothing is recorded.
        call_with_span(4);
        assert!(OF_THREAD.with_borrow(|of_thread| of_thread.calls.is_empty()));
    }

    #[test]
    fn calls_beyond_the_bound_are_counted_only() {
        let keeps = Arc::new(Keeps::default());
        let (context, end) = keeps.begin();
        context.enter(|| (0..MOST as u64 + 30).for_each(call_with_span));
        end.end(Ended::Done);
        let Recorded { calls, left_out, .. } = keeps.recorded();
        assert_eq!((calls.len(), left_out), (MOST, 30));
    }
}
