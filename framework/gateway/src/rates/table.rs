//! What is known of callers: of each, when it will have its whole rate again.
//!
//! The table has a fixed size, so a client with many addresses fills no memory. A caller's place is one of a few that its
//! hash names. If all of them are taken, the caller that is closest to its whole rate is forgotten: it loses least by that.
//!
//! The rate is the generic cell rate algorithm (GCRA): a caller has one instant, and each request moves it on by the time
//! that one request is worth. A request that would move it further ahead than the window is one too many.

use super::Caller;
use monolift_manifest::Rate;
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Places for callers. Each is 16 bytes.
const PLACES: usize = SETS * WAYS;
const SETS: usize = 8 * 1024;
const WAYS: usize = 8;

pub(super) struct Table {
    start: Instant,
    /// Keyed, so that a client cannot choose which callers it pushes out.
    key: RandomState,
    sets: Box<[Mutex<[Place; WAYS]>]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    /// When the caller has its whole rate again, in nanoseconds since the start.
    whole_at: u64,
}

/// A request that was counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Requests that the caller may still make at once.
    pub(super) left: u64,
    /// After how long it has its whole rate again.
    pub(super) again: Duration,
    /// After how long it may make this request, if it may not now.
    pub(super) over: Option<Duration>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({PLACES} places)")
    }
}

impl Default for Table {
    fn default() -> Self {
        let sets = (0..SETS).map(|_| Mutex::default()).collect();
        Self { start: Instant::now(), key: RandomState::new(), sets }
    }
}

impl Table {
    /// The number of a caller in a policy. If two have the same, they are counted together.
    pub(super) fn key(&self, policy: &str, caller: Caller<'_>) -> u64 {
        let mut hasher = self.key.build_hasher();
        policy.hash(&mut hasher);
        match caller {
            Caller::Principal(principal) => {
                (0, &principal.issuer, &principal.tenant, &principal.subject).hash(&mut hasher);
            }
            Caller::Address(address) => (1, address).hash(&mut hasher),
            Caller::Tokens(address) => (2, address).hash(&mut hasher),
        }
        // An empty place has the key 0.
        hasher.finish().max(1)
    }

    /// Counts a request.
    pub(super) fn take(&self, key: u64, rate: Rate) -> Taken {
        self.count(key, rate, true)
    }

    /// What counting one more would say.
    pub(super) fn peek(&self, key: u64, rate: Rate) -> Taken {
        self.count(key, rate, false)
    }

    fn count(&self, key: u64, rate: Rate, is_made: bool) -> Taken {
        let now = nanos(self.start.elapsed());
        let window = nanos(rate.window);
        let one = (window / u64::from(rate.requests)).max(1);
        let mut set = self.sets[key as usize % SETS].lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|place| place.key == key);
        let whole_at = known.map_or(now, |at| set[at].whole_at.max(now));
        let then = whole_at.saturating_add(one);
        let most = now.saturating_add(window);
        if then > most {
            return Taken {
                left: 0,
                again: Duration::from_nanos(whole_at - now),
                over: Some(Duration::from_nanos(then - most)),
            };
        }
        if is_made {
            let first_free = || set.iter().enumerate().min_by_key(|(_, place)| place.whole_at);
            if let Some(at) = known.or_else(|| first_free().map(|(at, _)| at)) {
                set[at] = Place { key, whole_at: then };
            }
        }
        Taken { left: (most - then) / one, again: Duration::from_nanos(then - now), over: None }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const THREE: Rate = Rate { requests: 3, window: Duration::from_secs(1) };

    fn over(taken: &Taken) -> Option<u64> {
        taken.over.map(|time| time.as_millis() as u64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_of_requests_may_come_at_once_and_then_one_after_the_other() {
        let table = Table::default();
        let left: Vec<u64> = (0..3).map(|_| table.take(7, THREE).left).collect();
        assert_eq!(left, [2, 1, 0]);
        assert_eq!(over(&table.peek(7, THREE)), Some(333));
        assert_eq!(over(&table.take(7, THREE)), Some(333));
        // Another caller has its own.
        assert_eq!(table.take(8, THREE).over, None);
        advance(Duration::from_millis(334)).await;
        assert_eq!(table.take(7, THREE).over, None);
        assert!(table.take(7, THREE).over.is_some());
        advance(Duration::from_secs(3600)).await;
        let left: Vec<u64> = (0..3).map(|_| table.take(7, THREE).left).collect();
        assert_eq!(left, [2, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_long_run_a_caller_has_its_rate() {
        for rate in [THREE, Rate { requests: 600, window: Duration::from_secs(60) }] {
            let table = Table::default();
            let mut made = 0;
            for _ in 0..6_000 {
                made += u32::from(table.take(1, rate).over.is_none());
                advance(Duration::from_millis(20)).await;
            }
            // 120 s, and one window at once.
            let per_second = f64::from(rate.requests) / rate.window.as_secs_f64();
            let expected = 120.0 * per_second + f64::from(rate.requests);
            assert!((f64::from(made) - expected).abs() <= 2.0, "{made} of {expected}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_does_not_grow_and_forgets_who_loses_least() {
        let table = Table::default();
        let of_one_set = |number: u64| 1 + number * SETS as u64;
        let busy = of_one_set(0);
        for _ in 0..3 {
            table.take(busy, THREE);
        }
        for number in 1..1_000 {
            assert_eq!(table.take(of_one_set(number), THREE).over, None);
        }
        assert!(table.take(busy, THREE).over.is_some(), "the busy one is still known");
        assert_eq!(table.sets.len() * WAYS, PLACES);
    }
}
