//! How many calls run at once in a process, and how many wait for one of them to end.
//!
//! Calls beyond both limits are refused at once, and told when to try again: so that under overload the
//! calls that are let in are still answered in time. Calls that wait run before every call that comes later.
//! Peers take turns ([`crate::call::turns`]), so that no peer keeps another one's calls waiting.

use super::Limits;
use crate::{
    call::{
        CallError, CallErrorKind, Mean, Origin, RetryAdvice, clock, overdue,
        turns::{Place, Turns, Waiting},
    },
    wire::overloaded,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// The least and the most that a refused caller is asked to stay away.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Gate {
    running: usize,
    turns: Arc<Turns>,
    wait: Duration,
    /// How long calls take that do not end at once.
    took: Mean,
    /// Calls that found no place.
    refused: AtomicU64,
}

/// How the calls stand that wait for a place to run in.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Gate>);

/// A call that waits, and the time until which it may.
pub(super) struct Queued {
    gate: Arc<Gate>,
    by: Instant,
    place: Waiting,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            running: limits.running,
            turns: Turns::new(limits.running, limits.waiting),
            wait: limits.wait,
            took: Mean::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// A place to run in, if there is one and no call waits for it.
    pub(super) fn enter(&self) -> Option<Place> {
        self.turns.enter()
    }

    /// A place in the queue; or, if there is none, what is said to the caller.
    pub(super) fn queue(self: &Arc<Self>, origin: Origin) -> Result<Queued, CallError> {
        let Some(place) = self.turns.wait(origin) else {
            return Err(self.full("there are as many calls as may run, and as many as may wait"));
        };
        Ok(Queued { gate: Arc::clone(self), by: clock::now() + self.wait, place })
    }

    /// A call that ran in a task of its own has ended.
    pub(super) fn learn(&self, took: Duration) {
        self.took.learn(took);
    }

    fn full(&self, why: &str) -> CallError {
        self.refused.fetch_add(1, Relaxed);
        // By then those that wait now have had their turn.
        let rounds = 1 + self.turns.waiting() / self.running.max(1);
        let after = self.took.get().saturating_mul(rounds as u32).clamp(SOONEST, LATEST);
        overloaded(why).with_retry_advice(RetryAdvice::After(after))
    }
}

impl Queue {
    pub(super) fn of(gate: &Arc<Gate>) -> Self {
        Self(Arc::clone(gate))
    }

    /// The calls that wait now.
    pub fn waiting(&self) -> usize {
        self.0.turns.waiting()
    }

    /// The calls that were refused so far, because there was no place to run or to wait in.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }
}

impl Queued {
    /// Ready when it is this call's turn; or when it has waited for too long, with what is said to the
    /// caller.
    pub(super) async fn turn(self, deadline: Instant) -> Result<Place, CallError> {
        let by = self.by.min(deadline);
        match timeout_at(by, self.place).await {
            Ok(place) => Ok(place),
            Err(_) if by == deadline => Err(overdue()),
            Err(_) => Err(self.gate.full("it has waited for as long as a call may")),
        }
    }
}

/// What is said to calls that come too late.
pub(super) fn stopping() -> CallError {
    CallError::new(CallErrorKind::NotRunning, "the process is stopping")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Origin = Origin { peer: 1, client: 0 };

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
        let waiting = gate.queue(PEER).ok().unwrap();
        gate.learn(Duration::from_millis(1_600));
        let refused = gate.queue(PEER).err().unwrap();
        assert_eq!(refused.kind(), CallErrorKind::Overloaded);
        let queue = Queue::of(&gate);
        assert_eq!((queue.waiting(), queue.refused()), (1, 1));
        // One that runs and one that waits, 100 ms each.
        assert_eq!(refused.retry_advice(), Some(RetryAdvice::After(Duration::from_millis(200))));
        drop(running);
        let running = waiting.turn(in_a_minute()).await.unwrap();
        assert!(gate.queue(PEER).is_ok());
        drop(running);
        assert!(gate.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_that() {
        let gate = gate(1, 2);
        let _running = gate.enter().unwrap();
        let start = Instant::now();
        let refused = gate.queue(PEER).ok().unwrap().turn(in_a_minute()).await.unwrap_err();
        assert_eq!(refused.kind(), CallErrorKind::Overloaded);
        assert_eq!(start.elapsed(), Duration::from_millis(100));
        let deadline = Instant::now() + Duration::from_millis(7);
        let overdue = gate.queue(PEER).ok().unwrap().turn(deadline).await.unwrap_err();
        assert_eq!(overdue.kind(), CallErrorKind::DeadlineExceeded);
        assert_eq!(Instant::now(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_before_who_comes() {
        let gate = gate(1, 1);
        let running = gate.enter().unwrap();
        // Its task has not had a turn yet.
        let waiting = gate.queue(PEER).ok().unwrap();
        drop(running);
        assert!(gate.enter().is_none());
        let running = waiting.turn(in_a_minute()).await.ok().unwrap();
        drop(running);
        // One that goes away before its turn leaves the place to the next one.
        let running = gate.enter().unwrap();
        let gone = gate.queue(PEER).ok().unwrap();
        drop(running);
        drop(gone);
        assert!(gate.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_many_calls_does_not_keep_another_one_waiting() {
        let gate = gate(1, 100);
        let running = gate.enter().unwrap();
        let mut flood: Vec<_> = std::iter::from_fn(|| gate.queue(PEER).ok()).collect();
        assert_eq!(flood.len(), 100);
        let other = gate.queue(Origin { peer: 2, client: 0 }).ok().unwrap();
        drop(running);
        let place = flood.remove(0).turn(in_a_minute()).await.unwrap();
        drop(place);
        drop(other.turn(in_a_minute()).await.unwrap());
    }
}
