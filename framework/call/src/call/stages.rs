//! Where the time of calls between processes goes.
//!
//! One call in sixteen is timed, at random. A bit of its id tells the other process to time it too.
//! So the stages of a call add up: its total time minus the stages of both processes is the time on
//! the network.

use super::clock::Moment;
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    ops::{Add, Sub},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A stage of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Caller: the whole call.
    Whole,
    /// Caller: encoding the arguments.
    Encode,
    /// Caller: waiting for the connection's task.
    Queue,
    /// Caller: decoding the answer.
    Decode,
    /// Serving side: from reading the call to the encoded answer.
    Served,
    /// Serving side: the module and the guard around it.
    Module,
}

/// The calls that were timed at one stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// The number of calls.
    pub calls: u64,
    /// Their total duration, in nanoseconds.
    pub nanos: u64,
}

/// The timed calls at every stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Caller: the whole call.
    pub whole: Timed,
    /// Caller: encoding the arguments.
    pub encode: Timed,
    /// Caller: waiting for the connection's task.
    pub queue: Timed,
    /// Caller: decoding the answer.
    pub decode: Timed,
    /// Serving side: from reading the call to the encoded answer.
    pub served: Timed,
    /// Serving side: the module and the guard around it.
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
    /// The state of the random numbers. A counter instead would always pick the same method if
    /// calls come in a fixed pattern.
    static CHANCE: Cell<u32> = const { Cell::new(0x9e37_79b9) };
}

impl Stages {
    /// One call in this many is timed.
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

    /// The stages that were timed in this process so far.
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

/// A stage that is being timed, or `None` if this call is not sampled.
#[derive(Debug, Clone, Copy)]
pub struct Probe(Option<Moment>);

impl Probe {
    /// Starts a call, which is sampled at random.
    #[inline]
    pub fn begin() -> Self {
        let mut chance = CHANCE.get();
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        CHANCE.set(chance);
        Self(u64::from(chance).is_multiple_of(Stages::SAMPLE).then(Moment::now))
    }

    /// Starts a stage of a call, which is timed if the call is.
    #[inline]
    pub fn of(timed: bool) -> Self {
        Self(timed.then(Moment::now))
    }

    /// Whether this call is timed.
    #[inline]
    pub fn is_timed(self) -> bool {
        self.0.is_some()
    }

    /// Ends the stage.
    #[inline]
    pub fn end(self, stage: Stage) {
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
            // Two kinds of calls that alternate strictly are both sampled.
            timed[at % 2] += u64::from(probe.is_timed());
            Probe::of(probe.is_timed()).end(Stage::Decode);
            probe.end(Stage::Encode);
        }
        let Stages { encode, decode, .. } = Stages::so_far() - before;
        assert!(timed.iter().all(|timed| (60..140).contains(timed)), "{timed:?}");
        // Other tests in this process may make calls too.
        assert!(encode.calls >= timed[0] + timed[1] && decode.nanos < encode.nanos);
    }
}
