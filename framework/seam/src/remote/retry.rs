//! Which calls are retried, and when.
//!
//! | an attempt ended like this | retried |
//! |---|---|
//! | it was not sent | at once, any method |
//! | the other side refused it before it began | after a pause, any method, within the budget |
//! | the connection ended after it was sent | after a pause, idempotent methods, within the budget |
//! | the module answered, also with an internal error | never |
//! | the deadline passed, or the call cannot be made | never |
//!
//! An internal error is an answer: the module ran and failed. Inside a process it cannot be retried, since
//! the arguments have been moved into the call, and between processes a retry would multiply the load on a
//! dependency that fails. A module that knows better retries itself, or leaves it to durable work.

use super::connection::Unanswered;
use crate::{
    call::{Backoff, CallError, CallErrorKind, Callee, RetryAdvice, planted},
    wire::{Answer, Outcome},
};
use std::time::Duration;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The module answered, with a value or an error of its interface, or with an error of a module that it
    /// called.
    Answered,
    /// The call was never sent.
    NotSent,
    /// The other side refused the call before it began.
    Refused(Option<RetryAdvice>),
    /// The connection ended after the call was sent: the module may have done its work.
    Lost,
    /// The module ended with an internal error. `anywhere`: another replica would fail as well, because the
    /// call itself is at fault.
    Broken { anywhere: bool },
    /// The caller's deadline passed.
    Overdue,
    /// The answer was not kept, for want of room in this process: the module may have done its work.
    Unread,
    /// The call itself cannot be made: too long, or of an unknown method.
    Impossible,
}

impl Verdict {
    /// The verdict on an attempt at a call of `callee`.
    pub(super) fn of(attempt: &Result<Answer, Unanswered>, callee: &Callee) -> Self {
        let answer = match attempt {
            Ok(answer) => answer,
            Err(Unanswered::NotSent) => return Self::NotSent,
            Err(Unanswered::Lost) => return Self::Lost,
            Err(Unanswered::Overdue) => return Self::Overdue,
            Err(Unanswered::NoRoom) => return Self::Unread,
            Err(Unanswered::Impossible(_)) => return Self::Impossible,
        };
        match (answer.outcome, answer.call_error()) {
            (Outcome::Refused, error) => {
                Self::Refused(error.and_then(|error| error.retry_advice()))
            }
            (Outcome::CallError, Some(_)) if planted!("retries-multiply") => Self::Lost,
            (Outcome::CallError, Some(error)) if is_its_own_failure(&error, callee) => {
                Self::Broken { anywhere: error.retry_advice() == Some(RetryAdvice::Never) }
            }
            _ => Self::Answered,
        }
    }

    /// Whether the replica did well; `None` if the verdict says nothing about it.
    pub(super) fn is_well(self) -> Option<bool> {
        match self {
            Self::Answered => Some(true),
            Self::Broken { anywhere: false } | Self::Lost | Self::Overdue => Some(false),
            Self::Broken { anywhere: true }
            | Self::NotSent
            | Self::Refused(_)
            | Self::Unread
            | Self::Impossible => None,
        }
    }

    /// How the call may be retried, if it may.
    pub(super) fn again(self, idempotent: bool) -> Option<Again> {
        match self {
            Self::NotSent => Some(Again::Freely),
            Self::Refused(Some(RetryAdvice::Never)) => None,
            Self::Refused(advice) => Some(Again::WithinBudget(after(advice))),
            Self::Lost if idempotent || planted!("retries-any-method") => {
                Some(Again::WithinBudget(Duration::ZERO))
            }
            Self::Lost
            | Self::Broken { .. }
            | Self::Answered
            | Self::Overdue
            | Self::Unread
            | Self::Impossible => None,
        }
    }

    /// Whether the module may have done its work.
    pub(super) fn may_be_done(self) -> bool {
        matches!(self, Self::Lost | Self::Broken { .. } | Self::Overdue | Self::Unread)
    }
}

/// How a call may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// At once, since it was never sent.
    Freely,
    /// If the retry budget allows it, after this pause at least.
    WithinBudget(Duration),
}

fn after(advice: Option<RetryAdvice>) -> Duration {
    match advice {
        Some(RetryAdvice::After(pause)) => pause,
        _ => Duration::ZERO,
    }
}

/// Whether the called module failed itself, rather than a module that it called.
fn is_its_own_failure(error: &CallError, callee: &Callee) -> bool {
    error.kind() == CallErrorKind::Internal
        && error.call().split_once('.') == Some((callee.module, callee.method))
}

/// The pause before the next attempt, on top of the pause that the other side asked for.
pub(super) fn pause(pauses: Backoff, attempts: u32, least: Duration) -> Duration {
    least.saturating_add(pauses.pause(attempts.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        remote::Thresholds,
        wire::{encode_error, refuse},
    };

    static CALLEE: Callee = Callee {
        module: "stock",
        interface: "Stock",
        method: "level",
        deadline: None,
        rule: None,
        meter: crate::call::Meter::new(),
    };

    #[test]
    fn a_pause_that_was_asked_for_is_kept() {
        let pauses = Thresholds::default().retry_pauses;
        assert!(pause(pauses, 1, Duration::from_secs(3)) >= Duration::from_secs(3));
        assert!(pause(pauses, 1, Duration::ZERO) <= Duration::from_millis(10));
    }

    #[test]
    fn only_what_did_no_work_or_may_do_it_twice_is_made_again() {
        let of = |attempt| Verdict::of(&attempt, &CALLEE);
        let internal = |call: &str| {
            CallError::new(CallErrorKind::Internal, "internal error").during(call.to_owned())
        };
        let overloaded = CallError::new(CallErrorKind::Overloaded, "full");
        let later =
            overloaded.clone().with_retry_advice(RetryAdvice::After(Duration::from_millis(7)));
        let never = overloaded.clone().with_retry_advice(RetryAdvice::Never);
        let now = Some(Again::WithinBudget(Duration::ZERO));
        for (attempt, other, idempotent) in [
            (Err(Unanswered::NotSent), Some(Again::Freely), Some(Again::Freely)),
            (Err(Unanswered::Lost), None, now),
            (Err(Unanswered::Overdue), None, None),
            (Ok(encode_error(&internal("stock.level"))), None, None),
            (Ok(encode_error(&internal("payments.charge"))), None, None),
            // Sent by the module itself: it may have done its work.
            (Ok(encode_error(&overloaded)), None, None),
            (Ok(refuse(&overloaded)), now, now),
            (
                Ok(refuse(&later)),
                Some(Again::WithinBudget(Duration::from_millis(7))),
                Some(Again::WithinBudget(Duration::from_millis(7))),
            ),
            (Ok(refuse(&never)), None, None),
        ] {
            let text = format!("{attempt:?}");
            let verdict = of(attempt);
            assert_eq!(verdict.again(false), other, "{text}");
            assert_eq!(verdict.again(true), idempotent, "{text}");
        }
    }

    #[test]
    fn what_would_fail_anywhere_says_nothing_of_the_replica() {
        let failed = CallError::new(CallErrorKind::Internal, "x").during("stock.level".to_owned());
        let of = |error: &CallError| Verdict::of(&Ok(encode_error(error)), &CALLEE).is_well();
        assert_eq!(of(&failed), Some(false));
        assert_eq!(of(&failed.with_retry_advice(RetryAdvice::Never)), None);
    }
}
