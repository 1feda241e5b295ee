//! A call, as its caller sees it.

use crate::{
    history::{Event, History, Outcome},
    model::LedgerError,
};
use monolift_call::{CallErrorKind, Context};
use std::time::Duration;
use tokio::time::Instant;

/// Makes a call within so much time, and notes when it was made and how it ended.
pub(crate) async fn observed(
    history: &History,
    operation: u64,
    idempotent: bool,
    within: Duration,
    call: impl Future<Output = Result<(), LedgerError>>,
) {
    history.note(Event::Asked { operation, idempotent, within });
    let deadline = Instant::now() + within;
    let answer = Context::until(deadline).scope(call).await;
    let late = Instant::now().saturating_duration_since(deadline);
    history.note(Event::Told { operation, outcome: outcome(answer), late });
}

fn outcome(answer: Result<(), LedgerError>) -> Outcome {
    let Err(LedgerError::Call(error)) = answer else { return Outcome::Done };
    let text = format!("{:?}: {error}", error.kind());
    match error.kind() {
        CallErrorKind::Unreachable | CallErrorKind::Overloaded | CallErrorKind::NotRunning => {
            Outcome::NotBegun(text)
        }
        // The same text for the same failure: a reference is chance.
        CallErrorKind::Internal => Outcome::Unknown("Internal".to_owned()),
        _ => Outcome::Unknown(text),
    }
}
