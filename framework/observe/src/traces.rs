//! What this process has recorded: recent parts of all requests, and the whole traces of those that are kept.
//!
//! Both are bounded in bytes, and the oldest go first. A request that enters the application here is judged when it ends. If
//! it is kept, the processes that it called are asked for their parts, a moment later, while they still have them.

use super::{
    admin::Description,
    asked::{Here, Neighbour},
    bounded::Bounded,
    events::{EventsAnswer, EventsQuestion, ModuleEvents},
    export::{Export, of_entry},
    keep::{Allowance, KeepSettings, Routes},
    listed::{ListAnswer, ListOf, TraceFilter},
    log::{LevelsAnswer, LogAnswer, LogControl, LogFilter, WantedLevels, WrongLevels},
    metrics::{Exemplars, Kind, Page},
    state::ProcessState,
    subject::{ModuleSubjects, SubjectAnswer, SubjectQuestion},
    trace::{Trace, TracePart, hex_of_trace},
    work::{ModuleWork, WorkAnswer, WorkQuestion},
};
use crate::call::{
    CallSettings,
    record::{CallRecord, Ended, Entry, Outcome, Part, Recorder, StatementRecord},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How long after its end a trace is gathered: the work of a call whose caller gave up ends a moment later.
const SETTLE: Duration = Duration::from_millis(100);
/// Kept traces that wait to be gathered. Beyond that they are kept with this process's part alone.
const WAITING: usize = 1_024;
/// Traces that are gathered at once.
const AT_ONCE: usize = 64;

/// Why a trace was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeptBecause {
    /// Its request failed.
    Failed,
    /// It was slower than its route usually is, or than the stated limit.
    Slow,
    /// The edge sampled it.
    Sampled,
}

/// A trace that is kept.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// Why it was kept.
    pub because: KeptBecause,
    /// What is known of it.
    #[serde(flatten)]
    pub trace: Trace,
}

/// A trace that is going to be kept, and from when on it is gathered.
type ToGather = (Instant, KeptBecause, Part);

/// The recorder of a process.
#[derive(Debug)]
pub struct Traces {
    process: String,
    settings: KeepSettings,
    here: OnceLock<Arc<Here>>,
    /// In place: they are many, and most of them are never looked at.
    recent: Mutex<Bounded<Part>>,
    judge: Mutex<Judge>,
    kept: Mutex<Bounded<Arc<Kept>>>,
    gather: mpsc::Sender<ToGather>,
    queue: Mutex<Option<mpsc::Receiver<ToGather>>>,
    news: broadcast::Sender<Arc<Kept>>,
    /// Requests that were to be kept and were not, because there were too many.
    passed_over: AtomicU64,
    /// Calls of kept traces, for the metrics.
    exemplars: Exemplars,
    /// Where kept traces go, if they leave the process.
    exporter: OnceLock<Arc<dyn Export>>,
    /// Kept traces that wait to be gathered.
    pending: watch::Sender<usize>,
    /// The kind of database that each module here has.
    systems: OnceLock<BTreeMap<String, &'static str>>,
}

#[derive(Debug)]
struct Judge {
    routes: Routes,
    slow: Allowance,
    failed: Allowance,
}

impl Traces {
    /// Records nothing yet. `calls` is what the questions between processes are held to.
    pub fn new(process: &str, settings: KeepSettings, calls: Arc<CallSettings>) -> Arc<Self> {
        let now = Instant::now();
        let (gather, queue) = mpsc::channel(WAITING);
        let traces = Arc::new(Self {
            process: process.to_owned(),
            settings,
            here: OnceLock::new(),
            recent: Mutex::new(Bounded::new(settings.memory)),
            judge: Mutex::new(Judge {
                routes: Routes::default(),
                slow: Allowance::of_slow(now),
                failed: Allowance::of_failed(now),
            }),
            kept: Mutex::new(Bounded::new(settings.memory)),
            gather,
            queue: Mutex::new(Some(queue)),
            news: broadcast::Sender::new(64),
            passed_over: AtomicU64::new(0),
            exemplars: Exemplars::default(),
            exporter: OnceLock::new(),
            pending: watch::Sender::new(0),
            systems: OnceLock::new(),
        });
        let here = Here {
            traces: Arc::downgrade(&traces),
            neighbours: OnceLock::new(),
            state: OnceLock::new(),
            work: OnceLock::new(),
            events: OnceLock::new(),
            subjects: OnceLock::new(),
            log: OnceLock::new(),
            settings: calls,
        };
        let _ = traces.here.set(Arc::new(here));
        traces
    }

