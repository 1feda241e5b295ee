//! The latest things, up to a number of bytes.

use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct Bounded<T> {
    things: VecDeque<(T, usize)>,
    bytes: usize,
    most: usize,
}

impl<T> Bounded<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { things: VecDeque::new(), bytes: 0, most }
    }

    /// Adds a thing, and lets the oldest go that have no room beside it.
    pub(crate) fn push(&mut self, thing: T, bytes: usize) {
        self.bytes += bytes;
        self.things.push_back((thing, bytes));
        self.shrink();
    }

    /// Holds so many bytes from now on.
    pub(crate) fn hold(&mut self, most: usize) {
        self.most = most;
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > self.most
            && let Some((_, bytes)) = self.things.pop_front()
        {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn latest_first(&self) -> impl Iterator<Item = &T> {
        self.things.iter().rev().map(|(thing, _)| thing)
    }
}
