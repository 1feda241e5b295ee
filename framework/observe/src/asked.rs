//! What processes ask each other: which traces are there, what do you have of this one, how do you stand, what durable work
//! is there, how far are the listeners of events, and what was logged?
//!
//! The questions go the way that calls go. A process asks those that it calls, and they ask those that they call, so nothing
//! has to be able to reach every process. A process that observes the application asks all of them itself. The questions are
//! an interface like any other, owned by no module of the application.

use super::{
    admin::Description,
    events::{EventsAnswer, EventsQuestion, ModuleEvents},
    listed::{ListAnswer, ListOf, TraceFilter},
    log::{LevelsOf, LogAnswer, LogControl, LogFilter, WantedLevels},
    state::ProcessState,
    subject::{ModuleSubjects, SubjectAnswer, SubjectQuestion},
    trace::{TraceEntry, TracePart, hex_of_trace},
    traces::Traces,
    work::{ModuleWork, WorkAnswer, WorkQuestion},
};
use crate::{
    call::{CallError, CallSettings},
    carry::Carrier,
    link::{Interface, Link},
};
use futures_util::future::{BoxFuture, join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock, Weak},
};

/// Processes that have been asked before no further one is.
const MOST_ASKED: usize = 256;
/// The most parts of one trace that a process answers with.
const MOST_PARTS: usize = 256;

/// Those of the questions that change something.
pub const CHANGES: [&str; 4] = ["change_events", "change_levels", "change_subject", "change_work"];

/// What a process tells others of itself.
#[monolift_call::interface(module = "monolift")]
pub trait Observed {
    /// What this process, and those that it called, did for a trace. `asked` are processes that were asked before.
    #[deadline("2s")]
    async fn parts_of(&self, trace_id: String, asked: Vec<String>) -> Result<Parts, CallError>;

    /// How this process, and those that it calls, stand. `asked` are processes that were asked before.
    #[deadline("2s")]
    async fn processes(&self, asked: Vec<String>) -> Result<Vec<ProcessState>, CallError>;

    /// The durable work of modules of this process and of those that it calls. `asked` are processes that were asked
    /// before.
    #[deadline("5s")]
    async fn work(
        &self,
        question: WorkQuestion,
        asked: Vec<String>,
    ) -> Result<WorkAnswer, CallError>;

    /// Changes durable work of a module of this process. Only a process that observes the application may ask for it: to
    /// call a module is no right to discard its work.
    #[deadline("5s")]
    async fn change_work(&self, question: WorkQuestion) -> Result<WorkAnswer, CallError>;

    /// The events of modules of this process and of those that it calls, and their listeners. `asked` are processes that
    /// were asked before.
    #[deadline("5s")]
    async fn events(
        &self,
        question: EventsQuestion,
        asked: Vec<String>,
    ) -> Result<EventsAnswer, CallError>;

    /// Changes events of a module of this process. Only a process that observes the application may ask for it.
    #[deadline("5s")]
    async fn change_events(&self, question: EventsQuestion) -> Result<EventsAnswer, CallError>;

    /// Tells or erases what modules of this process keep of a subject. Only a process that observes the application may ask
    /// for it.
    #[deadline("5s")]
    async fn change_subject(&self, question: SubjectQuestion) -> Result<SubjectAnswer, CallError>;

    /// The latest lines of the logs of this process and of those that it calls. `asked` are processes that were asked
    /// before.
    #[deadline("5s")]
    async fn lines(&self, filter: LogFilter, asked: Vec<String>) -> Result<LogAnswer, CallError>;

    /// The traces that entered the application in this process, or in one that it calls. `asked` are processes that were
    /// asked before.
    #[deadline("2s")]
    async fn traces(
        &self,
        of: ListOf,
        filter: TraceFilter,
        asked: Vec<String>,
    ) -> Result<ListAnswer, CallError>;

    /// Changes what this process logs, for a process that observes the application. There is no answer from a program
    /// with a log of its own.
    #[deadline("2s")]
    async fn change_levels(&self, wanted: WantedLevels) -> Result<Option<LevelsOf>, CallError>;
}

/// An answer to the question.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Parts {
    /// In the order in which processes answered, this one first.
    pub parts: Vec<TracePart>,
    /// Processes that did not answer.
    pub missing: Vec<String>,
}

