//! The expected cost of one more call to a replica, so that replicas can be compared: the recent latency
//! of its calls, to the power of 3/2, times its calls in flight.
//!
//! A call that is slower than expected moves the latency half of the way up at once. Quicker calls move it down slowly.
//! Time does too, so that a replica that was slow gets a call now and then.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;

/// In this time an old latency loses about two thirds of its weight.
const MEMORY: Duration = Duration::from_secs(1);
/// Each quicker call moves the latency down by this part of the difference: under load, one slow moment is soon
/// forgotten.
const SHARE: f64 = 1.0 / 8.0;
/// Cost of a replica with calls in flight and no answer yet: high enough that any measured replica wins.
const UNKNOWN: f64 = 1e15;
/// The latency of a replica whose first calls have failed, until one is answered.
const FAILED_FIRST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Load {
    since: Instant,
    in_flight: AtomicUsize,
    /// Nanoseconds, as the bits of an `f64`; 0 before the first answer.
    peak: AtomicU64,
    /// When it was set, in nanoseconds since `since`.
    at: AtomicU64,
}

impl Load {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            in_flight: AtomicUsize::new(0),
            peak: AtomicU64::new(0),
            at: AtomicU64::new(0),
        }
    }

    pub(super) fn cost(&self, now: Instant) -> f64 {
        let in_flight = self.in_flight.load(Relaxed) as f64;
        let peak = self.peak() * self.weight(self.nanos(now));
        if peak == 0.0 && in_flight > 0.0 {
            return UNKNOWN + in_flight;
        }
        // The power makes latency count more than calls in flight. In proportion, a burst of ten calls would send one to a
        // replica that is ten times slower.
        peak.max(1.0) * peak.max(1.0).sqrt() * (in_flight + 1.0)
    }

    /// The latency, in nanoseconds; 0 before the first answer.
    pub(super) fn peak(&self) -> f64 {
        f64::from_bits(self.peak.load(Relaxed))
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Records an answer after `took`. Of two concurrent updates one may be lost.
    pub(super) fn learn(&self, now: Instant, took: Duration) {
        let (took, at) = (took.as_nanos() as f64, self.nanos(now));
        let peak = self.peak() * self.weight(at);
        let next = if peak == 0.0 {
            took
        } else if took > peak {
            (peak + took) / 2.0
        } else {
            peak - (peak - took) * SHARE
        };
        self.peak.store(next.to_bits(), Relaxed);
        self.at.store(at, Relaxed);
    }

    /// Records a failure after `took`. It counts only if it was slow: failing fast makes no replica fast.
    pub(super) fn learn_of_failure(&self, now: Instant, took: Duration) {
        if self.peak() == 0.0 {
            self.learn(now, took.max(FAILED_FIRST));
        } else {
            self.learn_if_slow(now, took);
        }
    }

    /// Records a call that was given up after `took`.
    pub(super) fn learn_if_slow(&self, now: Instant, took: Duration) {
        let peak = self.peak();
        if peak > 0.0 && took.as_nanos() as f64 > peak {
            self.learn(now, took);
        }
    }

    /// Forgets the latency.
    pub(super) fn forget(&self) {
        self.peak.store(0, Relaxed);
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.since).as_nanos()).unwrap_or(u64::MAX)
    }

    /// The latency with the weight of its age.
    fn weight(&self, at: u64) -> f64 {
        let passed = at.saturating_sub(self.at.load(Relaxed)) as f64;
        (-passed / MEMORY.as_nanos() as f64).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The cost of a call with this latency in nanoseconds.
    fn alone(nanos: f64) -> f64 {
        nanos * nanos.sqrt()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_call_counts_at_once_and_is_forgotten_slowly() {
        let load = Load::new();
        let start = Instant::now();
        load.learn(start, MS);
        assert_eq!(load.cost(start), alone(1e6));
        load.learn(start, 10 * MS);
        assert_eq!(load.cost(start), alone(5.5e6));
        load.learn(start, 10 * MS);
        assert_eq!(load.cost(start), alone(7.75e6));
        // By then an old figure has 1/e of its weight.
        let later = start + MEMORY;
        let part = (-1.0_f64).exp();
        assert_eq!(load.cost(later), alone(7.75e6 * part));
        load.learn(later, MS);
        let before = 7.75e6 * part;
        assert_eq!(load.cost(later), alone(before - (before - 1e6) / 8.0));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_in_flight_multiply_it() {
        let load = Load::new();
        let now = Instant::now();
        load.learn(now, 2 * MS);
        (0..3).for_each(|_| load.begin());
        assert_eq!(load.cost(now), 4.0 * alone(2e6));
        load.end();
        assert_eq!(load.cost(now), 3.0 * alone(2e6));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_new_is_given_one_call_at_first() {
        let load = Load::new();
        let now = Instant::now();
        assert_eq!(load.cost(now), 1.0);
        load.begin();
        assert!(load.cost(now) > UNKNOWN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_error_makes_nobody_fast() {
        let load = Load::new();
        let now = Instant::now();
        load.learn(now, 5 * MS);
        load.learn_of_failure(now, MS / 10);
        assert_eq!(load.cost(now), alone(5e6));
        load.learn_of_failure(now, 7 * MS);
        assert_eq!(load.cost(now), alone(6e6));
        // The same before any answer.
        let failing = Load::new();
        failing.learn_of_failure(now, MS / 10);
        assert_eq!(failing.cost(now), alone(1e9));
        // Reading the cost changes nothing.
        let unknown = Load::new();
        unknown.learn_if_slow(now, MS);
        assert_eq!(unknown.peak(), 0.0);
    }
}
