//! Where the time of calls between processes goes, as far as one process can see it.
//!
//! One call in sixteen is timed, by chance, and then on both sides: its id says so. So the stages add
//! up: what is left of a caller's whole time, when all that both processes know of is taken away, went
//! by on the way between them.

use super::clock::Moment;
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    ops::{Add, Sub},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A part of a call's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The caller's: all of it.
    Whole,
    /// The caller's: encoding what is passed.
    Encode,
    /// The caller's: waiting for the connection's task.
    Queue,
    /// The caller's: reading the answer.
    Decode,
    /// The serving side's: from reading the call to having its answer encoded.
    Served,
    /// The serving side's: the module itself, with the guard around it.
    Module,
}

/// Calls that were timed at one stage, and how long they took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// How many.
    pub calls: u64,
    /// How long, in nanoseconds.
    pub nanos: u64,
}

/// What was timed at all stages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// The caller's: all of it.
    pub whole: Timed,
    /// The caller's: encoding what is passed.
    pub encode: Timed,
    /// The caller's: waiting for the connection's task.
    pub queue: Timed,
    /// The caller's: reading the answer.
    pub decode: Timed,
    /// The serving side's: from reading the call to having its answer encoded.
    pub served: Timed,
    /// The serving side's: the module itself, with the guard around it.
    pub module: Timed,
}

impl Add for Timed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { calls: self.calls + other.calls, nanos: self.nanos + other.nanos }
    }
}

impl Sub for Timed {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            nanos: self.nanos.saturating_sub(before.nanos),
        }
    }
}

impl Add for Stages {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, Add::add)
    }
}

impl Sub for Stages {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        self.with(before, Sub::sub)
    }
}

/// Calls and nanoseconds of each stage.
static ALL: [[AtomicU64; 2]; 6] = [const { [const { AtomicU64::new(0) }; 2] }; 6];

thread_local! {
    /// What chance says next. A count would meet the same of several calls again and again, where they
    /// come in a pattern.
    static CHANCE: Cell<u32> = const { Cell::new(0x9e37_79b9) };
}

impl Stages {
    /// One call in so many is timed.
    pub const SAMPLE: u64 = 16;

    fn with(self, other: Self, each: fn(Timed, Timed) -> Timed) -> Self {
        Self {
            whole: each(self.whole, other.whole),
            encode: each(self.encode, other.encode),
            queue: each(self.queue, other.queue),
            decode: each(self.decode, other.decode),
            served: each(self.served, other.served),
            module: each(self.module, other.module),
        }
    }

    /// What has been timed in this program so far.
    pub fn so_far() -> Self {
        let of = |stage: Stage| {
            let [calls, nanos] = &ALL[stage as usize];
            Timed { calls: calls.load(Relaxed), nanos: nanos.load(Relaxed) }
        };
        Self {
            whole: of(Stage::Whole),
            encode: of(Stage::Encode),
            queue: of(Stage::Queue),
            decode: of(Stage::Decode),
            served: of(Stage::Served),
            module: of(Stage::Module),
        }
    }
}

/// A stage that is being timed, if it is its turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe(Option<Moment>);

impl Probe {
    /// Begins now.
    #[inline]
    pub(crate) fn begin() -> Self {
        let mut chance = CHANCE.get();
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        CHANCE.set(chance);
        Self(u64::from(chance).is_multiple_of(Stages::SAMPLE).then(Moment::now))
    }

    /// For a part of a call: timed when the call is.
    #[inline]
    pub(crate) fn of(timed: bool) -> Self {
        Self(timed.then(Moment::now))
    }

    /// Whether it is timed at all.
    #[inline]
    pub(crate) fn is_timed(self) -> bool {
        self.0.is_some()
    }

    /// Ends now.
    #[inline]
    pub(crate) fn end(self, stage: Stage) {
        if let Some(began) = self.0 {
            let [calls, nanos] = &ALL[stage as usize];
            calls.fetch_add(1, Relaxed);
            nanos.fetch_add(began.nanos(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_is_timed() {
        let before = Stages::so_far();
        let mut timed = [0; 2];
        for at in 0..Stages::SAMPLE as usize * 200 {
            let probe = Probe::begin();
            // However regularly two kinds of calls take turns, both are met.
            timed[at % 2] += u64::from(probe.is_timed());
            Probe::of(probe.is_timed()).end(Stage::Decode);
            probe.end(Stage::Encode);
        }
        let Stages { encode, decode, .. } = Stages::so_far() - before;
        assert!(timed.iter().all(|timed| (60..140).contains(timed)), "{timed:?}");
        // Other tests of this program may have calls of their own.
        assert!(encode.calls >= timed[0] + timed[1] && decode.nanos < encode.nanos);
    }
}
