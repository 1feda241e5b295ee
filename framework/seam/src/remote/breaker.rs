//! Whether a replica answers well enough to be called: a circuit breaker.
//!
//! It is *closed* while calls succeed. Several failures in a row, or a high rate of failures in the last ten
//! seconds, are a complaint. The list of replicas, which can compare them, decides whether the breaker is then
//! *opened*: calls avoid the replica for a pause with jitter that doubles each time. After the pause, one call is a
//! probe. If it succeeds, the breaker is closed; if not, it is opened for longer. A breaker that was opened several
//! times in short order needs as many successful probes in a row, up to a bound, so that a replica that fails every
//! second call stays out.

use crate::call::{Backoff, Window};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// When a replica is left out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerThresholds {
    /// This many failures in a row are a complaint.
    pub in_a_row: u32,
    /// The failure rate counts only if there were at least this many calls in the last ten seconds.
    pub least_sample: u64,
    /// The upper bound of the first pause. It doubles each time.
    pub first_open: Duration,
    /// The upper bound of every pause.
    pub longest_open: Duration,
    /// The most probes that must succeed in a row.
    pub probes: u32,
    /// A breaker that stayed closed for this long starts again with `first_open`.
    pub forgiven: Duration,
}

impl Default for BreakerThresholds {
    fn default() -> Self {
        Self {
            in_a_row: 5,
            least_sample: 20,
            first_open: Duration::from_secs(1),
            longest_open: Duration::from_secs(30),
            probes: 5,
            forgiven: Duration::from_secs(60),
        }
    }
}

#[derive(Debug)]
pub(super) struct Breaker {
    /// Whether it is open or half-open. Callers read this without the lock.
    open: AtomicBool,
    thresholds: BreakerThresholds,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    course: BreakerState,
    /// How often it was opened without having stayed closed for `forgiven` in between.
    times: u32,
    /// Successful probes since it was opened.
    passed: u32,
    /// Whether a probe has begun since it was opened.
    probed: bool,
    /// When it was closed again.
    closed_at: Instant,
    failed_in_a_row: u32,
    recent: Recent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerState {
    Closed,
    Open { until: Instant },
    Probing,
}

/// The calls that ended lately.
#[derive(Debug)]
struct Recent {
    calls: Window,
    failed: Window,
}

impl Recent {
    fn new(now: Instant) -> Self {
        Self { calls: Window::new(now), failed: Window::new(now) }
    }
}

/// A change of a breaker that its owner logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerChange {
    /// It was opened, or opened again after a probe, for this long.
    Opened(Duration),
    /// It lets its first probe through since it was opened.
    HalfOpen,
    /// It is closed again.
    Closed,
}

/// A call that a breaker lets through while it is not closed. Its end must be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) change: Option<BreakerChange>,
}

/// Why a replica should be avoided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Complaint {
    /// This many calls in a row have failed.
    InARow(u32),
    /// Only this part of its recent calls succeeded.
    Rate(f64),
}

impl Breaker {
    pub(super) fn new(thresholds: BreakerThresholds) -> Self {
        let now = Instant::now();
        let inner = Inner {
            course: BreakerState::Closed,
            times: 0,
            passed: 0,
            probed: false,
            closed_at: now,
            failed_in_a_row: 0,
            recent: Recent::new(now),
        };
        Self { open: AtomicBool::new(false), thresholds, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        !self.open.load(Relaxed)
    }

    /// Makes the next call the probe, if one is due.
    pub(super) fn begin_probe(&self, now: Instant) -> Option<Probe> {
        if self.is_closed() {
            return None;
        }
        let mut inner = self.inner();
        match inner.course {
            BreakerState::Open { until } if now >= until => {
                inner.course = BreakerState::Probing;
                let was_probed = std::mem::replace(&mut inner.probed, true);
                Some(Probe { change: (!was_probed).then_some(BreakerChange::HalfOpen) })
            }
            _ => None,
        }
    }

    /// The probe went well, or it did not, or its caller was dropped.
    pub(super) fn end_probe(&self, now: Instant, well: Option<bool>) -> Option<BreakerChange> {
        let mut inner = self.inner();
        if inner.course != BreakerState::Probing {
            return None;
        }
        match well {
            Some(true) if inner.passed + 1 < inner.times.min(self.thresholds.probes) => {
                inner.passed += 1;
                inner.course = BreakerState::Open { until: now };
            }
            Some(true) => {
                inner.course = BreakerState::Closed;
                inner.closed_at = now;
                inner.failed_in_a_row = 0;
                inner.recent = Recent::new(now);
                self.open.store(false, Relaxed);
                return Some(BreakerChange::Closed);
            }
            Some(false) => return Some(inner.open(now, &self.thresholds)),
            None => inner.course = BreakerState::Open { until: now },
        }
        None
    }

    /// A call has ended while it is closed.
    pub(super) fn learn(&self, now: Instant, well: bool) -> Option<Complaint> {
        let mut inner = self.inner();
        if inner.course != BreakerState::Closed {
            return None;
        }
        inner.recent.calls.add(now);
        if well {
            inner.failed_in_a_row = 0;
            return None;
        }
        inner.recent.failed.add(now);
        inner.failed_in_a_row += 1;
        if inner.failed_in_a_row >= self.thresholds.in_a_row {
            return Some(Complaint::InARow(inner.failed_in_a_row));
        }
        inner.rate(now, &self.thresholds).map(Complaint::Rate)
    }

    /// The success rate of the last ten seconds, if there were enough calls.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        self.inner().rate(now, &self.thresholds)
    }

