//! The retry budget of a process: a bound on retries, so that its callers do not multiply the load on a process that
//! fails.
//!
//! Retries may be a part of the calls of the last ten seconds, plus a few in each second, so that a process with few
//! calls can retry at all.

use crate::call::Window;
use monolift_manifest::Retries;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Budget {
    calls: Window,
    retries: Window,
    allowed: Retries,
}

impl Budget {
    pub(super) fn new(allowed: Retries) -> Self {
        let now = Instant::now();
        Self { calls: Window::new(now), retries: Window::new(now), allowed }
    }

    /// Counts the first attempt at a call.
    pub(super) fn count(&self, now: Instant) {
        self.calls.add(now);
    }

    /// Takes one retry from the budget, if one is left.
    pub(super) fn take(&self, now: Instant) -> bool {
        let Retries { percent, per_second, .. } = self.allowed;
        let most = self.calls.sum(now) * u64::from(percent) / 100
            + u64::from(per_second) * Window::SECONDS;
        let allowed = self.retries.sum(now) < most;
        if allowed {
            self.retries.add(now);
        }
        allowed
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
        // Within the window no retry is given back. After it, all are, and the calls no longer count.
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