    /// The processes that can be asked.
    pub fn ask(&self, neighbours: Vec<Arc<dyn Neighbour>>) {
        let _ = self.here().neighbours.set(neighbours);
    }

    /// How this process stands, for those that ask.
    pub fn tell(&self, state: Description) {
        let _ = self.here().state.set(state);
    }

    /// Calls of kept traces, for the metrics.
    pub fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    /// Notes that a trace is kept elsewhere, which had its parts here.
    pub(crate) fn is_kept(&self, trace_id: u128) {
        let recent = lock(&self.recent);
        let parts = recent.latest_first().filter(|part| part.trace_id == trace_id);
        let parts: Vec<Part> = parts.cloned().collect();
        drop(recent);
        parts.iter().for_each(|part| self.exemplars.learn(part));
    }

    /// Has traces that are kept from now on leave the process.
    pub fn export_to(&self, exporter: Arc<dyn Export>) {
        let _ = self.exporter.set(exporter);
    }

    /// The kind of database that each module here has, for statements.
    pub fn tell_systems(&self, systems: BTreeMap<String, &'static str>) {
        let _ = self.systems.set(systems);
    }

    /// Waits until no kept trace waits to be gathered.
    pub async fn gathered(&self) {
        let mut pending = self.pending.subscribe();
        // The sender is `self`, which outlives the wait.
        let _ = pending.wait_for(|pending| *pending == 0).await;
    }

    /// The durable work and the events of the modules of this process, and what they keep of subjects.
    pub fn attend(
        &self,
        work: Vec<Arc<dyn ModuleWork>>,
        events: Vec<Arc<dyn ModuleEvents>>,
        subjects: Vec<Arc<dyn ModuleSubjects>>,
    ) {
        let _ = self.here().work.set(work);
        let _ = self.here().events.set(events);
        let _ = self.here().subjects.set(subjects);
    }

    /// The events of all modules that this process can ask, and their listeners.
    pub async fn events(&self, question: EventsQuestion) -> EventsAnswer {
        self.here().gather_events(question, Vec::new()).await
    }

    /// What all modules of these processes keep of a subject, or how much of it was erased.
    pub(crate) async fn subject(
        &self,
        question: SubjectQuestion,
        processes: Vec<String>,
    ) -> SubjectAnswer {
        self.here().gather_subject(question, processes).await
    }

    /// The durable work of all modules that this process can ask.
    pub async fn work(&self, question: WorkQuestion) -> WorkAnswer {
        self.here().gather_work(question, Vec::new()).await
    }

    /// The log of this process: its latest lines, and its levels.
    pub fn tell_log(&self, log: LogControl) {
        let _ = self.here().log.set(log);
    }

    /// The log of this process; `None` where the program has one of its own.
    pub(crate) fn log(&self) -> Option<&LogControl> {
        self.here().log.get()
    }

    /// Changes what this process logs, and all others that it observes.
    pub async fn set_levels(&self, wanted: WantedLevels) -> Result<LevelsAnswer, WrongLevels> {
        self.here().set_levels_everywhere(wanted).await
    }

    /// The traces that entered the application in the processes that this one can ask, itself among them.
    pub async fn list(&self, of: ListOf, filter: TraceFilter) -> ListAnswer {
        self.here().gather_list(of, filter, Vec::new()).await
    }

