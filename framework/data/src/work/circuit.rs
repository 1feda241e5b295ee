//! A kind of work is held back as a whole while a module that it calls fails.
//!
//! Pieces are tried again one by one, each with pauses of its own. With a thousand of them that is a
//! load of its own on a module that fails, and most of all on one that has just come back. So each
//! worker has a circuit for each kind of work:
//!
//! - *Closed*: its pieces are claimed. When enough of them have failed lately, most of all, and for
//!   calls to one module, it opens.
//! - *Open*: none of them is claimed, for a pause that doubles with each failed trial, up to a bound.
//! - *Tried*: a single piece is claimed. If it fails at a call again, the circuit is open for longer.
//! - *Released*: else what has piled up is claimed evenly over some seconds. Then it is closed.
//!
//! A piece that is held back is not claimed, so that it counts no attempt and is not parked. A breaker
//! of the calling side (`remote`) takes calls to another replica, and so does nothing for a module
//! that has one replica, or is in the same process. This one needs no other replica.

use crate::call::Backoff;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// How a kind of work is held back while a module that it calls fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// The kind is held back after this many failures within ten seconds, if most of its attempts
    /// failed and all failures were calls to one module.
    pub failures: u32,
    /// The pause before a single piece is tried. It doubles with each one that fails, give or take a
    /// fifth.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// How long it takes to do what has piled up, once a piece has succeeded.
    pub release: Duration,
}

impl Circuit {
    /// After five failures; one piece is tried after a second at first, after five at last; what has
    /// piled up is done over twenty seconds.
    pub const DEFAULT: Self = Self {
        failures: 5,
        first: Duration::from_secs(1),
        most: Duration::from_secs(5),
        release: Duration::from_secs(20),
    };
}

/// How long attempts are remembered, and how many of them.
const WINDOW: Duration = Duration::from_secs(10);
const REMEMBERED: usize = 64;
/// A circuit that was not opened for this long begins with the first pause again.
const FORGIVEN: Duration = Duration::from_secs(60);
/// The lowest rate at which held pieces are released, in pieces a second.
const LEAST_RATE: f64 = 10.0;
/// Pieces that may be claimed at once while it is released.
const BURST: f64 = 4.0;
/// When it is looked again for a piece to try, where none was due.
const LOOK: Duration = Duration::from_secs(1);

