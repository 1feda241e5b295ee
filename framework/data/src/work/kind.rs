//! One kind of work, and one attempt at a piece of it.

use super::{Circuit, Cron, Perform, Piece, Retry};
use crate::{
    attempt::{Attempt, Doing, Failed},
    call::{CallSettings, Trace},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Reads a piece, and begins to do it.
type Begin = dyn Fn(&str) -> Result<Doing, serde_json::Error> + Send + Sync;

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

/// One attempt, in the trace of the call that enqueued the piece.
pub(super) async fn attempt_of(
    module: &str,
    kind: &WorkKind,
    claimed: &Claimed,
    calls: &CallSettings,
) -> Outcome {
    let attempt =
        Attempt { module, kind: kind.name, deadline: kind.deadline, trace: claimed.trace, calls };
    match attempt.make(|| (kind.perform)(&claimed.payload)).await {
        Ok(()) => Outcome::Done,
        Err(Failed { error, at }) => Outcome::Failed { error, at },
    }
}
