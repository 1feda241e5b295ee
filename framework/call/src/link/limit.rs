//! How many calls of one method run at once in this process: `#[limit(4)]`.
//!
//! Further calls wait until it is their turn ([`crate::call::turns`]) or their deadline has passed. When [`WAITING`]
//! times as many wait, the next ones are refused at once.

use crate::{
    call::{
        CallError, Context as CallContext, InterfaceError, Mean, RetryAdvice,
        clock::Moment,
        turns::{Place, Turns, Waiting},
    },
    carry::overloaded,
    interface::InterfaceDescriptor,
};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

/// Calls that wait, for each that may run.
const WAITING: usize = 32;
/// The least and the most that a refused caller is asked to stay away.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_secs(5);

/// The limits of an interface's methods, by their numbers. Empty where no method has one.
#[derive(Debug, Default, Clone)]
pub(super) struct Limits(Box<[Option<Arc<Limit>>]>);

impl Limits {
    pub(super) fn of(interface: &InterfaceDescriptor) -> Self {
        if interface.methods.iter().all(|method| method.limit.is_none()) {
            return Self::default();
        }
        let limits = interface.methods.iter().map(|method| method.limit.map(Limit::new));
        Self(limits.map(|limit| limit.map(Arc::new)).collect())
    }

    pub(super) fn get(&self, method: usize) -> Option<&Arc<Limit>> {
        self.0.get(method)?.as_ref()
    }
}

/// The limit of one method.
#[derive(Debug)]
pub(super) struct Limit {
    running: usize,
    turns: Arc<Turns>,
    took: Mean,
}

impl Limit {
    fn new(running: u32) -> Self {
        let running = usize::try_from(running).unwrap_or(usize::MAX).max(1);
        let turns = Turns::new(running, running.saturating_mul(WAITING));
        Self { running, turns, took: Mean::default() }
    }

    /// Lets the call that is about to run wait for its turn, or says why it is refused.
    pub(super) fn admit(&self) -> Result<Waiting, CallError> {
        let admitted = self.turns.wait(CallContext::current_origin());
        admitted.ok_or_else(|| self.full())
    }

    fn full(&self) -> CallError {
        // After this pause the calls that wait now have had their turn.
        let rounds = u32::try_from(1 + WAITING).unwrap_or(u32::MAX);
        let after = self.took.get().saturating_mul(rounds).clamp(SOONEST, LATEST);
        let why = format!(
            "at most {} calls of this method run at once, and {WAITING} times as many wait already",
            self.running
        );
        overloaded(&why).with_retry_advice(RetryAdvice::After(after))
    }
}

/// A call that was admitted where it arrived, until it is made: the link hands it on.
#[derive(Clone, Default)]
pub(super) struct Admitted(Option<Arc<Mutex<Option<Waiting>>>>);

impl Admitted {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self(Some(Arc::new(Mutex::new(Some(waiting)))))
    }

    fn take(&self) -> Option<Waiting> {
        self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A call of a method that has a limit. Its place is free again when this has ended or is dropped.
#[must_use = "a call does nothing unless it is awaited"]
pub struct Limited<'a, F> {
    limit: Option<&'a Arc<Limit>>,
    state: State,
    call: F,
}

enum State {
    New(Admitted),
    Waiting(Waiting),
    Running(Moment, Option<Place>),
}

impl<'a, F> Limited<'a, F> {
    pub(super) fn new(limit: Option<&'a Arc<Limit>>, admitted: Admitted, call: F) -> Self {
        Self { limit, state: State::New(admitted), call }
    }
}

impl<F> fmt::Debug for Limited<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::New(_) => "Limited(new)",
            State::Waiting(_) => "Limited(waiting)",
            State::Running(..) => "Limited(running)",
        })
    }
}

impl<F, T, E> Future for Limited<'_, F>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: InterfaceError,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(limit) = this.limit else { return Pin::new(&mut this.call).poll(cx) };
        loop {
            match &mut this.state {
                State::New(admitted) => {
                    let waiting = match admitted.take() {
                        Some(waiting) => waiting,
                        None => limit.admit().map_err(E::from)?,
                    };
                    this.state = State::Waiting(waiting);
                }
                State::Waiting(waiting) => {
                    let place = ready!(Pin::new(waiting).poll(cx));
                    this.state = State::Running(Moment::now(), Some(place));
                }
                State::Running(began, place) => {
                    let answer = ready!(Pin::new(&mut this.call).poll(cx));
                    limit.took.learn(Duration::from_nanos(began.nanos()));
                    place.take();
                    return Poll::Ready(answer);
                }
            }
        }
    }
}