/// The circuit of one kind of work.
#[derive(Debug)]
pub(super) struct KindCircuit {
    circuit: Circuit,
    state: State,
    /// How often it was opened, one time soon after another.
    times: u32,
    closed_at: Option<Instant>,
    /// When attempts ended, and the module whose call failed.
    recent: VecDeque<(Instant, Option<&'static str>)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed,
    Open { at: &'static str, until: Instant },
    Tried { at: &'static str },
    Released { rate: f64, tokens: f64, counted: Instant, until: Instant },
}

/// How many pieces may be claimed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// As many as there are.
    All,
    /// So many at most; a single one is a trial where the circuit is open.
    Few(usize),
    /// None, for so long.
    None(Duration),
}

/// How an attempt ended, as the circuit sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    /// It failed for a call to this module.
    FailedAt(&'static str),
    /// It failed for another reason.
    Failed,
    /// It was not ended.
    Cut,
}

/// A change that is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change {
    /// The circuit is open for `pause`: `failed` of `of` attempts failed at calls to the module `at`.
    Opened { at: &'static str, failed: usize, of: usize, pause: Duration },
    /// The trial failed at a call to the module `at`. The circuit is open for another `pause`.
    StillOpen { at: &'static str, pause: Duration },
    /// The trial succeeded. It waits for [`KindCircuit::release`].
    Succeeded { at: &'static str },
}

impl KindCircuit {
    pub(super) fn new(circuit: Circuit) -> Self {
        let (state, recent) = (State::Closed, VecDeque::new());
        Self { circuit, state, times: 0, closed_at: None, recent }
    }

    /// How many pieces may be claimed now.
    pub(super) fn room(&mut self, now: Instant) -> Room {
        match &mut self.state {
            State::Closed => Room::All,
            State::Open { until, .. } if now < *until => Room::None(*until - now),
            State::Open { .. } => Room::Few(1),
            // The end of the trial is heard of.
            State::Tried { .. } => Room::None(LOOK),
            State::Released { until, .. } if now >= *until => {
                self.close(now);
                Room::All
            }
            State::Released { rate, tokens, counted, .. } => {
                let more = now.duration_since(*counted).as_secs_f64() * *rate;
                (*tokens, *counted) = ((*tokens + more).min(BURST), now);
                if *tokens >= 1.0 {
                    Room::Few(*tokens as usize)
                } else {
                    Room::None(Duration::from_secs_f64((1.0 - *tokens) / *rate))
                }
            }
        }
    }

    /// So many were claimed of `room`. Says whether the one piece is a trial.
    pub(super) fn claimed(&mut self, now: Instant, claimed: usize, room: usize) -> bool {
        match &mut self.state {
            // It was opened again while they were claimed.
            State::Open { until, .. } if now < *until => false,
            State::Open { at, until } => {
                if claimed == 0 {
                    *until = now + LOOK.min(self.circuit.most);
                    return false;
                }
                self.state = State::Tried { at };
                true
            }
            State::Released { tokens, .. } => {
                *tokens -= claimed as f64;
                // Nothing more is due.
                if claimed < room {
                    self.close(now);
                }
                false
            }
            State::Closed | State::Tried { .. } => false,
        }
    }

    /// An attempt has ended; whether it was the trial.
    pub(super) fn ended(&mut self, now: Instant, ending: Ending, trial: bool) -> Option<Change> {
        match (self.state, ending) {
            (State::Tried { at }, _) if trial => Some(match ending {
                Ending::FailedAt(at) => {
                    self.times = self.times.saturating_add(1);
                    Change::StillOpen { at, pause: self.open(now, at) }
                }
                Ending::Cut => Change::StillOpen { at, pause: self.open(now, at) },
                // What fails for other reasons has its own pauses.
                Ending::Done | Ending::Failed => Change::Succeeded { at },
            }),
            // They were begun before it was opened.
            (State::Open { .. } | State::Tried { .. }, _) | (_, Ending::Cut) => None,
            (State::Closed | State::Released { .. }, _) => self.learn(now, ending),
        }
    }

    fn learn(&mut self, now: Instant, ending: Ending) -> Option<Change> {
        let failed_at = match ending {
            Ending::FailedAt(module) => Some(module),
            _ => None,
        };
        self.recent.push_back((now, failed_at));
        while self.recent.len() > REMEMBERED
            || self.recent.front().is_some_and(|(then, _)| *then + WINDOW <= now)
        {
            self.recent.pop_front();
        }
        let at = failed_at?;
        let failed = self.recent.iter().filter(|(_, module)| *module == failed_at).count();
        let of = self.recent.len();
        if failed < self.circuit.failures.max(1) as usize || 2 * failed <= of {
            return None;
        }
        if self.closed_at.is_none_or(|closed| now >= closed + FORGIVEN) {
            self.times = 0;
        }
        Some(Change::Opened { at, failed, of, pause: self.open(now, at) })
    }

    /// Releases the `pieces` that have piled up, evenly. Returns the rate in pieces a second.
    pub(super) fn release(&mut self, now: Instant, pieces: u64) -> f64 {
        let seconds = self.circuit.release.as_secs_f64().max(0.001);
        let rate = (pieces as f64 / seconds).max(LEAST_RATE);
        let until = now + 2 * self.circuit.release;
        self.state = State::Released { rate, tokens: 1.0, counted: now, until };
        self.recent.clear();
        rate
    }

    fn close(&mut self, now: Instant) {
        self.state = State::Closed;
        self.closed_at = Some(now);
    }

    fn open(&mut self, now: Instant, at: &'static str) -> Duration {
        let Circuit { first, most, .. } = self.circuit;
        let pause = Backoff::fifth(first, most).pause(self.times);
        self.state = State::Open { at, until: now + pause };
        self.closed_at = Some(now);
        self.recent.clear();
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const FAILED: Ending = Ending::FailedAt("payments");

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// One that was opened just now, for how long.
    fn opened() -> (KindCircuit, Duration) {
        let mut course = KindCircuit::new(Circuit::DEFAULT);
        for _ in 0..4 {
            assert_eq!(course.ended(Instant::now(), FAILED, false), None);
        }
        let opened = course.ended(Instant::now(), FAILED, false);
        let Some(Change::Opened { at: "payments", failed: 5, of: 5, pause }) = opened else {
            panic!("{opened:?}")
        };
        (course, pause)
    }

    /// Lets it be tried by one piece, which ends so.
    fn tried(course: &mut KindCircuit, ending: Ending) -> Option<Change> {
        assert_eq!(course.room(Instant::now()), Room::Few(1));
        assert!(course.claimed(Instant::now(), 1, 1));
        assert!(matches!(course.room(Instant::now()), Room::None(_)), "one at a time");
        course.ended(Instant::now(), ending, true)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_when_most_pieces_fail_at_one_module() {
        let (mut course, pause) = opened();
        assert!(secs(0.8) <= pause && pause <= secs(1.2), "{pause:?}");
        assert_eq!(course.room(Instant::now()), Room::None(pause));
        // Those that were begun before say nothing.
        assert_eq!(course.ended(Instant::now(), Ending::Done, false), None);
        assert_eq!(course.room(Instant::now()), Room::None(pause));
    }

    #[tokio::test(start_paused = true)]
    async fn it_stays_closed_while_half_go_well_or_fail_elsewhere_or_seldom() {
        let elsewhere = [Ending::FailedAt("stock"), Ending::FailedAt("users"), FAILED];
        for endings in [&[Ending::Done, FAILED][..], &[Ending::Failed, FAILED], &elsewhere] {
            let mut course = KindCircuit::new(Circuit::DEFAULT);
            for &ending in endings.iter().cycle().take(300) {
                assert_eq!(course.ended(Instant::now(), ending, false), None, "{endings:?}");
            }
            assert_eq!(course.room(Instant::now()), Room::All);
        }
        let mut course = KindCircuit::new(Circuit::DEFAULT);
        for _ in 0..100 {
            assert_eq!(course.ended(Instant::now(), FAILED, false), None);
            advance(secs(2.5)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_by_one_piece_after_a_pause_that_grows_up_to_a_bound() {
        let (mut course, mut pause) = opened();
        for longest in [2.0, 4.0, 5.0, 5.0, 5.0] {
            advance(pause).await;
            let failed = tried(&mut course, FAILED);
            let Some(Change::StillOpen { at: "payments", pause: next }) = failed else {
                panic!("{failed:?}")
            };
            assert!(secs(longest * 0.8) <= next && next <= secs(longest * 1.2), "{next:?}");
            pause = next;
        }
        // Nobody waited for the end of the trial: it is no failure.
        advance(pause).await;
        assert!(matches!(tried(&mut course, Ending::Cut), Some(Change::StillOpen { .. })));
        // Where none is due, it is looked again.
        advance(secs(6.0)).await;
        assert!(!course.claimed(Instant::now(), 0, 1));
        assert_eq!(course.room(Instant::now()), Room::None(LOOK));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_piled_up_is_released_evenly_and_within_its_time() {
        for ending in [Ending::Done, Ending::Failed] {
            let (mut course, pause) = opened();
            advance(pause).await;
            let succeeded = tried(&mut course, ending);
            assert_eq!(succeeded, Some(Change::Succeeded { at: "payments" }));
            let (mut left, begun) = (1_800, Instant::now());
            assert_eq!(course.release(Instant::now(), left), 90.0);
            let mut in_this_second = (0, 0);
            loop {
                match course.room(Instant::now()) {
                    Room::All => break,
                    Room::None(pause) => advance(pause.max(Duration::from_millis(1))).await,
                    Room::Few(few) => {
                        let claimed = (left as usize).min(few);
                        left -= claimed as u64;
                        let second = begun.elapsed().as_secs();
                        let before = if in_this_second.0 == second { in_this_second.1 } else { 0 };
                        in_this_second = (second, before + claimed);
                        assert!(in_this_second.1 <= 95, "{in_this_second:?}");
                        course.claimed(Instant::now(), claimed, few);
                        course.ended(Instant::now(), Ending::Done, false);
                    }
                }
            }
            assert_eq!(left, 0);
            assert!(begun.elapsed() < secs(21.0), "{:?}", begun.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_again_while_it_is_released_and_forgives_later() {
        let (mut course, pause) = opened();
        advance(pause).await;
        let Some(Change::StillOpen { pause, .. }) = tried(&mut course, FAILED) else { panic!() };
        advance(pause).await;
        tried(&mut course, Ending::Done);
        course.release(Instant::now(), 100);
        let reopen = |course: &mut KindCircuit| {
            let ended = (0..5).filter_map(|_| course.ended(Instant::now(), FAILED, false)).last();
            let Some(Change::Opened { pause, .. }) = ended else { panic!("{ended:?}") };
            pause
        };
        let pause = reopen(&mut course);
        assert!(pause >= secs(1.6), "{pause:?}");
        advance(pause).await;
        tried(&mut course, Ending::Done);
        course.release(Instant::now(), 0);
        advance(secs(120.0)).await;
        assert_eq!(course.room(Instant::now()), Room::All);
        advance(FORGIVEN).await;
        assert!(reopen(&mut course) <= secs(1.2));
    }
}