    /// Opens it, if it is closed.
    pub(super) fn open(&self, now: Instant) -> Option<BreakerChange> {
        let mut inner = self.inner();
        if inner.course != BreakerState::Closed {
            return None;
        }
        if now.duration_since(inner.closed_at) > self.thresholds.forgiven {
            inner.times = 0;
        }
        self.open.store(true, Relaxed);
        Some(inner.open(now, &self.thresholds))
    }
}

impl Inner {
    fn open(&mut self, now: Instant, thresholds: &BreakerThresholds) -> BreakerChange {
        let BreakerThresholds { first_open, longest_open, .. } = *thresholds;
        let pause = Backoff::half(first_open, longest_open).pause(self.times);
        self.times = self.times.saturating_add(1);
        self.passed = 0;
        self.probed = false;
        self.course = BreakerState::Open { until: now + pause };
        BreakerChange::Opened(pause)
    }

    fn rate(&self, now: Instant, thresholds: &BreakerThresholds) -> Option<f64> {
        let (calls, failed) = (self.recent.calls.sum(now), self.recent.failed.sum(now));
        (calls >= thresholds.least_sample)
            .then(|| calls.saturating_sub(failed) as f64 / calls as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::chance;

    const FIRST_OPEN: Duration = Duration::from_secs(1);
    const LONGEST_OPEN: Duration = Duration::from_secs(30);

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_are_a_complaint() {
        let breaker = Breaker::new(BreakerThresholds::default());
        let now = Instant::now();
        for _ in 0..3 {
            (0..4).for_each(|_| assert_eq!(breaker.learn(now, false), None));
            assert_eq!(breaker.learn(now, true), None);
        }
        // 12 of 15 have failed, which is below the least sample.
        (0..4).for_each(|_| assert_eq!(breaker.learn(now, false), None));
        assert_eq!(breaker.learn(now, false), Some(Complaint::InARow(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn every_second_failure_is_one_from_the_least_sample_on() {
        let breaker = Breaker::new(BreakerThresholds::default());
        let now = Instant::now();
        for call in 1..20 {
            assert_eq!(breaker.learn(now, call % 2 == 1), None, "{call}");
        }
        assert_eq!(breaker.rate(now), None);
        assert_eq!(breaker.learn(now, false), Some(Complaint::Rate(0.5)));
        // Calls older than the window no longer count.
        assert_eq!(breaker.rate(now + secs(9.99)), Some(0.5));
        assert_eq!(breaker.rate(now + secs(10.0)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_open_for_a_while_and_then_lets_one_probe_through() {
        chance::seed(1);
        let breaker = Breaker::new(BreakerThresholds::default());
        let now = Instant::now();
        breaker.open(now);
        assert!(!breaker.is_closed() && breaker.begin_probe(now + secs(0.49)).is_none());
        let later = now + FIRST_OPEN;
        let half_open = Some(Probe { change: Some(BreakerChange::HalfOpen) });
        assert_eq!(breaker.begin_probe(later), half_open);
        assert_eq!(breaker.begin_probe(later), None);
        // It failed: now it takes longer.
        let reopened = breaker.end_probe(later, Some(false));
        assert!(matches!(reopened, Some(BreakerChange::Opened(_))), "{reopened:?}");
        assert_eq!(breaker.begin_probe(later + secs(0.99)), None);
        let later = later + 2 * FIRST_OPEN;
        assert_eq!(breaker.begin_probe(later), half_open);
        // Its caller was dropped: the next call is the probe.
        assert_eq!(breaker.end_probe(later, None), None);
        assert_eq!(breaker.begin_probe(later), Some(Probe { change: None }));
        // It was opened twice, so two probes must succeed.
        assert_eq!(breaker.end_probe(later, Some(true)), None);
        assert!(!breaker.is_closed() && breaker.begin_probe(later).is_some());
        assert_eq!(breaker.end_probe(later, Some(true)), Some(BreakerChange::Closed));
        assert!(breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_never_open_for_longer_than_half_a_minute_and_forgives() {
        let breaker = Breaker::new(BreakerThresholds::default());
        let mut now = Instant::now();
        breaker.open(now);
        for _ in 0..20 {
            now += LONGEST_OPEN;
            assert!(breaker.begin_probe(now).is_some());
            breaker.end_probe(now, Some(false));
        }
        let closes = |now| {
            for _ in 0..5 {
                assert!(breaker.begin_probe(now).is_some());
                breaker.end_probe(now, Some(true));
            }
            assert!(breaker.is_closed());
        };
        now += LONGEST_OPEN;
        closes(now);
        breaker.open(now);
        assert_eq!(breaker.begin_probe(now + FIRST_OPEN), None);
        now += LONGEST_OPEN;
        closes(now);
        now += secs(61.0);
        breaker.open(now);
        assert!(breaker.begin_probe(now + FIRST_OPEN).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn its_thresholds_can_be_others() {
        let (first_open, longest_open) = (secs(10.0), secs(20.0));
        let breaker = Breaker::new(BreakerThresholds {
            in_a_row: 2,
            least_sample: 4,
            first_open,
            longest_open,
            probes: 1,
            forgiven: secs(60.0),
        });
        let mut now = Instant::now();
        assert_eq!(breaker.learn(now, false), None);
        assert_eq!(breaker.learn(now, false), Some(Complaint::InARow(2)));
        (0..2).for_each(|_| assert_eq!(breaker.learn(now, true), None));
        assert_eq!(breaker.rate(now), Some(0.5));
        breaker.open(now);
        for longest in [first_open, longest_open, longest_open] {
            assert_eq!(breaker.begin_probe(now + longest.mul_f64(0.49)), None);
            now += longest;
            assert!(breaker.begin_probe(now).is_some());
            breaker.end_probe(now, Some(false));
        }
        now += longest_open;
        assert!(breaker.begin_probe(now).is_some());
        assert_eq!(breaker.end_probe(now, Some(true)), Some(BreakerChange::Closed));
    }
}
