//! Counts the calls of a method, by who makes them.
//!
//! A method has few callers: the modules that declare its interface, the edge, and other processes. Each of them gets a
//! counter at its first call. There is a fixed number of counters, and callers beyond that share the last one.

use super::{
    Side,
    counter::{Counter, Figures},
};
use std::{fmt, sync::OnceLock};

/// The callers that are told apart.
const CALLERS: usize = 15;

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A module of this process.
    Module(&'static str),
    /// Nothing that is a module: the gateway, a program's own code, durable work.
    Edge,
    /// Another process.
    Process,
    /// One of several that have no counter of their own.
    Other,
}

/// A caller, and whether the module that it calls runs in this process.
type Key = (Caller, Side);

/// Counts the calls of one method.
pub struct Meter {
    callers: [OnceLock<(Key, Counter)>; CALLERS],
    others: [Counter; 2],
}

impl Meter {
    /// A meter at zero.
    #[allow(clippy::new_without_default, reason = "it must be const, to stand in a static")]
    pub const fn new() -> Self {
        Self {
            callers: [const { OnceLock::new() }; CALLERS],
            others: [const { Counter::new() }; 2],
        }
    }

    /// What counts the calls of this caller.
    #[inline]
    pub(super) fn of(&self, caller: Caller, side: Side) -> &Counter {
        for place in &self.callers {
            let (key, counter) = place.get_or_init(|| ((caller, side), Counter::new()));
            if *key == (caller, side) {
                return counter;
            }
        }
        &self.others[side as usize]
    }

    /// The counts so far, by caller.
    pub fn figures(&self) -> Vec<(Caller, Side, Figures)> {
        let own = self.callers.iter().filter_map(OnceLock::get);
        let own = own.map(|((caller, side), counter)| (*caller, *side, counter.figures()));
        let others = [Side::Module, Side::Caller].map(|side| (side, &self.others[side as usize]));
        let others = others.map(|(side, counter)| (Caller::Other, side, counter.figures()));
        own.chain(others.into_iter().filter(|(_, _, figures)| figures.calls() > 0)).collect()
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures();
        let calls = figures.iter().map(|(caller, side, figures)| ((caller, side), figures.calls()));
        f.debug_map().entries(calls).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::counter::Ending, *};

    #[test]
    fn callers_are_counted_apart_and_no_more_of_them_than_there_is_room_for() {
        static NAMES: [&str; 20] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
            "r", "s", "t",
        ];
        static METER: Meter = Meter::new();
        for _ in 0..2 {
            for name in NAMES {
                let counter = METER.of(Caller::Module(name), Side::Module);
                counter.count(Ending::Answered, Some(1_000));
            }
        }
        METER.of(Caller::Module("a"), Side::Caller).count(Ending::Failed, None);
        let figures = METER.figures();
        let of = |wanted, on| {
            let found = figures.iter().find(|(caller, side, _)| (*caller, *side) == (wanted, on));
            found.map(|(_, _, figures)| (figures.answered, figures.failed))
        };
        assert_eq!(of(Caller::Module("a"), Side::Module), Some((2, 0)));
        assert_eq!(of(Caller::Module("o"), Side::Module), Some((2, 0)));
        assert_eq!(of(Caller::Module("p"), Side::Module), None);
        assert_eq!(of(Caller::Other, Side::Module), Some((10, 0)));
        assert_eq!(of(Caller::Other, Side::Caller), Some((0, 1)));
    }
}
