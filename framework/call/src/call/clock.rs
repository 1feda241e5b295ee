//! Time: the current instant, the deadline of a call, and the longest deadline.
//!
//! All time is tokio's, so that a paused or simulated clock moves every deadline. Reading tokio's
//! clock costs more than a call inside a process. A release build therefore reads it once a
//! millisecond on each thread, and the CPU's time-stamp counter in between. A build with debug
//! assertions reads tokio's clock every time, because a test may have paused it.

use super::{
    Sampling,
    access::{Access, Acting},
    record::Recorder,
};
use std::{
    cell::Cell,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// The longest deadline. A longer one, from a peer or a method, is cut to this.
pub const MAX_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// Defaults for a call that starts at the edge, where there is no context yet.
#[derive(Debug, Clone)]
pub struct CallSettings {
    /// The deadline of such a call, unless its method has one of its own.
    pub deadline: Duration,
    /// If true, a call that exceeds `deadline` is logged and goes on. This is for an existing
    /// program that starts to use deadlines. A method's own deadline is enforced in any case.
    pub observe: bool,
    /// Hold what is encoded to the bounds that its types state, where it leaves for another module
    /// and where an answer comes back. For tests: outside of them the gateway does so, where a
    /// request comes in.
    pub checked: bool,
    /// Keeps what requests did, if anything does.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// How many of the traces that start here are sampled.
    pub sampling: Sampling,
    /// What becomes of calls that a method's rule refuses.
    pub access: Access,
    /// On whose behalf calls are made that start here.
    pub acting: Acting,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            observe: false,
            checked: false,
            recorder: None,
            sampling: Sampling::default(),
            access: Access::default(),
            acting: Acting::Own,
        }
    }
}

impl CallSettings {
    /// When a call that starts now must end, and when to log that it is still running.
    pub fn starting(&self, now: Instant, own: Option<Duration>) -> Start {
        match own {
            None if self.observe => {
                Start { deadline: now + MAX_DEADLINE, complain: Some(now + clamp(self.deadline)) }
            }
            own => Start { deadline: now + clamp(own.unwrap_or(self.deadline)), complain: None },
        }
    }
}

/// The two instants of a new call.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    pub deadline: Instant,
    pub complain: Option<Instant>,
}

/// Limits a duration to [`MAX_DEADLINE`], so that adding it to the clock cannot overflow.
pub fn clamp(asked: Duration) -> Duration {
    asked.min(MAX_DEADLINE)
}

/// A moment from which a duration is measured. It is valid in this process only, and is never
/// stored or sent.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    at: u64,
    /// True if `value` comes from the counter. Otherwise it is tokio's clock in nanoseconds.
    by_counter: bool,
}

/// How long a thread relies on the counter alone, in nanoseconds. The counter's error is some
/// millionths, which is negligible in a millisecond.
const BY_COUNTER: u64 = 1_000_000;
/// If reading the counter and the clock takes longer than this, the thread was interrupted in
/// between and the two values do not belong together.
const TOGETHER: u64 = 5_000;

/// So many ticks of the counter tell how fast it is.
const TICKS: u64 = 1 << 30;

/// What the counter showed at a known instant, on this thread.
#[derive(Clone, Copy)]
struct Anchor {
    counter: u64,
    at: Instant,
    /// After this instant the thread reads tokio's clock again: for the counter, after it shows this.
    until: Instant,
    counter_until: u64,
}

thread_local! {
    static ANCHOR: Cell<Option<Anchor>> = const { Cell::new(None) };
}

/// The counter, or `None` until it is calibrated. Calibration takes a while.
fn counter() -> Option<&'static quanta::Clock> {
    static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();
    static COMPARED: OnceLock<()> = OnceLock::new();
    if cfg!(debug_assertions) {
        return None;
    }
    let counter = COUNTER.get();
    if counter.is_none() {
        COMPARED.get_or_init(|| {
            // tokio's clock is used until the calibration ends, or for ever if no thread can be
            // spawned.
            let compare = || drop(COUNTER.set(quanta::Clock::new()));
            drop(std::thread::Builder::new().name("clock".to_owned()).spawn(compare));
        });
    }
    counter
}

