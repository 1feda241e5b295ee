//! How many calls run at once in a process, and how many wait for one of them to end.
//!
//! Calls beyond both limits are refused at once, and told when to try again: so that under overload the
//! calls that are let in are still answered in time. Calls that wait run in the order in which they came,
//! and before every call that comes later.

use super::{Limits, waiters::Waiters};
use crate::{
    call::{CallError, CallErrorKind, RetryAdvice, clock, overdue},
    wire::overloaded,
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// Each call moves the mean by this part.
const SHARE: u64 = 16;
/// Nobody is asked to come back sooner, or later.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Gate {
    running: usize,
    places: Arc<Semaphore>,
    waiting: Waiters,
    wait: Duration,
    /// How long calls take that do not end at once, in nanoseconds.
    took: AtomicU64,
}

/// A call's place among those that run.
pub(super) type Place = OwnedSemaphorePermit;

/// A call's place among those that wait.
pub(super) struct Waiting {
    gate: Arc<Gate>,
    by: Instant,
    /// In line from the beginning, whenever the call's task has its first turn.
    place: BoxFuture<'static, Result<Place, AcquireError>>,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            running: limits.running,
            places: Arc::new(Semaphore::new(limits.running)),
            waiting: Waiters::new(limits.waiting, AtomicUsize::new(0)),
            wait: limits.wait,
            took: AtomicU64::new(0),
        })
    }

    /// A place to run in, if there is one and nobody waits for it.
    pub(super) fn enter(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A place in the queue; or, if there is none, what is said to the caller.
    pub(super) fn queue(self: &Arc<Self>) -> Result<Waiting, CallError> {
        if !self.waiting.join() {
            return Err(self.full("there are as many calls as may run, and as many as may wait"));
        }
        let mut place = Arc::clone(&self.places).acquire_owned().boxed();
        // The semaphore knows of it from its first poll on.
        if let Some(ready) = place.as_mut().now_or_never() {
            place = std::future::ready(ready).boxed();
        }
        Ok(Waiting { gate: Arc::clone(self), by: clock::now() + self.wait, place })
    }

    /// A call that ran in a task of its own has ended.
    pub(super) fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.took.load(Relaxed);
        // Two that learn at once may lose one's lesson, which is no loss.
        self.took.store(mean - mean / SHARE + took / SHARE, Relaxed);
    }

    fn full(&self, why: &str) -> CallError {
        // By then those that wait now have had their turn.
        let rounds = 1 + self.waiting.count() / self.running.max(1);
        let took = Duration::from_nanos(self.took.load(Relaxed));
        let after = took.saturating_mul(rounds as u32).clamp(SOONEST, LATEST);
        overloaded(why).with_retry_advice(RetryAdvice::After(after))
    }
}

impl Waiting {
    /// Ready when it is this call's turn; or when it has waited for too long, with what is said to the
    /// caller.
    pub(super) async fn turn(mut self, deadline: Instant) -> Result<Place, CallError> {
        let by = self.by.min(deadline);
        match timeout_at(by, &mut self.place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_closed)) => Err(stopping()),
            Err(_) if by == deadline => Err(overdue()),
            Err(_) => Err(self.gate.full("it has waited for as long as a call may")),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gate.waiting.leave();
    }
}

/// What is said to calls that come too late.
pub(super) fn stopping() -> CallError {
    CallError::new(CallErrorKind::NotRunning, "the process is stopping")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(running: usize, waiting: usize) -> Arc<Gate> {
        let wait = Duration::from_millis(100);
        Gate::new(&Limits { running, waiting, wait, ..Limits::default() })
    }

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn some_run_some_wait_and_the_rest_are_refused() {
        let gate = gate(1, 1);
        let running = gate.enter().unwrap();
        assert!(gate.enter().is_none());
        let waiting = gate.queue().ok().unwrap();
        gate.learn(Duration::from_millis(1_600));
        let refused = gate.queue().err().unwrap();
        assert_eq!(refused.kind(), CallErrorKind::Overloaded);
        // One that runs and one that waits, 100 ms each.
        assert_eq!(refused.retry_advice(), Some(RetryAdvice::After(Duration::from_millis(200))));
        drop(running);
        let running = waiting.turn(in_a_minute()).await.unwrap();
        assert!(gate.queue().is_ok());
        drop(running);
        assert!(gate.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_that() {
        let gate = gate(1, 2);
        let _running = gate.enter().unwrap();
        let start = Instant::now();
        let refused = gate.queue().ok().unwrap().turn(in_a_minute()).await.unwrap_err();
        assert_eq!(refused.kind(), CallErrorKind::Overloaded);
        assert_eq!(start.elapsed(), Duration::from_millis(100));
        let deadline = Instant::now() + Duration::from_millis(7);
        let overdue = gate.queue().ok().unwrap().turn(deadline).await.unwrap_err();
        assert_eq!(overdue.kind(), CallErrorKind::DeadlineExceeded);
        assert_eq!(Instant::now(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_before_who_comes() {
        let gate = gate(1, 1);
        let running = gate.enter().unwrap();
        // Its task has not had a turn yet.
        let waiting = gate.queue().ok().unwrap();
        drop(running);
        assert!(gate.enter().is_none());
        let running = waiting.turn(in_a_minute()).await.ok().unwrap();
        drop(running);
        // One that goes away before its turn leaves the place to the next one.
        let running = gate.enter().unwrap();
        let gone = gate.queue().ok().unwrap();
        drop(running);
        drop(gone);
        assert!(gate.enter().is_some());
    }
}
