//! How often calls to a process may be made again: so that one that fails is not hammered by all who
//! call it.
//!
//! Of the calls of the last ten seconds, counted in buckets of a second each, a part may be made again;
//! and some more in each second, so that a caller who makes few calls may retry at all.

use monolift_manifest::Retries;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;

const WINDOW: usize = 10;
const SECOND: u64 = 32;
const COUNT: u64 = (1 << SECOND) - 1;

#[derive(Debug)]
pub(super) struct Budget {
    since: Instant,
    calls: Window,
    retries: Window,
    allowed: Retries,
}

impl Budget {
    pub(super) fn new(allowed: Retries) -> Self {
        let (calls, retries) = (Window::default(), Window::default());
        Self { since: Instant::now(), calls, retries, allowed }
    }

    /// A call is made, for the first time.
    pub(super) fn count(&self, now: Instant) {
        self.calls.add(self.second(now));
    }

    /// Whether one may be made again, which it is then.
    pub(super) fn take(&self, now: Instant) -> bool {
        let second = self.second(now);
        let Retries { percent, per_second, .. } = self.allowed;
        let most = self.calls.sum(second) * u64::from(percent) / 100
            + u64::from(per_second) * WINDOW as u64;
        let allowed = self.retries.sum(second) < most;
        if allowed {
            self.retries.add(second);
        }
        allowed
    }

    /// The first one is 1, so that an empty bucket belongs to none.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() + 1
    }
}

/// Counts of the last seconds. In each bucket is the second that it belongs to, and the count.
#[derive(Debug, Default)]
struct Window([AtomicU64; WINDOW]);

impl Window {
    fn add(&self, second: u64) {
        let bucket = &self.0[second as usize % WINDOW];
        let seen = bucket.load(Relaxed);
        if seen >> SECOND == second {
            bucket.fetch_add(1, Relaxed);
            return;
        }
        // Another one may have begun the second meanwhile.
        let begun = bucket.compare_exchange(seen, second << SECOND | 1, Relaxed, Relaxed);
        if begun.is_err() {
            bucket.fetch_add(1, Relaxed);
        }
    }

    fn sum(&self, second: u64) -> u64 {
        let buckets = self.0.iter().map(|bucket| bucket.load(Relaxed));
        let recent = buckets.filter(|bucket| (bucket >> SECOND) + WINDOW as u64 > second);
        recent.map(|bucket| bucket & COUNT).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn taken(budget: &Budget, now: Instant) -> usize {
        (0..100_000).take_while(|_| budget.take(now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_in_five_and_ten_a_second_may_be_made_again() {
        let budget = Budget::new(Retries::default());
        let now = Instant::now();
        assert_eq!(taken(&budget, now), 100);
        (0..1_000).for_each(|_| budget.count(now));
        assert_eq!(taken(&budget, now), 200);
        // Within the window nothing comes back; after it all does, and what was called is forgotten.
        assert_eq!(taken(&budget, now + Duration::from_millis(9_999)), 0);
        assert_eq!(taken(&budget, now + Duration::from_secs(10)), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_steady_rate_the_share_is_kept() {
        let budget = Budget::new(Retries::default());
        let start = Instant::now();
        let mut retried = 0;
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            for _ in 0..1_000 {
                budget.count(now);
                retried += usize::from(budget.take(now));
            }
        }
        // 20 % of 60,000 and 10 in each of 60 seconds.
        assert_eq!(retried, 12_600);
    }

    #[tokio::test(start_paused = true)]
    async fn none_at_all_where_none_is_wanted() {
        let budget = Budget::new(Retries { percent: 0, per_second: 0, ..Retries::default() });
        budget.count(Instant::now());
        assert!(!budget.take(Instant::now()));
    }
}
