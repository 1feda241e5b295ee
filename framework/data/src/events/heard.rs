//! A type of event that a module listens to, and one attempt at handling an event.

use super::{
    delivery::{Delivery, On, Stage, State},
    inbox::{Entry, Slip},
    offer::{Ending, Offer, Subscription},
};
use crate::{
    Db, ModuleDatabase,
    call::{Context, Trace, chain, held::Polled, panic_text},
    work::Retry,
};
use futures_util::{FutureExt, future::BoxFuture};
use monolift_call::Event;
use std::{error::Error, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Why an event was not handled.
pub type Failure = Box<dyn Error + Send + Sync>;
type Handling = BoxFuture<'static, Result<(), Failure>>;
/// Reads an event, and begins to handle it.
type Begin = dyn Fn(&Offer, Slip, Arc<State>) -> Result<Handling, String> + Send + Sync;

/// The pause before an event is offered again whose turn has not come.
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
        offer: &Offer,
        slip: Slip,
    ) -> Ending {
        if offer.skipped {
            let noted = self.note(db, &slip, false).await;
            return noted.unwrap_or_else(|error| self.failed(offer, error.to_string()));
        }
        let state = Arc::new(State::default());
        let error = self.attempt(offer, &slip, &state).await;
        match (error, state.get()) {
            (_, Stage::TooEarly) => not_yet(),
            (None, Stage::Done) => Ending::Handled,
            (None, Stage::Waiting) => {
                let noted = self.note(db, &slip, false).await;
                noted.unwrap_or_else(|error| self.failed(offer, error.to_string()))
            }
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

    /// In a context of its own, until the deadline, and with a panic as a failure. Returns the error.
    async fn attempt(&self, offer: &Offer, slip: &Slip, state: &Arc<State>) -> Option<String> {
        let mut context = Context::until(Instant::now() + self.deadline);
        if let Some(trace) = offer.trace.as_deref().and_then(Trace::parse) {
            context = context.with_trace(trace);
        }
        let handling = match (self.begin)(offer, slip.clone(), Arc::clone(state)) {
            Ok(handling) => handling,
            Err(error) => return Some(format!("it cannot be read: {error}")),
        };
        let mut polled = Polled::work(&slip.listener, &offer.name);
        let handling = polled.follow(AssertUnwindSafe(handling).catch_unwind());
        let ended = timeout(self.deadline, context.scope(handling)).await;
        match ended {
            Ok(Ok(Ok(()))) => polled.broken(),
            Ok(Ok(Err(error))) => Some(polled.broken().unwrap_or_else(|| chain(&*error))),
            Ok(Err(panic)) => Some(format!("it panicked: {}", panic_text(&*panic))),
            Err(_) => Some(format!("it took longer than {:?}", self.deadline)),
        }
    }

    /// Notes an event as handled, or as passed over, without an effect.
    async fn note<D: ModuleDatabase>(
        &self,
        db: &Db<D>,
        slip: &Slip,
        passed: bool,
    ) -> Result<Ending, sqlx::Error> {
        let mut tx = db.write().await?;
        let entry = if passed {
            slip.pass_over::<D>(db.backend(), &mut tx).await?
        } else {
            slip.enter::<D>(db.backend(), &mut tx).await?
        };
        tx.commit().await?;
        Ok(if entry == Entry::TooEarly { not_yet() } else { Ending::Handled })
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
        let passes = self.parked == Parked::KeyPasses && slip.has_key();
        if passes {
            match self.note(db, slip, true).await {
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

fn not_yet() -> Ending {
    Ending::Returned { pause_ms: NOT_YET.as_millis() as u64 }
}
