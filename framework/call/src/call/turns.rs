//! Places that origins take turns for: the calls that run in a process, the connections to a database, the
//! calls of a method with a limit.
//!
//! A freed place goes to the next peer in turn, within the peer to its next client, and there to the one that
//! waits longest. So a call waits for at most one call of each other origin, however many an origin has.
//!
//! Who is next is decided in `order.rs`, which knows no lock. What is here puts it under a mutex that is held for
//! some nanoseconds, and wakes tasks after it was released.

#[cfg(test)]
mod model;
mod order;

use self::order::{Asked, Order};
use super::Origin;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

/// Places, and those that wait for one.
#[derive(Debug)]
pub struct Turns {
    order: Mutex<Order>,
}

/// A place. It is free again when this is dropped.
pub struct Place(Arc<Turns>);

/// One that asked for a place: ready when it has one. If it is dropped before, it leaves the line, or passes on
/// the place that it was given.
#[must_use = "it keeps its place in the line only while it is kept"]
pub struct Waiting {
    turns: Arc<Turns>,
    origin: Origin,
    state: State,
}

enum State {
    Granted,
    InLine(u64),
    Done,
}

impl Turns {
    /// As many places, and room for as many that wait.
    pub fn new(places: usize, room: usize) -> Arc<Self> {
        Arc::new(Self { order: Mutex::new(Order::new(places, room)) })
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.order().waiting()
    }

    /// How many places are free.
    pub fn free(&self) -> usize {
        self.order().free()
    }

    /// A place, if there is one and none waits for it.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let entered = self.order().enter();
        entered.then(|| Place(Arc::clone(self)))
    }

    /// A place in line, from now on and not only from the first poll; `None` if there is no room in it.
    pub fn wait(self: &Arc<Self>, origin: Origin) -> Option<Waiting> {
        let asked = self.order().ask(origin);
        let state = match asked {
            Asked::Granted => State::Granted,
            Asked::Waits(number) => State::InLine(number),
            Asked::Full => return None,
        };
        Some(Waiting { turns: Arc::clone(self), origin, state })
    }

    fn free_place(&self) {
        let next = self.order().free_place();
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.free_place();
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl Future for Waiting {
    type Output = Place;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Place> {
        if let State::InLine(number) = self.state
            && !self.turns.order().has_place(self.origin, number, cx.waker())
        {
            return Poll::Pending;
        }
        self.state = State::Done;
        Poll::Ready(Place(Arc::clone(&self.turns)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let next = match self.state {
            State::Done => None,
            State::Granted => self.turns.order().free_place(),
            State::InLine(number) => self.turns.order().leave(self.origin, number),
        };
        if let Some(next) = next {
            next.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const ONE: Origin = Origin { peer: 1, client: 0 };

    #[test]
    fn a_place_that_was_granted_and_not_wanted_is_free_again() {
        let turns = Turns::new(1, 10);
        drop(turns.wait(ONE));
        let place = turns.enter().unwrap();
        let waiting = turns.wait(ONE).unwrap();
        let mut behind = turns.wait(ONE).unwrap();
        drop(place);
        // It has the place, and was never polled.
        drop(waiting);
        let place = (&mut behind).now_or_never().expect("it is its turn");
        assert!(turns.enter().is_none());
        drop(place);
        assert!(turns.enter().is_some());
    }
}
