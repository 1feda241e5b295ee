//! Time: what now is, when a call must end, and how far deadlines may reach.
//!
//! All time is tokio's, so that a paused or simulated clock moves every deadline. Asking for it
//! costs more than a call within a process does, so a release build asks once a millisecond on each
//! thread, and reads the processor's time-stamp counter in between. A build with debug assertions
//! asks each time: there a test may have paused the clock.

use std::{cell::Cell, sync::OnceLock, time::Duration};
use tokio::time::Instant;

/// No deadline is further away than this, whatever a peer or a method asks for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a call that starts at the edge, with no call around it, is given.
#[derive(Debug, Clone)]
pub struct CallSettings {
    /// The deadline of a call that starts here, unless its method states its own.
    pub deadline: Duration,
    /// Log a call that runs past `deadline` instead of ending it. For a program that is only just
    /// adopting deadlines; a method's own deadline is enforced all the same.
    pub observe: bool,
    /// Hold what is encoded to the bounds that its types state, where it leaves for another module
    /// and where an answer comes back. For tests: outside of them the gateway does so, where a
    /// request comes in.
    pub checked: bool,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), observe: false, checked: false }
    }
}

impl CallSettings {
    /// When a call that starts now must end, and when to complain that it has not.
    pub(crate) fn starting(&self, now: Instant, own: Option<Duration>) -> Start {
        match own {
            None if self.observe => {
                Start { deadline: now + MAX_DEADLINE, complain: Some(now + clamp(self.deadline)) }
            }
            own => Start { deadline: now + clamp(own.unwrap_or(self.deadline)), complain: None },
        }
    }
}

/// The two instants that a new call is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) deadline: Instant,
    pub(crate) complain: Option<Instant>,
}

/// Keeps a duration within what a deadline may be: it never overflows the clock.
pub(crate) fn clamp(asked: Duration) -> Duration {
    asked.min(MAX_DEADLINE)
}

/// A moment, for the length of what begins with it. It is not compared with other machines' or
/// written anywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: u64,
    /// Whether the counter showed it; else the clock did, in nanoseconds.
    by_counter: bool,
}

/// For how long a thread goes by the counter alone. The counter may be off by some millionths, which
/// is nothing in a millisecond.
const BY_COUNTER: u64 = 1_000_000;
/// Between reading the counter and the clock the thread may lose its processor: then the two do not
/// belong together.
const TOGETHER: u64 = 5_000;

/// What the counter showed at an instant, on this thread.
#[derive(Clone, Copy)]
struct Anchor {
    counter: u64,
    at: Instant,
    /// When the thread stops going by it.
    until: Instant,
}

thread_local! {
    static ANCHOR: Cell<Option<Anchor>> = const { Cell::new(None) };
}

/// The counter, once it has been compared with the clock, which takes a while.
fn counter() -> Option<&'static quanta::Clock> {
    static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();
    static COMPARED: OnceLock<()> = OnceLock::new();
    if cfg!(debug_assertions) {
        return None;
    }
    let counter = COUNTER.get();
    if counter.is_none() {
        COMPARED.get_or_init(|| {
            // Until it is done, or if there is no thread to be had, the clock is asked each time.
            let compare = || drop(COUNTER.set(quanta::Clock::new()));
            drop(std::thread::Builder::new().name("clock".to_owned()).spawn(compare));
        });
    }
    counter
}

/// Now, on tokio's clock.
#[inline]
pub(crate) fn now() -> Instant {
    counter().map_or_else(Instant::now, |counter| now_at(counter, counter.raw()))
}

/// Now, to measure from, and whether `deadline` has passed.
#[inline]
pub(crate) fn begin(deadline: Instant) -> (Moment, bool) {
    match counter() {
        Some(counter) => {
            let shown = counter.raw();
            let moment = Moment { at: shown, by_counter: true };
            // Nearly always, nothing has to be added up to see that there is time.
            let ahead = ANCHOR
                .get()
                .is_some_and(|anchor| deadline > anchor.until && anchor.is_fresh(counter, shown));
            (moment, !ahead && now_at(counter, shown) >= deadline)
        }
        None => {
            let now = Instant::now();
            (Moment { at: nanos_of(now), by_counter: false }, now >= deadline)
        }
    }
}

/// Whether `deadline` had passed when this thread last asked for the time, if that was not long ago.
/// This costs nothing; without the counter, or before it is known, it asks.
#[inline]
pub(crate) fn is_known_past(deadline: Instant) -> bool {
    match ANCHOR.get() {
        Some(anchor) => anchor.at >= deadline,
        None => now() >= deadline,
    }
}

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        match counter() {
            Some(counter) => Self { at: counter.raw(), by_counter: true },
            None => Self { at: nanos_of(Instant::now()), by_counter: false },
        }
    }

    /// How long ago it was, in nanoseconds.
    #[inline]
    pub(crate) fn nanos(self) -> u64 {
        match counter() {
            Some(counter) if self.by_counter => counter.delta_as_nanos(self.at, counter.raw()),
            _ => nanos_of(Instant::now()).saturating_sub(self.at),
        }
    }
}

impl Anchor {
    #[inline]
    fn is_fresh(&self, counter: &quanta::Clock, shown: u64) -> bool {
        counter.delta_as_nanos(self.counter, shown) < BY_COUNTER
    }
}

/// The instant at which `counter` shows this, which it does just now.
#[inline]
fn now_at(counter: &quanta::Clock, shown: u64) -> Instant {
    match ANCHOR.get() {
        Some(anchor) if anchor.is_fresh(counter, shown) => {
            anchor.at + Duration::from_nanos(counter.delta_as_nanos(anchor.counter, shown))
        }
        _ => anchor(counter),
    }
}

/// Asks the clock, and keeps what it says.
#[cold]
fn anchor(counter: &quanta::Clock) -> Instant {
    let before = counter.raw();
    let at = Instant::now();
    let until = at + Duration::from_nanos(BY_COUNTER);
    let together = counter.delta_as_nanos(before, counter.raw()) < TOGETHER;
    ANCHOR.set(together.then_some(Anchor { counter: before, at, until }));
    at
}

/// Since the first time that anybody asked.
fn nanos_of(instant: Instant) -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    // In a simulation every host has a time of its own, and some are behind the first that asks.
    let first = *FIRST.get_or_init(|| instant.checked_sub(MAX_DEADLINE).unwrap_or(instant));
    u64::try_from(instant.saturating_duration_since(first).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a release build reads it.
    #[test]
    fn the_counter_follows_the_clock() {
        let counter = quanta::Clock::new();
        let most = Duration::from_millis(2);
        for _ in 0..2_000 {
            let before = Instant::now();
            let read = now_at(&counter, counter.raw());
            let after = Instant::now();
            assert!(read + most >= before && read <= after + most, "{before:?} {read:?} {after:?}");
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_is_followed() {
        let (moment, before) = (Moment::now(), now());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(moment.nanos(), 3_000_000_000);
        assert_eq!(now() - before, Duration::from_secs(3));
        assert!(begin(before).1 && !begin(now() + Duration::from_secs(1)).1);
    }
}
