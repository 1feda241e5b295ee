//! Counts the calls of a method, by who makes them.
//!
//! A method has few callers: the modules that declare its interface, the edge, and other processes. Each of them gets a
//! counter at its first call. There is a fixed number of counters, and callers beyond that share the last one.

use super::{
    Side,
    counter::{Cells, Counter, Figures},
    polled,
};
use std::{cell::Cell, fmt, ptr, sync::OnceLock};

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

impl Caller {
    /// Who makes a call that begins now on this thread. Outside of calls it came from a peer, or begins here.
    #[inline]
    pub(super) fn now(of_a_peer: bool) -> Self {
        match polled::current_callee() {
            Some(callee) => Self::Module(callee.module),
            None if of_a_peer => Self::Process,
            None => Self::Edge,
        }
    }

    /// Whether it is the same, by where a module's name is. Others may have the same name.
    #[inline]
    fn is_surely(self, other: Self) -> bool {
        match (self, other) {
            (Self::Module(one), Self::Module(other)) => ptr::eq(one, other),
            (Self::Edge, Self::Edge) | (Self::Process, Self::Process) => true,
            _ => false,
        }
    }

    #[inline]
    fn address(self) -> usize {
        match self {
            Self::Module(name) => name.as_ptr().addr(),
            Self::Edge => 1,
            Self::Process => 2,
            Self::Other => 3,
        }
    }
}

/// Places for what a thread counted last.
const RECENT: usize = 64;

/// What a thread counted: calls of a method by a caller.
#[derive(Clone, Copy)]
struct Recent {
    meter: &'static Meter,
    caller: Caller,
    side: Side,
    cells: &'static Cells,
}

thread_local! {
    /// Found without a search, and without the destructor that a thread's own cells need.
    static RECENT_CELLS: [Cell<Option<Recent>>; RECENT] = const { [const { Cell::new(None) }; RECENT] };
}

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

    /// This thread's cells for the calls of this caller, unless the thread ends.
    #[inline]
    pub(super) fn cells(&'static self, caller: Caller, side: Side) -> Option<&'static Cells> {
        let place = (ptr::from_ref(self).addr() / 64) ^ caller.address() ^ side as usize;
        let recent = RECENT_CELLS.with(|recent| recent[place % RECENT].get());
        match recent {
            Some(Recent { meter, caller: by, side: on, cells })
                if ptr::eq(meter, self)
                    && by.is_surely(caller)
                    && on == side
                    && cells.is_of_this_thread() =>
            {
                Some(cells)
            }
            _ => self.find(caller, side, place % RECENT),
        }
    }

    #[cold]
    fn find(&'static self, caller: Caller, side: Side, place: usize) -> Option<&'static Cells> {
        let cells = self.of(caller, side).cells()?;
        let found = Recent { meter: self, caller, side, cells };
        RECENT_CELLS.with(|recent| recent[place].set(Some(found)));
        Some(cells)
    }

    /// What counts the calls of this caller.
    fn of(&self, caller: Caller, side: Side) -> &Counter {
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
        let count =
            |caller, side, ending| METER.cells(caller, side).unwrap().count(ending, Some(1_000));
        for _ in 0..2 {
            for name in NAMES {
                count(Caller::Module(name), Side::Module, Ending::Answered);
            }
        }
        count(Caller::Module("a"), Side::Caller, Ending::Failed);
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
