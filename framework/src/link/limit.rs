//! How many calls of one method run at once in this process: `#[limit(4)]`.
//!
//! Further calls wait in the order in which they came, until a place is free or their deadline has passed. When
//! [`WAITING`] times as many wait, the next ones are refused at once.

use crate::{
    call::{CallError, InterfaceError, RetryAdvice, clock::Moment},
    interface::InterfaceDescriptor,
    wire::overloaded,
};
use futures_util::future::BoxFuture;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// Calls that wait, for each that may run.
const WAITING: usize = 32;
/// Each call moves the mean duration by this part.
const SHARE: u64 = 16;
/// The least and the most that a refused caller is asked to stay away.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_secs(5);

/// The limits of an interface's methods, by their numbers. Empty where no method has one.
#[derive(Debug, Default)]
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
    places: Semaphore,
    /// Calls that run or wait.
    inside: AtomicUsize,
    /// The mean duration of calls, in nanoseconds.
    took: AtomicU64,
}

impl Limit {
    fn new(running: u32) -> Self {
        let running =
            usize::try_from(running).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        let places = Semaphore::new(running);
        Self { running, places, inside: AtomicUsize::new(0), took: AtomicU64::new(0) }
    }

    /// Lets a call run or wait, or says why it is refused.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Admitted, CallError> {
        let most = self.running.saturating_mul(1 + WAITING);
        let before = self.inside.fetch_add(1, Relaxed);
        if before >= most {
            self.inside.fetch_sub(1, Relaxed);
            return Err(self.full());
        }
        Ok(Admitted(Arc::clone(self)))
    }

    fn full(&self) -> CallError {
        // After this pause the calls that wait now have had their turn.
        let took = Duration::from_nanos(self.took.load(Relaxed));
        let rounds = u32::try_from(1 + WAITING).unwrap_or(u32::MAX);
        let after = took.saturating_mul(rounds).clamp(SOONEST, LATEST);
        let why = format!(
            "at most {} calls of this method run at once, and {WAITING} times as many wait already",
            self.running
        );
        overloaded(&why).with_retry_advice(RetryAdvice::After(after))
    }

    fn learn(&self, took: u64) {
        let mean = self.took.load(Relaxed);
        // Of two calls that end at the same moment, one may not be counted. The mean bears that.
        self.took.store(mean - mean / SHARE + took / SHARE, Relaxed);
    }
}

/// A call's place among those that run or wait.
#[derive(Debug)]
pub(super) struct Admitted(Arc<Limit>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Relaxed);
    }
}

type Turn<'a> = BoxFuture<'a, Result<SemaphorePermit<'a>, AcquireError>>;

/// A call of a method that has a limit. Its place is free again when this has ended or is dropped.
#[must_use = "a call does nothing unless it is awaited"]
pub struct Limited<'a, F> {
    limit: Option<&'a Arc<Limit>>,
    /// Whether the call was admitted where it arrived.
    admitted: bool,
    state: State<'a>,
    call: F,
}

enum State<'a> {
    New,
    Waiting(Turn<'a>, Option<Admitted>),
    Running(Moment, Option<(SemaphorePermit<'a>, Option<Admitted>)>),
}

impl<'a, F> Limited<'a, F> {
    pub(super) fn new(limit: Option<&'a Arc<Limit>>, admitted: bool, call: F) -> Self {
        Self { limit, admitted, state: State::New, call }
    }
}

impl<F> fmt::Debug for Limited<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::New => "Limited(new)",
            State::Waiting(..) => "Limited(waiting)",
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
                State::New => {
                    let admitted =
                        if this.admitted { None } else { Some(limit.admit().map_err(E::from)?) };
                    // The semaphore hands its places to those that wait, so this passes none of them.
                    this.state = match limit.places.try_acquire() {
                        Ok(place) => State::Running(Moment::now(), Some((place, admitted))),
                        Err(_) => State::Waiting(Box::pin(limit.places.acquire()), admitted),
                    };
                }
                State::Waiting(turn, admitted) => {
                    let place = ready!(turn.as_mut().poll(cx));
                    let place = place.expect("the semaphore of a limit is never closed");
                    let admitted = admitted.take();
                    this.state = State::Running(Moment::now(), Some((place, admitted)));
                }
                State::Running(began, place) => {
                    let answer = ready!(Pin::new(&mut this.call).poll(cx));
                    limit.learn(began.nanos());
                    place.take();
                    return Poll::Ready(answer);
                }
            }
        }
    }
}
