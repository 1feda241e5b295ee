//! What a method's calls have been like lately: whether they keep a processor busy before they answer
//! or wait, and how long their answers are.

use crate::{call::clock::Moment, wire::ExpectedAnswer};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A method that is busy for longer, in the mean, is given a task of its own at once: on the
/// connection's it would hold back all calls behind it.
const BUSY: u64 = 100_000;
/// Each first poll moves the mean by this part.
const SHARE: u64 = 8;

/// What a method's calls have been like lately.
#[derive(Debug, Default)]
pub(super) struct Habit {
    /// How long first polls have taken, in the mean.
    nanos: AtomicU64,
    pub(super) answer: ExpectedAnswer,
}

impl Habit {
    pub(super) fn is_busy(&self) -> bool {
        self.nanos.load(Relaxed) > BUSY
    }

    /// Makes a first poll, and learns from it.
    pub(super) fn watch<R>(&self, poll: impl FnOnce() -> R) -> R {
        let began = Moment::now();
        let result = poll();
        self.learn(began.nanos());
        result
    }

    /// Two that learn at once may lose one's lesson, which is no loss.
    fn learn(&self, nanos: u64) {
        let mean = self.nanos.load(Relaxed);
        let next = mean - mean / SHARE + nanos / SHARE;
        if next != mean {
            self.nanos.store(next, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_poll_is_remembered_and_short_ones_are_forgiven() {
        let habit = Habit::default();
        (0..100).for_each(|_| habit.learn(2_000));
        assert!(!habit.is_busy());
        habit.learn(1_000_000);
        assert!(habit.is_busy());
        (0..5).for_each(|_| habit.learn(2_000));
        assert!(!habit.is_busy());
    }

    #[test]
    fn a_method_that_is_always_busy_stays_so() {
        let habit = Habit::default();
        (0..1_000).for_each(|_| habit.learn(1_000_000));
        assert!(habit.is_busy());
        habit.learn(1_000);
        assert!(habit.is_busy());
    }
}