    /// The latest lines of the logs of all processes that this one can ask.
    pub async fn lines(&self, filter: LogFilter) -> LogAnswer {
        self.here().gather_lines(filter, Vec::new()).await
    }

    /// How all processes stand that this one can ask, itself among them.
    pub async fn processes(&self) -> Vec<ProcessState> {
        self.here().gather_states(Vec::new()).await
    }

    /// Gathers the parts of kept traces, until it is dropped.
    pub async fn gather_kept(self: Arc<Self>) {
        let Some(mut queue) = lock(&self.queue).take() else { return };
        let mut gathering = JoinSet::new();
        while let Some((at, because, part)) = queue.recv().await {
            // A process that does not answer takes as long as the question may.
            while gathering.len() >= AT_ONCE {
                gathering.join_next().await;
            }
            let traces = Arc::clone(&self);
            gathering.spawn(async move {
                sleep_until(at).await;
                let found = traces.here().gather(part.trace_id, Vec::new()).await;
                traces.keep(because, part, found.parts, found.missing);
                traces.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
            });
        }
    }

    /// The process that this is.
    pub(crate) fn process(&self) -> &str {
        &self.process
    }

    pub(crate) fn here(&self) -> &Arc<Here> {
        self.here.get().expect("it is set where this is made")
    }

