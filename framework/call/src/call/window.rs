//! A count over the last seconds, which any thread can add to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;

/// The bits of a bucket that hold its count. The bits above them hold its second.
const COUNT_BITS: u64 = 32;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// How many things happened in the last ten seconds. They are counted in a bucket for each second, so what is
/// counted goes a second at a time.
#[derive(Debug)]
pub struct Window {
    since: Instant,
    buckets: [AtomicU64; Self::SECONDS as usize],
}

impl Window {
    /// How long a thing is counted.
    pub const SECONDS: u64 = 10;

    /// A window in which nothing has happened. Its seconds begin at `now`.
    pub fn new(now: Instant) -> Self {
        Self { since: now, buckets: Default::default() }
    }

    /// One more happened.
    pub fn add(&self, now: Instant) {
        let second = self.second(now);
        let bucket = &self.buckets[(second % Self::SECONDS) as usize];
        let seen = bucket.load(Relaxed);
        if seen >> COUNT_BITS == second {
            bucket.fetch_add(1, Relaxed);
            return;
        }
        let begun = bucket.compare_exchange(seen, second << COUNT_BITS | 1, Relaxed, Relaxed);
        if begun.is_err() {
            // Another thread has begun this second meanwhile.
            bucket.fetch_add(1, Relaxed);
        }
    }

    /// How many happened.
    pub fn sum(&self, now: Instant) -> u64 {
        let second = self.second(now);
        let buckets = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let recent = buckets.filter(|bucket| (bucket >> COUNT_BITS) + Self::SECONDS > second);
        recent.map(|bucket| bucket & COUNT).sum()
    }

    /// The first second is 1. An empty bucket has second 0, which is never counted by itself.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn what_happened_is_counted_for_ten_seconds() {
        let start = Instant::now();
        let window = Window::new(start);
        assert_eq!(window.sum(start), 0);
        window.add(start);
        window.add(at(start, 0.9));
        window.add(at(start, 1.0));
        assert_eq!(window.sum(at(start, 9.99)), 3);
        assert_eq!(window.sum(at(start, 10.0)), 1);
        assert_eq!(window.sum(at(start, 11.0)), 0);
    }

    /// A second takes over the bucket of the second that was ten before it.
    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_used_again() {
        let start = Instant::now();
        let window = Window::new(start);
        for second in 0..100 {
            (0..5).for_each(|_| window.add(at(start, f64::from(second))));
        }
        assert_eq!(window.sum(at(start, 99.0)), 50);
        window.add(at(start, 1_000.0));
        assert_eq!(window.sum(at(start, 1_000.0)), 1);
    }

    #[test]
    fn threads_count_together() {
        let now = Instant::now();
        let window = Window::new(now);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..1_000).for_each(|_| window.add(now)));
            }
        });
        assert_eq!(window.sum(now), 4_000);
    }
}
