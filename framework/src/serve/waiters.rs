//! How many calls wait for others to end: a count with a limit.

use crate::call::planted;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The count, as an atomic number. A model of it has another kind of atomic.
pub(super) trait Count {
    fn get(&self) -> usize;
    /// Sets it to `next`, if it is `seen` still; otherwise says what it is.
    fn set(&self, seen: usize, next: usize) -> Result<(), usize>;
}

impl Count for AtomicUsize {
    fn get(&self) -> usize {
        self.load(Relaxed)
    }

    fn set(&self, seen: usize, next: usize) -> Result<(), usize> {
        self.compare_exchange_weak(seen, next, Relaxed, Relaxed).map(drop)
    }
}

/// Those that wait, `most` at a time.
#[derive(Debug)]
pub(super) struct Waiters<C = AtomicUsize> {
    most: usize,
    count: C,
}

impl<C: Count> Waiters<C> {
    pub(super) fn new(most: usize, count: C) -> Self {
        Self { most, count }
    }

    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// One more waits, if there is room. Then [`Self::leave`] is to be called once.
    ///
    /// A call that finds no room is never counted, not even for a moment: it would take the room of
    /// another one.
    pub(super) fn join(&self) -> bool {
        let mut seen = self.count.get();
        while seen < self.most || planted("the-refused-are-counted") {
            match self.count.set(seen, seen + 1) {
                Ok(()) if seen < self.most => return true,
                // Only the planted mistake comes here.
                Ok(()) => {
                    self.leave();
                    return false;
                }
                Err(now) => seen = now,
            }
        }
        false
    }

    /// One waits no longer.
    pub(super) fn leave(&self) {
        let mut seen = self.count.get();
        while let Err(now) = self.count.set(seen, seen.saturating_sub(1)) {
            seen = now;
        }
    }
}