/// The current instant on tokio's clock.
#[inline]
pub fn now() -> Instant {
    counter().map_or_else(Instant::now, |counter| now_at(counter, counter.raw()))
}

/// The current moment, and whether `deadline` has passed.
#[inline]
pub fn begin(deadline: Instant) -> (Moment, bool) {
    match counter() {
        Some(counter) => {
            let shown = counter.raw();
            let moment = Moment { at: shown, by_counter: true };
            // The fast path: nearly always the deadline is beyond the anchor's range, and no
            // addition is needed.
            let ahead = ANCHOR
                .get()
                .is_some_and(|anchor| deadline > anchor.until && anchor.is_fresh(shown));
            (moment, !ahead && now_at(counter, shown) >= deadline)
        }
        None => {
            let now = Instant::now();
            (Moment { at: nanos_of(now), by_counter: false }, now >= deadline)
        }
    }
}

/// Whether `deadline` had passed at this thread's last reading of the clock, which costs nothing.
/// If the thread keeps no reading, this reads the clock.
#[inline]
pub fn is_known_past(deadline: Instant) -> bool {
    match ANCHOR.get() {
        Some(anchor) => anchor.at >= deadline,
        None => now() >= deadline,
    }
}

impl Moment {
    /// The current moment.
    pub fn now() -> Self {
        match counter() {
            Some(counter) => Self { at: counter.raw(), by_counter: true },
            None => Self { at: nanos_of(Instant::now()), by_counter: false },
        }
    }

    /// The time since this moment, in nanoseconds.
    #[inline]
    pub fn nanos(self) -> u64 {
        match counter() {
            Some(counter) if self.by_counter => counter.delta_as_nanos(self.at, counter.raw()),
            _ => nanos_of(Instant::now()).saturating_sub(self.at),
        }
    }

    /// The time from an earlier moment to this one, in nanoseconds; 0 if there is none, or if the two were read from
    /// different clocks.
    #[inline]
    pub fn nanos_since(self, earlier: Self) -> u64 {
        match (counter(), self.by_counter == earlier.by_counter) {
            (Some(counter), true) if self.by_counter => counter.delta_as_nanos(earlier.at, self.at),
            (_, true) => self.at.saturating_sub(earlier.at),
            (_, false) => 0,
        }
    }
}

impl Anchor {
    #[inline]
    fn is_fresh(&self, shown: u64) -> bool {
        (self.counter..self.counter_until).contains(&shown)
    }
}

/// The instant at which `counter` shows `shown`, which is now.
#[inline]
fn now_at(counter: &quanta::Clock, shown: u64) -> Instant {
    match ANCHOR.get() {
        Some(anchor) if anchor.is_fresh(shown) => {
            anchor.at + Duration::from_nanos(counter.delta_as_nanos(anchor.counter, shown))
        }
        _ => anchor(counter),
    }
}

/// Reads the clock and keeps the result as this thread's anchor.
#[cold]
fn anchor(counter: &quanta::Clock) -> Instant {
    let before = counter.raw();
    let at = Instant::now();
    let until = at + Duration::from_nanos(BY_COUNTER);
    let after = counter.raw();
    let together = counter.delta_as_nanos(before, after) < TOGETHER;
    let counter_until =
        before.saturating_add(BY_COUNTER * TICKS / counter.delta_as_nanos(0, TICKS).max(1));
    ANCHOR.set(together.then_some(Anchor { counter: before, at, until, counter_until }));
    at
}

/// Nanoseconds since the first call of this function.
fn nanos_of(instant: Instant) -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    // In a simulation each host has its own time, and a host can be behind the first one that calls
    // this.
    let first = *FIRST.get_or_init(|| instant.checked_sub(MAX_DEADLINE).unwrap_or(instant));
    u64::try_from(instant.saturating_duration_since(first).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The way a release build reads the time.
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