/// Another process that this one calls or observes.
pub trait Neighbour: Send + Sync + fmt::Debug + 'static {
    /// Its name in the manifest.
    fn process(&self) -> &str;

    /// Whether this module runs in it.
    fn runs(&self, module: &str) -> bool;

    /// Whether it is also asked for traces that this process has nothing of, or not the beginning of: this one observes the
    /// application.
    fn may_know(&self) -> bool;

    /// The ways to its replicas.
    fn replicas(&self) -> Vec<Arc<dyn Carrier>>;
}

/// What this process has, and the processes that it can ask.
pub(crate) struct Here {
    pub(crate) traces: Weak<Traces>,
    pub(crate) neighbours: OnceLock<Vec<Arc<dyn Neighbour>>>,
    pub(crate) state: OnceLock<Description>,
    pub(crate) work: OnceLock<Vec<Arc<dyn ModuleWork>>>,
    pub(crate) events: OnceLock<Vec<Arc<dyn ModuleEvents>>>,
    pub(crate) subjects: OnceLock<Vec<Arc<dyn ModuleSubjects>>>,
    pub(crate) log: OnceLock<LogControl>,
    pub(crate) settings: Arc<CallSettings>,
}

impl fmt::Debug for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here").field("neighbours", &self.neighbours).finish_non_exhaustive()
    }
}

/// Answers the questions for this process.
pub fn observed(traces: &Arc<Traces>) -> Arc<dyn Observed> {
    Arc::clone(traces.here()) as Arc<dyn Observed>
}

#[monolift_call::async_trait]
impl Observed for Here {
    async fn parts_of(&self, trace_id: String, asked: Vec<String>) -> Result<Parts, CallError> {
        let Ok(trace) = u128::from_str_radix(&trace_id, 16) else { return Ok(Parts::default()) };
        // Whoever asks has kept it, or looks at it.
        if let Some(traces) = self.traces.upgrade() {
            traces.is_kept(trace);
        }
        Ok(self.gather(trace, asked).await)
    }

    async fn processes(&self, asked: Vec<String>) -> Result<Vec<ProcessState>, CallError> {
        Ok(self.gather_states(asked).await)
    }

    async fn work(
        &self,
        question: WorkQuestion,
        asked: Vec<String>,
    ) -> Result<WorkAnswer, CallError> {
        // Whoever may ask may not change anything.
        let question = WorkQuestion { change: None, ..question };
        Ok(self.gather_work(question, asked).await)
    }

    async fn change_work(&self, question: WorkQuestion) -> Result<WorkAnswer, CallError> {
        Ok(self.own_work(&question).await)
    }

    async fn events(
        &self,
        question: EventsQuestion,
        asked: Vec<String>,
    ) -> Result<EventsAnswer, CallError> {
        let question = EventsQuestion { change: None, ..question };
        Ok(self.gather_events(question, asked).await)
    }

    async fn change_events(&self, question: EventsQuestion) -> Result<EventsAnswer, CallError> {
        Ok(self.own_events(&question).await)
    }

    async fn change_subject(&self, question: SubjectQuestion) -> Result<SubjectAnswer, CallError> {
        Ok(self.own_subject(&question).await)
    }

    async fn lines(&self, filter: LogFilter, asked: Vec<String>) -> Result<LogAnswer, CallError> {
        Ok(self.gather_lines(filter, asked).await)
    }

    async fn traces(
        &self,
        of: ListOf,
        filter: TraceFilter,
        asked: Vec<String>,
    ) -> Result<ListAnswer, CallError> {
        Ok(self.gather_list(of, filter, asked).await)
    }

    async fn change_levels(&self, wanted: WantedLevels) -> Result<Option<LevelsOf>, CallError> {
        Ok(self.set_levels(&wanted))
    }
}

/// Asks all replicas of other processes at once. Returns their answers, and the processes of which a replica did not answer.
pub(crate) async fn ask_each<A, F>(
    to_ask: Vec<(String, Vec<ObservedClient>)>,
    ask: impl Fn(ObservedClient) -> F,
) -> (Vec<A>, Vec<String>)
where
    F: Future<Output = Result<A, CallError>>,
{
    let each = to_ask.into_iter().map(|(process, replicas)| {
        let answers = join_all(replicas.into_iter().map(&ask));
        async move { (process, answers.await) }
    });
    let (mut answered, mut silent) = (Vec::new(), Vec::new());
    for (process, answers) in join_all(each).await {
        if answers.is_empty() || answers.iter().any(Result::is_err) {
            silent.push(process);
        }
        answered.extend(answers.into_iter().flatten());
    }
    (answered, silent)
}

