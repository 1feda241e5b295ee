//! One of the processes that stand behind a name: its address, the connections to it, and how it does.

use super::{
    Target,
    breaker::{Breaker, Complaint},
    connection::Connection,
    lane::Lane,
    load::Load,
    retry::Verdict,
};
use crate::call::{RetryAdvice, clock};
use monolift_manifest::Address;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How many times longer than it usually takes a call has to have waited before it is held against
/// the replica that its time was over.
const PATIENCE: f64 = 4.0;

#[derive(Debug)]
pub(super) struct Replica {
    target: Arc<Target>,
    lanes: Vec<Lane>,
    pub(super) load: Load,
    pub(super) breaker: Breaker,
    /// Until when it has asked for no more calls.
    resting: Mutex<Option<Instant>>,
}

impl Replica {
    pub(super) fn new(target: Target, connections: usize) -> Self {
        let target = Arc::new(target);
        let lanes = (0..connections.max(1)).map(|at| Lane::new(Arc::clone(&target), at == 0));
        Self {
            lanes: lanes.collect(),
            target,
            load: Load::new(),
            breaker: Breaker::new(),
            resting: Mutex::new(None),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.target.address
    }

    /// Sees to it that there is a connection before long; callers have nobody else.
    pub(super) fn begin(&self) {
        self.lanes[0].begin_urgently();
    }

    /// Why there is no connection, if that was tried since then.
    pub(super) fn why_down(&self, since: Instant) -> Option<String> {
        self.lanes[0].why_down(since)
    }

    /// The lanes, this thread's own first. Two threads have one: what they send goes out together,
    /// which carries more than a lane for each would.
    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Relaxed);
        }
        let (after, before) = self.lanes.split_at((THREAD.with(|own| *own) / 2) % self.lanes.len());
        before.iter().chain(after)
    }

    /// A connection, if there is one: this thread's own, or, where that has long messages lately or is
    /// not there, the one with the fewest calls.
    pub(super) fn up(&self) -> Option<Arc<Connection>> {
        let mut found: Option<(usize, Arc<Connection>)> = None;
        let mut missing = None;
        for lane in self.lanes() {
            let Some(connection) = lane.up() else {
                missing.get_or_insert(lane);
                continue;
            };
            let calls = connection.calls_before_one_more();
            if found.as_ref().is_none_or(|(fewest, _)| calls < *fewest) {
                found = Some((calls, connection));
            }
            if calls == 0 {
                break;
            }
        }
        // While there is another way, this one is made ready.
        if let (Some(_), Some(lane)) = (&found, missing) {
            lane.begin();
        }
        found.map(|(_, connection)| connection)
    }

    /// Whether it is there, answers, and has not asked to be left alone.
    pub(super) fn is_well(&self, now: Instant) -> bool {
        self.breaker.is_closed()
            && !self.is_resting(now)
            && self.up().is_some_and(|connection| !connection.is_silent())
    }

    fn is_resting(&self, now: Instant) -> bool {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.is_some_and(|until| now >= until) {
            *resting = None;
        }
        resting.is_some()
    }

    fn rest(&self, now: Instant, advice: Option<RetryAdvice>) {
        if let Some(RetryAdvice::After(pause)) = advice {
            *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + pause);
        }
    }
}

/// A call that a replica was chosen for, from among several.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) replica: Arc<Replica>,
    began: Instant,
    is_probe: bool,
    ended: bool,
}

impl Turn {
    pub(super) fn begin(replica: Arc<Replica>, now: Instant, is_probe: bool) -> Self {
        replica.load.begin();
        Self { replica, began: now, is_probe, ended: false }
    }

    /// Learns from how the call ended, and says what is to be held against the replica.
    pub(super) fn end(mut self, now: Instant, verdict: Verdict) -> Option<Complaint> {
        self.ended = true;
        let Replica { load, breaker, .. } = &*self.replica;
        let took = now.saturating_duration_since(self.began);
        let well = match verdict {
            // That may be because the caller had little time.
            Verdict::Overdue if !is_long(took, load.peak()) => None,
            verdict => verdict.is_well(),
        };
        match well {
            Some(true) => load.learn(now, took),
            Some(false) => load.learn_of_failure(now, took),
            None => {}
        }
        if let Verdict::Refused(advice) = verdict {
            self.replica.rest(now, advice);
        }
        if self.is_probe {
            // What it was like before it was left out says nothing any more.
            if breaker.end_probe(now, well) {
                load.forget();
            }
            return None;
        }
        well.and_then(|well| breaker.learn(now, well))
    }
}

fn is_long(took: Duration, usual: f64) -> bool {
    took.as_nanos() as f64 >= usual * PATIENCE
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.replica.load.end();
        if !self.ended {
            // Whoever called went away.
            let now = clock::now();
            self.replica.load.learn_if_slow(now, now.saturating_duration_since(self.began));
            if self.is_probe {
                self.replica.breaker.end_probe(now, None);
            }
        }
    }
}
