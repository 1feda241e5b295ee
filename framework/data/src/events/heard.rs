//! A type of event that a module listens to, and one attempt at handling an event.

use super::{
    batch::{Batches, Habit},
    delivery::{Delivery, On, Stage, State},
    inbox::{Entry, Slip},
    offer::{Ending, Offer, Subscription},
};
use crate::{
    Db, ModuleDatabase,
    attempt::{Attempt, Doing},
    call::{CallSettings, Trace},
    work::Retry,
};
use monolift_call::Event;
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// Why an event was not handled.
pub type Failure = Box<dyn Error + Send + Sync>;
/// Reads an event, and begins to handle it.
type Begin = dyn Fn(&Offer, Slip, Arc<State>) -> Result<Doing, String> + Send + Sync;

/// The pause before an event is offered again that came before an earlier one of its key was handled.
pub(super) const NOT_YET: Duration = Duration::from_millis(20);

/// Where a listener begins that is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first event that is kept.
    First,
    /// With the events that are published from now on.
    Now,
}

/// What becomes of later events of a key while one is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parked {
    /// They wait until it was handled or discarded.
    KeyWaits,
    /// They are handled, and the parked one later, out of order.
    KeyPasses,
}

/// A type of event, and the module that listens to it.
pub struct Heard {
    pub(super) publisher: &'static str,
    pub(super) subscription: Subscription,
    retry: Retry,
    parked: Parked,
    deadline: Duration,
    habit: Arc<Habit>,
    begin: Box<Begin>,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Heard({}.{})", self.publisher, self.subscription.name)
    }
}

impl Heard {
    /// Events of type `E`, handled by `module`.
    pub fn of<E: Event, M: On<E>>(module: &Arc<M>) -> Self {
        let module = Arc::clone(module);
        let subscription = Subscription {
            name: E::NAME.to_owned(),
            version: E::VERSION,
            from_first: M::START == Start::First,
        };
        Self {
            publisher: E::MODULE,
            subscription,
            retry: M::RETRY,
            parked: M::PARKED,
            deadline: M::DEADLINE,
            habit: Arc::default(),
            begin: Box::new(move |offer, slip, state| {
                let event: E = monolift_call::event::read(offer.version, &offer.payload)?;
                let delivery = Delivery::new(event, slip, state, offer.attempts);
                let module = Arc::clone(&module);
                Ok(Box::pin(async move { module.on(delivery).await }))
            }),
        }
    }

    /// Handles an event once, and says how it went.
    pub(super) async fn handle<D: ModuleDatabase>(
        &self,
        db: &Db<D>,
        calls: &CallSettings,
        offer: &Offer,
        slip: Slip,
        batches: &Arc<Batches<D>>,
    ) -> Ending {
        let state = Arc::new(State::new(Arc::clone(batches), Arc::clone(&self.habit)));
        if offer.skipped {
            return self.note(db, offer, &slip, &state).await;
        }
        let error = self.attempt(calls, offer, &slip, &state).await;
        match (error, state.get()) {
            (_, Stage::TooEarly) => not_yet(),
            (_, Stage::Broken) => Ending::Returned { pause_ms: 0 },
            (None, Stage::Done) => Ending::Handled,
            (None, Stage::Waiting) => self.note(db, offer, &slip, &state).await,
            (None, Stage::Begun) => {
                let error = "its transaction was not committed: end with `tx.commit().await?`";
                self.fail(db, offer, &slip, error.to_owned()).await
            }
            (Some(error), Stage::Done) => {
                let (module, event) = (&*slip.listener, &offer.name);
                tracing::warn!(
                    module,
                    event,
                    error,
                    "an event was handled, then its handler failed"
                );
                Ending::Handled
            }
            (Some(error), Stage::Waiting | Stage::Begun) => {
                self.fail(db, offer, &slip, error).await
            }
        }
    }

    /// One attempt, in the trace of the call that published the event. Returns the error.
    async fn attempt(
        &self,
        calls: &CallSettings,
        offer: &Offer,
        slip: &Slip,
        state: &Arc<State>,
    ) -> Option<String> {
        let attempt = Attempt {
            module: &slip.module,
            kind: &offer.name,
            deadline: self.deadline,
            trace: offer.trace.as_deref().and_then(Trace::parse),
            calls,
        };
        let made = attempt.make(|| (self.begin)(offer, slip.clone(), Arc::clone(state))).await;
        made.err().map(|failed| failed.error)
    }

    /// Notes an event as handled, without an effect.
    async fn note<D: ModuleDatabase>(
        &self,
        db: &Db<D>,
        offer: &Offer,
        slip: &Slip,
        state: &Arc<State>,
    ) -> Ending {
        let noted = match state.enter(db, slip, offer.attempts).await {
            Ok(Some(tx)) => tx.commit().await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match (noted, state.get()) {
            (_, Stage::TooEarly) => not_yet(),
            (_, Stage::Broken) => Ending::Returned { pause_ms: 0 },
            (Ok(()), _) => Ending::Handled,
            (Err(error), _) => self.failed(offer, error.to_string()),
        }
    }

    async fn fail<D: ModuleDatabase>(
        &self,
        db: &Db<D>,
        offer: &Offer,
        slip: &Slip,
        error: String,
    ) -> Ending {
        let (module, event, attempt) = (&*slip.listener, &offer.name, offer.attempts);
        if attempt < self.retry.attempts {
            tracing::warn!(module, event, attempt, error, "an event was not handled");
            return self.failed(offer, error);
        }
        let passes = self.parked == Parked::KeyPasses && offer.key.is_some();
        if passes && slip.has_key() {
            match pass_over(db, slip).await {
                Ok(Ending::Handled) => {}
                Ok(other) => return other,
                Err(_) => return self.failed(offer, error),
            }
        }
        tracing::error!(module, event, attempt, error, id = offer.event, "an event is parked");
        Ending::Parked { error, passed: passes }
    }

    fn failed(&self, offer: &Offer, error: String) -> Ending {
        let pause = self.retry.pause(offer.attempts);
        Ending::Again { error, pause_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// Notes an event as passed over, so that those after it of its key are handled.
async fn pass_over<D: ModuleDatabase>(db: &Db<D>, slip: &Slip) -> Result<Ending, sqlx::Error> {
    let mut tx = db.write().await?;
    let entry = slip.pass_over::<D>(db.backend(), &mut tx).await?;
    tx.commit().await?;
    Ok(if entry == Entry::TooEarly { not_yet() } else { Ending::Handled })
}

fn not_yet() -> Ending {
    Ending::Returned { pause_ms: NOT_YET.as_millis() as u64 }
}