    /// What is known of new kept traces, as they come.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Kept>> {
        self.news.subscribe()
    }

    /// The kept traces, the latest first.
    pub fn kept(&self) -> Vec<Arc<Kept>> {
        lock(&self.kept).latest_first().cloned().collect()
    }

    /// The latest requests that entered the application here, kept or not, the latest first.
    pub fn recent(&self, most: usize) -> Vec<TracePart> {
        let recent: Vec<Part> = {
            let recent = lock(&self.recent);
            let entered = |part: &&Part| !matches!(part.entry, Entry::Call { .. });
            recent.latest_first().filter(entered).take(most).cloned().collect()
        };
        recent.iter().map(|part| self.shown(part)).collect()
    }

    /// A part of this process, as it is shown.
    fn shown(&self, part: &Part) -> TracePart {
        let shown = TracePart::of(part, &self.process);
        match self.systems.get() {
            Some(systems) => shown.with_systems(systems),
            None => shown,
        }
    }

    /// A trace by its id: a kept one, or what this and other processes still have.
    pub async fn find(&self, trace_id: u128) -> Option<Trace> {
        let id = hex_of_trace(trace_id);
        if let Some(kept) = lock(&self.kept).latest_first().find(|kept| kept.trace.trace_id == id) {
            return Some(kept.trace.clone());
        }
        let found = self.here().gather(trace_id, Vec::new()).await;
        let known = !found.parts.is_empty();
        known.then_some(Trace { trace_id: id, parts: found.parts, missing: found.missing })
    }

    /// The parts of a trace that this process still has.
    pub(crate) fn recent_parts(&self, trace_id: u128) -> Vec<TracePart> {
        let of_trace: Vec<Part> = {
            let recent = lock(&self.recent);
            let parts = recent.latest_first().filter(|part| part.trace_id == trace_id);
            parts.cloned().collect()
        };
        of_trace.iter().rev().map(|part| self.shown(part)).collect()
    }

    /// Requests that were to be kept and were not, because there were too many.
    pub fn passed_over(&self) -> u64 {
        self.passed_over.load(Relaxed)
    }

    /// The bytes of recent parts and of kept traces.
    pub fn memory(&self) -> (usize, usize) {
        (lock(&self.recent).bytes(), lock(&self.kept).bytes())
    }

    /// Adds how much is recorded to a page of metrics.
    pub(crate) fn show(&self, page: &mut Page) {
        let (recent, kept) = self.memory();
        page.family(
            "monolift_recorded_bytes",
            Kind::Gauge,
            "Recorded requests, by whether they are kept.",
        )
        .sample(&[("kept", "no")], recent)
        .sample(&[("kept", "yes")], kept);
        let help = "Requests that were to be kept and were not, because there were too many.";
        page.family("monolift_traces_passed_over_total", Kind::Counter, help)
            .sample(&[], self.passed_over());
        if let Some(exporter) = self.exporter.get() {
            exporter.figures().show(page);
        }
    }

    fn judge(&self, part: &Part) -> Option<KeptBecause> {
        let route = match &part.entry {
            Entry::Request { route } => Cow::Borrowed(&**route),
            Entry::Work { module, kind } => Cow::Owned(format!("{module}.{kind}")),
            // The process that called decides.
            Entry::Call { .. } => return None,
        };
        let mut judge = lock(&self.judge);
        let Judge { routes, slow, failed } = &mut *judge;
        let is_slow = match self.settings.slow {
            Some(limit) => part.nanos > u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX),
            None => routes.learn(&route, part.nanos),
        };
        let (because, allowed) = if has_failed(part) {
            (KeptBecause::Failed, failed.take(Instant::now()))
        } else if is_slow {
            (KeptBecause::Slow, slow.take(Instant::now()))
        } else if part.sampled {
            (KeptBecause::Sampled, true)
        } else {
            return None;
        };
        if !allowed {
            self.passed_over.fetch_add(1, Relaxed);
        }
        allowed.then_some(because)
    }

    fn keep(
        &self,
        because: KeptBecause,
        part: Part,
        mut parts: Vec<TracePart>,
        missing: Vec<String>,
    ) {
        self.exemplars.learn(&part);
        let own = self.shown(&part);
        if let Some(exporter) = self.exporter.get() {
            let others = parts.iter().filter(|part| part.span != own.span).cloned().collect();
            let (parts, missing) = (of_entry(own.clone(), others), missing.clone());
            let trace = Trace { trace_id: hex_of_trace(part.trace_id), parts, missing };
            exporter.export(&Arc::new(Kept { because, trace }));
        }
        // It may be gone from the recent ones by now.
        if !parts.iter().any(|part| part.span == own.span && part.process == own.process) {
            parts.insert(0, own);
        }
        let trace = Trace { trace_id: hex_of_trace(part.trace_id), parts, missing };
        let kept = Arc::new(Kept { because, trace });
        let bytes = kept.trace.bytes();
        lock(&self.kept).push(Arc::clone(&kept), bytes);
        // Without a subscriber there is no one to tell.
        let _ = self.news.send(kept);
    }
}

impl Recorder for Traces {
    fn records(&self, _: &Entry) -> bool {
        self.settings.record
    }

    fn ended(&self, part: Part) {
        let because = self.judge(&part);
        let to_gather = because.map(|because| (Instant::now() + SETTLE, because, part.clone()));
        let bytes = size_of::<Part>()
            + part.recorded.calls.len() * size_of::<CallRecord>()
            + part.recorded.statements.len() * (size_of::<StatementRecord>() + 64);
        lock(&self.recent).push(part, bytes);
        let Some(to_gather) = to_gather else { return };
        self.pending.send_modify(|pending| *pending += 1);
        if let Err(full) = self.gather.try_send(to_gather) {
            self.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
            let (_, because, part) = full.into_inner();
            self.keep(because, part, Vec::new(), vec!["(too many traces at once)".to_owned()]);
        }
    }
}

/// Whether a request failed: not that it was answered with a mistake of the client's.
fn has_failed(part: &Part) -> bool {
    match part.ended {
        Ended::Status(status) => status >= 500,
        Ended::Dropped => false,
        Ended::Failed => true,
        Ended::Done => {
            let own = part.recorded.calls.iter().filter(|call| call.parent == part.root);
            own.into_iter().any(|call| matches!(call.outcome, Outcome::Failed(_)))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
