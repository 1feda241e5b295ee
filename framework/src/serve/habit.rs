//! What a method's calls have been like lately: whether they keep a processor busy before they answer
//! or wait, and how long their answers are.

use crate::call::clock::Moment;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A method that is busy for longer, in the mean, is given a task of its own at once: on the
/// connection's it would hold back all calls behind it.
const BUSY: u64 = 100_000;
/// Each first poll moves the mean by this part.
const SHARE: u64 = 8;

/// The room that is kept for the answer of a method that has not answered yet, in bytes.
const SHORT_ANSWER: usize = 512;

/// What a method's calls have been like lately.
#[derive(Debug, Default)]
pub(super) struct Habit {
    /// How long first polls have taken, in the mean.
    nanos: AtomicU64,
    /// How long answers may be expected to be, in bytes.
    answer: AtomicUsize,
}

impl Habit {
    pub(super) fn is_busy(&self) -> bool {
        self.nanos.load(Relaxed) > BUSY
    }

    /// The bytes that an answer is expected to have: about as many as the longest of the last ones.
    pub(super) fn expected_answer(&self) -> usize {
        self.answer.load(Relaxed).max(SHORT_ANSWER)
    }

    /// Learns from the length of an answer.
    pub(super) fn answered(&self, bytes: usize) {
        let expected = self.answer.load(Relaxed);
        let next = if bytes >= expected { bytes } else { expected - (expected - bytes) / 64 };
        if next != expected {
            self.answer.store(next, Relaxed);
        }
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
