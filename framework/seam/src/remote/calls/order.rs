//! Entries in the order in which they came, some of which have become stale meanwhile.
//!
//! An entry is not looked for when it becomes stale. It is passed over at its turn, or removed together
//! with others, once they are the most: so each costs the same, however many there are.

use std::collections::VecDeque;

/// So many stale entries are always kept.
const FEW: usize = 64;

#[derive(Debug)]
pub(super) struct Order<T> {
    entries: VecDeque<T>,
    stale: usize,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), stale: 0 }
    }
}

impl<T> Order<T> {
    /// Says whether it is the only entry.
    pub(super) fn push(&mut self, entry: T) -> bool {
        self.entries.push_back(entry);
        self.entries.len() == 1
    }

    /// The next entry. If it is stale, [`Self::popped_stale`] is to be told.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }

    pub(super) fn popped_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    /// An entry has become stale. `is_fresh` tells stale ones from the others.
    pub(super) fn forget(&mut self, is_fresh: impl FnMut(&T) -> bool) {
        self.stale += 1;
        if self.stale > FEW && self.stale > self.entries.len() / 2 {
            self.entries.retain(is_fresh);
            self.stale = 0;
        }
    }

    /// How many entries are not stale.
    pub(super) fn fresh(&self) -> usize {
        self.entries.len().saturating_sub(self.stale)
    }
}
