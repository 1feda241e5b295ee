//! Which requests are kept: the failed ones, the slow ones, and those that the edge sampled.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// What is recorded and kept, as settings say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeepSettings {
    /// Whether requests are recorded at all.
    pub record: bool,
    /// A request that takes longer is slow. Without it, one that takes longer than 99 of 100 of its route.
    pub slow: Option<Duration>,
    /// The bytes of recent parts, and as many again of kept traces.
    pub memory: usize,
}

impl Default for KeepSettings {
    fn default() -> Self {
        Self { record: true, slow: None, memory: 8 << 20 }
    }
}

/// The requests of a route whose durations are remembered.
const REMEMBERED: usize = 512;
/// The fewest of them that tell what is slow.
const ENOUGH: usize = 100;
/// After this many requests, what is slow is computed anew.
const AGAIN_AFTER: usize = 32;
/// Routes that are told apart. Others have no recent durations.
const ROUTES: usize = 1_000;
/// Slow requests that are kept in a second, on average and at once: one in a hundred is slow by definition.
const SLOW_PER_SECOND: f64 = 20.0;
const SLOW_AT_ONCE: f64 = 100.0;
/// Failed requests that are kept in a second, on average and at once.
const FAILED_PER_SECOND: f64 = 50.0;
const FAILED_AT_ONCE: f64 = 500.0;

/// The recent durations of each route.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    routes: HashMap<String, Durations>,
}

#[derive(Debug, Default)]
struct Durations {
    nanos: VecDeque<u64>,
    since_computed: usize,
    slow: Option<u64>,
}

impl Routes {
    /// Learns of a request. Says whether it was slow for its route.
    pub(crate) fn learn(&mut self, route: &str, nanos: u64) -> bool {
        if !self.routes.contains_key(route) {
            if self.routes.len() >= ROUTES {
                return false;
            }
            self.routes.insert(route.to_owned(), Durations::default());
        }
        self.routes.get_mut(route).is_some_and(|durations| durations.learn(nanos))
    }
}

impl Durations {
    fn learn(&mut self, nanos: u64) -> bool {
        let slow = self.slow.is_some_and(|slow| nanos > slow);
        if self.nanos.len() == REMEMBERED {
            self.nanos.pop_front();
        }
        self.nanos.push_back(nanos);
        self.since_computed += 1;
        if self.nanos.len() >= ENOUGH && (self.slow.is_none() || self.since_computed >= AGAIN_AFTER)
        {
            self.since_computed = 0;
            let mut sorted: Vec<u64> = self.nanos.iter().copied().collect();
            let at = sorted.len() * 99 / 100;
            let (_, slow, _) = sorted.select_nth_unstable(at);
            self.slow = Some(*slow);
        }
        slow
    }
}

/// How many may be kept: tokens that come back with time.
#[derive(Debug)]
pub(crate) struct Allowance {
    per_second: f64,
    at_once: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn of_slow(now: Instant) -> Self {
        Self::new(SLOW_PER_SECOND, SLOW_AT_ONCE, now)
    }

    pub(crate) fn of_failed(now: Instant) -> Self {
        Self::new(FAILED_PER_SECOND, FAILED_AT_ONCE, now)
    }

    fn new(per_second: f64, at_once: f64, now: Instant) -> Self {
        Self { per_second, at_once, left: at_once, at: now }
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.per_second).min(self.at_once);
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_slow_for_its_route() {
        let mut routes = Routes::default();
        // Too few to tell.
        assert!((0..ENOUGH as u64).all(|nanos| !routes.learn("GET /a", 1_000 + nanos)));
        assert!(routes.learn("GET /a", 5_000));
        assert!(!routes.learn("GET /a", 1_050));
        // Another route has durations of its own.
        assert!(!routes.learn("GET /b", 5_000));
        // A route that becomes slower is not slow for ever.
        let slow = (0..3_000).filter(|at| routes.learn("GET /a", 9_000 + at % 100)).count();
        assert!(slow < 150, "{slow}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowance_comes_back_with_time() {
        let mut allowance = Allowance::new(2.0, 4.0, Instant::now());
        let take =
            |allowance: &mut Allowance| (0..10).filter(|_| allowance.take(Instant::now())).count();
        assert_eq!(take(&mut allowance), 4);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(take(&mut allowance), 2);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(take(&mut allowance), 4);
    }
}
