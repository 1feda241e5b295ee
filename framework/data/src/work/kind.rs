//! One kind of work, and one attempt at a piece of it.

use super::{Circuit, Cron, Perform, Piece, Retry};
use crate::call::{
    CallSettings, Context, Principal, Trace, chain,
    held::Polled,
    panic_text,
    record::{Ended, Entry, Recording},
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{error::Error, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

type Failure = Box<dyn Error + Send + Sync>;
/// Reads a piece, and begins to do it.
type Begin = dyn Fn(&str) -> Result<Performing, serde_json::Error> + Send + Sync;
type Performing = BoxFuture<'static, Result<(), Failure>>;

/// A kind of work, and the module that does it.
pub struct WorkKind {
    pub(super) name: &'static str,
    pub(super) retry: Retry,
    pub(super) circuit: Circuit,
    deadline: Duration,
    pub(super) recurring: Option<Recurs>,
    perform: Box<Begin>,
}

/// When a kind of work recurs, and what is done then.
pub(super) struct Recurs {
    pub(super) schedule: &'static str,
    pub(super) payload: String,
}

impl fmt::Debug for WorkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkKind({})", self.name)
    }
}

impl WorkKind {
    /// Pieces of type `P`, done by `module`.
    pub fn of<P: Piece, M: Perform<P>>(module: &Arc<M>) -> Self {
        let module = Arc::clone(module);
        let recurring = P::recurring().map(|recurring| Recurs {
            schedule: recurring.schedule,
            payload: serde_json::to_string(&recurring.piece).unwrap_or_default(),
        });
        Self {
            name: P::NAME,
            retry: P::RETRY,
            circuit: P::CIRCUIT,
            deadline: P::DEADLINE,
            recurring,
            perform: Box::new(move |payload| {
                let piece: P = serde_json::from_str(payload)?;
                let module = Arc::clone(&module);
                Ok(Box::pin(async move { module.perform(piece).await }))
            }),
        }
    }

    pub(super) fn cron(&self) -> Option<Cron> {
        self.recurring.as_ref()?.schedule.parse().ok()
    }
}

/// A piece that was claimed.
pub(super) struct Claimed {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) payload: String,
    pub(super) trace: Option<Trace>,
    pub(super) attempt: u32,
    /// From just before it was claimed: the lease is never shorter than we think.
    pub(super) since: Instant,
    /// Whether it is the single piece by which a kind that is held back is tried.
    pub(super) trial: bool,
    /// The claim, as the table has it.
    pub(super) holder: String,
}

/// How an attempt ended.
pub(super) enum Outcome {
    Done,
    Failed {
        error: String,
        /// The module whose call failed, when it was for that.
        at: Option<&'static str>,
    },
    /// Another worker may have the piece by now.
    Lost,
    /// The process stops.
    Cut,
}

/// One attempt: in a context of its own, until its deadline, and with a panic as a failure. It is recorded as an entry
/// of its own, in the trace of the call that enqueued the piece.
pub(super) async fn attempt_of(
    module: &str,
    kind: &WorkKind,
    claimed: &Claimed,
    calls: &CallSettings,
) -> Outcome {
    let context =
        Context::until(Instant::now() + kind.deadline).with_principal(Principal::service(module));
    let context = match claimed.trace {
        Some(trace) => context.with_trace(trace),
        None => context.beginning(calls.sampling.start()),
    };
    let entry = || Entry::Work { module: module.to_owned(), kind: kind.name.to_owned() };
    let (context, recording) = match &calls.recorder {
        Some(recorder) => Recording::begin(recorder, context, entry),
        None => (context, None),
    };
    let outcome = attempt_in(context, module, kind, claimed).await;
    if let Some(recording) = recording {
        recording.end(match &outcome {
            Outcome::Done => Ended::Done,
            Outcome::Failed { .. } => Ended::Failed,
            Outcome::Lost | Outcome::Cut => Ended::Dropped,
        });
    }
    outcome
}

async fn attempt_in(context: Context, module: &str, kind: &WorkKind, claimed: &Claimed) -> Outcome {
    let performing = match (kind.perform)(&claimed.payload) {
        Ok(performing) => performing,
        Err(error) => {
            return Outcome::Failed { error: format!("it cannot be read: {error}"), at: None };
        }
    };
    let span = context.recording().map_or(0, |recording| recording.root());
    let mut polled = Polled::work(module, kind.name);
    polled.record_as(span);
    let performing = polled.follow(AssertUnwindSafe(performing).catch_unwind());
    let ended = timeout(kind.deadline, context.scope(performing)).await;
    let error = match ended {
        Ok(Ok(Ok(()))) => polled.broken(),
        Ok(Ok(Err(error))) => Some(polled.broken().unwrap_or_else(|| chain(&*error))),
        Ok(Err(panic)) => Some(format!("it panicked: {}", panic_text(&*panic))),
        Err(_) => Some(format!("it took longer than {:?}", kind.deadline)),
    };
    match error {
        None => Outcome::Done,
        Some(error) => Outcome::Failed { error, at: polled.failed_call() },
    }
}