impl Here {
    /// What this process has of a trace, and those that it called for it. If the trace did not begin here, also what other
    /// processes have.
    pub(crate) fn gather(&self, trace: u128, mut asked: Vec<String>) -> BoxFuture<'_, Parts> {
        let is_first = asked.is_empty();
        let own = self.traces.upgrade().map(|traces| {
            asked.push(traces.process().to_owned());
            traces.recent_parts(trace)
        });
        Box::pin(async move {
            let mut found = Parts { parts: own.unwrap_or_default(), missing: Vec::new() };
            let began_here =
                found.parts.iter().any(|part| !matches!(part.entry, TraceEntry::Call(_)));
            let was_called = |neighbour: &dyn Neighbour| {
                let calls = found.parts.iter().flat_map(|part| &part.calls);
                let mut remote = calls.filter(|call| call.remote);
                remote.any(|call| neighbour.runs(&call.module))
            };
            let to_ask = self.to_ask(&asked, |neighbour| {
                (is_first && !began_here && neighbour.may_know()) || was_called(neighbour)
            });
            // Each of them is asked here, and need not be asked by the others.
            asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
            let (answers, silent) = ask_each(to_ask, |client| {
                let (id, asked) = (hex_of_trace(trace), asked.clone());
                async move { client.parts_of(id, asked).await }
            })
            .await;
            found.missing.extend(silent);
            for answer in answers {
                found.parts.extend(answer.parts);
                found.missing.extend(answer.missing);
            }
            // Two processes may have called and asked the same third one.
            let mut known = BTreeSet::new();
            let id = |part: &TracePart| {
                (part.process.clone(), part.pid, part.span.clone(), part.began_us)
            };
            found.parts.retain(|part| known.insert(id(part)));
            found.parts.truncate(MOST_PARTS);
            found.missing.sort_unstable();
            found.missing.dedup();
            found
        })
    }

    /// How this process stands, and those that it calls. A process that several others call is there once.
    pub(crate) fn gather_states(&self, mut asked: Vec<String>) -> BoxFuture<'_, Vec<ProcessState>> {
        let own = self.state.get().map(|state| state());
        asked.extend(own.as_ref().map(|own| own.process.clone()));
        let to_ask = self.to_ask(&asked, |_| true);
        asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
        Box::pin(async move {
            let (answers, _) = ask_each(to_ask, |client| {
                let asked = asked.clone();
                async move { client.processes(asked).await }
            })
            .await;
            let mut states: Vec<ProcessState> = own.into_iter().collect();
            states.extend(answers.into_iter().flatten());
            states.sort_by(|a, b| (&a.process, a.pid).cmp(&(&b.process, b.pid)));
            states.dedup_by(|a, b| (&a.process, a.pid) == (&b.process, b.pid));
            states
        })
    }

    /// A client for each replica of those neighbours that were not asked before.
    pub(crate) fn to_ask(
        &self,
        asked: &[String],
        wanted: impl Fn(&dyn Neighbour) -> bool,
    ) -> Vec<(String, Vec<ObservedClient>)> {
        let neighbours = self.neighbours.get().map(Vec::as_slice).unwrap_or_default();
        let is_new = |neighbour: &&Arc<dyn Neighbour>| {
            asked.len() < MOST_ASKED && !asked.iter().any(|name| name == neighbour.process())
        };
        let client = |replica| {
            let link = Link::<dyn Observed>::unbound(Arc::clone(&self.settings));
            link.bind_carrier(replica);
            <dyn Observed as Interface>::client(link)
        };
        let to_ask =
            neighbours.iter().filter(is_new).filter(|neighbour| wanted(neighbour.as_ref()));
        to_ask
            .map(|neighbour| {
                let clients = neighbour.replicas().into_iter().map(client).collect();
                (neighbour.process().to_owned(), clients)
            })
            .collect()
    }
}
