//! One replica of a process: its address, its connections, its latency and its breaker.

use super::{
    ReplicaAddress,
    breaker::{Breaker, BreakerChange, Complaint},
    connection::Connection,
    each::ReplicaState,
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

/// A deadline counts against a replica only if the call ran at least this many times its usual latency.
const PATIENCE: f64 = 4.0;
/// The upper bound of a replica's request to be left alone. After that it is called again, and may ask again.
const LONGEST_REST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Replica {
    target: Arc<ReplicaAddress>,
    lanes: Vec<Lane>,
    pub(super) load: Load,
    pub(super) breaker: Breaker,
    /// Until when it asked to be left alone.
    resting: Mutex<Option<Instant>>,
}

impl Replica {
    pub(super) fn new(target: ReplicaAddress, connections: usize) -> Self {
        let target = Arc::new(target);
        let breaker = Breaker::new(target.whereabouts.thresholds.breaker);
        let lanes = (0..connections.max(1)).map(|at| Lane::new(Arc::clone(&target), at == 0));
        Self {
            lanes: lanes.collect(),
            target,
            load: Load::new(),
            breaker,
            resting: Mutex::new(None),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.target.address
    }

    /// Logs a change of its breaker.
    pub(super) fn log(&self, change: BreakerChange) {
        let (process, address) = (&self.target.whereabouts.process, &self.target.address);
        match change {
            BreakerChange::Opened(pause) => {
                tracing::warn!(process, %address, ?pause, "a replica is ejected: its calls fail");
            }
            BreakerChange::HalfOpen => {
                tracing::info!(process, %address, "an ejected replica is half-open: it gets a call on trial");
            }
            BreakerChange::Closed => {
                tracing::info!(process, %address, "an ejected replica answers again, and takes calls as before");
            }
        }
    }

    /// Connects sooner, since no other replica is connected.
    pub(super) fn begin(&self) {
        self.lanes[0].begin_urgently();
    }

    /// Why there is no connection, if one was attempted after `since`.
    pub(super) fn why_down(&self, since: Instant) -> Option<String> {
        self.lanes[0].why_down(since)
    }

    /// The lanes, this thread's own first. Two threads share a lane: their calls share writes, which
    /// carries more calls than a lane for each thread does.
    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Relaxed);
        }
        let (after, before) = self.lanes.split_at((THREAD.with(|own| *own) / 2) % self.lanes.len());
        before.iter().chain(after)
    }

    /// A connection, if there is one: this thread's own; or the one with the fewest calls, if this thread's
    /// own is down or has carried long messages lately.
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
        // The call goes over another lane, and this thread's own lane connects meanwhile.
        if let (Some(_), Some(lane)) = (&found, missing) {
            lane.begin();
        }
        found.map(|(_, connection)| connection)
    }

    /// How it stands.
    pub(super) fn state(&self) -> ReplicaState {
        let mut connections = self.lanes.iter().filter_map(Lane::up);
        ReplicaState {
            address: self.address().to_string(),
            connected: connections.any(|connection| !connection.is_silent()),
            ejected: !self.breaker.is_closed(),
        }
    }

    /// Whether it is connected, answers, and has not asked to be left alone.
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
            *self.resting.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(now + pause.min(LONGEST_REST));
        }
    }
}

/// A call to a replica that was chosen among several.
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

    /// Records how the call ended. The result is a complaint if the replica has failed too often.
    pub(super) fn end(mut self, now: Instant, verdict: Verdict) -> Option<Complaint> {
        self.ended = true;
        let Replica { load, breaker, .. } = &*self.replica;
        let took = now.saturating_duration_since(self.began);
        let well = match verdict {
            // The caller may have had little time.
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
            let change = breaker.end_probe(now, well);
            // The latencies from before it was left out are out of date.
            if change == Some(BreakerChange::Closed) {
                load.forget();
            }
            change.into_iter().for_each(|change| self.replica.log(change));
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
            // The caller went away.
            let now = clock::now();
            self.replica.load.learn_if_slow(now, now.saturating_duration_since(self.began));
            if self.is_probe {
                self.replica.breaker.end_probe(now, None);
            }
        }
    }
}
