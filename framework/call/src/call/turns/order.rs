//! Who is next: places, and lines of those that wait for one. It has no lock and no clock.

use crate::{call::Origin, planted};
use std::{
    collections::{BTreeMap, VecDeque},
    task::Waker,
};

/// Beside the room of one peer there is this part of it for others; a peer may take as many times what it
/// leaves to them.
const OTHERS: usize = 8;

/// Those that wait, by a number that grows, each with the waker of its last poll.
type Line = BTreeMap<u64, Option<Waker>>;

/// Lines that take turns. The first is next.
type Ring<T> = VecDeque<(u32, T)>;

/// The places, and those that wait.
#[derive(Debug)]
pub(super) struct Order {
    free: usize,
    /// How many of one peer may wait, and how many of all.
    room: usize,
    room_of_all: usize,
    waiting: usize,
    next: u64,
    /// By peer, then by client. No line is empty.
    peers: Ring<Ring<Line>>,
}

/// What came of asking for a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It has a place.
    Granted,
    /// It waits, under this number.
    Waits(u64),
    /// It may not wait: there is no room for it in the line.
    Full,
}

impl Order {
    pub(super) fn new(places: usize, room: usize) -> Self {
        let room_of_all = room.saturating_add((room / OTHERS).max(1));
        Self { free: places, room, room_of_all, waiting: 0, next: 0, peers: VecDeque::new() }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn free(&self) -> usize {
        self.free
    }

    /// Takes a place, if there is one and none waits for it.
    pub(super) fn enter(&mut self) -> bool {
        let may = self.free > 0 && self.waiting == 0;
        self.free -= usize::from(may);
        may
    }

    /// Takes a place, or waits for one.
    pub(super) fn ask(&mut self, origin: Origin) -> Asked {
        if self.enter() {
            return Asked::Granted;
        }
        let clients = of_key(&mut self.peers, origin.peer);
        let of_peer: usize = clients.iter().map(|(_, line)| line.len()).sum();
        let left = self.room_of_all - self.waiting;
        if of_peer >= self.room.min(left.saturating_mul(OTHERS)) {
            if clients.is_empty() {
                self.peers.retain(|(_, clients)| !clients.is_empty());
            }
            return Asked::Full;
        }
        let number = self.next;
        self.next += 1;
        of_key(clients, origin.client).insert(number, None);
        self.waiting += 1;
        Asked::Waits(number)
    }

    /// Whether one that waited has its place. If not, `waker` is woken at its turn.
    pub(super) fn has_place(&mut self, origin: Origin, number: u64, waker: &Waker) -> bool {
        match self.line(origin).and_then(|line| line.get_mut(&number)) {
            Some(known) => {
                match known {
                    Some(known) => known.clone_from(waker),
                    None => *known = Some(waker.clone()),
                }
                false
            }
            None => true,
        }
    }

    /// One that waited goes away. If it had a place already, the place goes to the next one; the result is
    /// whom to wake for it.
    pub(super) fn leave(&mut self, origin: Origin, number: u64) -> Option<Waker> {
        if self.line(origin).and_then(|line| line.remove(&number)).is_none() {
            return if planted!("places-are-kept") { None } else { self.free_place() };
        }
        self.waiting -= 1;
        for (_, clients) in &mut self.peers {
            clients.retain(|(_, line)| !line.is_empty());
        }
        self.peers.retain(|(_, clients)| !clients.is_empty());
        None
    }

    /// A place is free: it goes to the next one. The result is whom to wake.
    pub(super) fn free_place(&mut self) -> Option<Waker> {
        let Some(next) = take_turn(&mut self.peers, |clients| {
            let (next, is_empty) = take_turn(clients, |line| {
                let next = line.pop_first();
                (next, line.is_empty())
            });
            (next.flatten(), is_empty)
        })
        .0
        .flatten() else {
            self.free += 1;
            return None;
        };
        self.waiting -= 1;
        next.1
    }

    fn line(&mut self, origin: Origin) -> Option<&mut Line> {
        let (_, clients) = self.peers.iter_mut().find(|(peer, _)| *peer == origin.peer)?;
        let (_, line) = clients.iter_mut().find(|(client, _)| *client == origin.client)?;
        Some(line)
    }
}

/// The line of this key; a new one is the last in the ring.
fn of_key<T: Default>(ring: &mut Ring<T>, key: u32) -> &mut T {
    let at = ring.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        ring.push_back((key, T::default()));
        ring.len() - 1
    });
    &mut ring[at].1
}

/// The first line has its turn: `take` takes from it, and says whether it is empty then. It is the last one
/// afterwards, or none.
fn take_turn<T, R>(
    ring: &mut Ring<T>,
    take: impl FnOnce(&mut T) -> (R, bool),
) -> (Option<R>, bool) {
    let Some((key, mut line)) = ring.pop_front() else { return (None, true) };
    let (taken, is_empty) = take(&mut line);
    if !is_empty {
        if planted!("first-come-first-served") {
            ring.push_front((key, line));
        } else {
            ring.push_back((key, line));
        }
    }
    (Some(taken), ring.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn of(peer: u32, client: u32) -> Origin {
        Origin { peer, client }
    }

    /// The numbers in the order in which they get places.
    fn served(order: &mut Order, asked: &[(Origin, u64)]) -> Vec<u64> {
        let noop = Waker::noop();
        let mut left = asked.to_vec();
        let mut served = Vec::new();
        while !left.is_empty() {
            order.free_place();
            let at =
                left.iter().position(|(origin, number)| order.has_place(*origin, *number, noop));
            served.push(left.remove(at.unwrap()).1);
        }
        served
    }

    fn wait(order: &mut Order, origin: Origin) -> (Origin, u64) {
        match order.ask(origin) {
            Asked::Waits(number) => (origin, number),
            asked => panic!("{asked:?}"),
        }
    }

    #[test]
    fn peers_take_turns_and_within_them_clients() {
        let mut order = Order::new(0, 100);
        // 0 to 2 of one peer; 3 of another; 4 to 6 of two clients of a third; 7 of the first.
        let origins =
            [of(1, 0), of(1, 0), of(1, 0), of(2, 0), of(3, 1), of(3, 1), of(3, 2), of(1, 0)];
        let asked = origins.map(|origin| wait(&mut order, origin));
        assert_eq!(served(&mut order, &asked), [0, 3, 4, 1, 6, 2, 5, 7]);
        assert_eq!(order.waiting(), 0);
        assert!(order.peers.is_empty());
    }

    #[test]
    fn a_flood_leaves_room_for_others() {
        let mut order = Order::new(0, 80);
        let mut flood = |peer| {
            let asked = std::iter::repeat_with(|| order.ask(of(peer, 0)));
            asked.take_while(|asked| *asked != Asked::Full).count()
        };
        // One peer has the room of one, a second one most of what is left to others, and so on.
        assert_eq!(
            [flood(1), flood(2), flood(1), flood(3), flood(2), flood(4)],
            [80, 9, 0, 1, 0, 0]
        );
        // Clients of a peer share its room.
        assert_eq!(order.ask(of(1, 5)), Asked::Full);
        // One place in line for one peer, one for others.
        let mut order = Order::new(0, 1);
        wait(&mut order, of(1, 0));
        assert_eq!(order.ask(of(1, 0)), Asked::Full);
        wait(&mut order, of(2, 0));
        assert_eq!(order.ask(of(3, 0)), Asked::Full);
        assert_eq!(order.peers.len(), 2);
    }

    #[test]
    fn one_that_leaves_after_its_turn_passes_its_place_on() {
        let mut order = Order::new(1, 100);
        assert!(order.enter());
        let first = wait(&mut order, of(1, 0));
        let second = wait(&mut order, of(1, 0));
        order.free_place();
        order.leave(first.0, first.1);
        assert!(order.has_place(second.0, second.1, Waker::noop()));
        assert!(!order.enter());
        order.free_place();
        assert!(order.enter());
    }

    proptest! {
        /// Places are neither lost nor made, in whatever order calls come and leave; and one that comes to a line of its
        /// own has its turn before any other line has had two.
        #[test]
        fn turns_are_fair(steps in prop::collection::vec((0..4_u32, 0..3_u32, 0..4_u8), 1..200)) {
            let noop = Waker::noop();
            let mut order = Order::new(2, usize::MAX);
            let mut waiting: Vec<(Origin, u64)> = Vec::new();
            let mut running = 0;
            for (peer, client, step) in steps {
                let origin = of(peer, client);
                match step {
                    0 | 1 => match order.ask(origin) {
                        Asked::Granted => running += 1,
                        Asked::Waits(number) => waiting.push((origin, number)),
                        Asked::Full => unreachable!("there is room"),
                    },
                    2 if running > 0 => {
                        let first = order.peers.front().map(|(peer, _)| *peer);
                        order.free_place();
                        running -= 1;
                        let next = waiting.iter().position(|(o, n)| order.has_place(*o, *n, noop));
                        if let Some(next) = next {
                            let (origin, number) = waiting.remove(next);
                            prop_assert_eq!(Some(origin.peer), first);
                            // The oldest of its line.
                            prop_assert!(waiting.iter().all(|(o, n)| *o != origin || *n > number));
                            running += 1;
                        }
                    }
                    3 if !waiting.is_empty() => {
                        let (origin, number) = waiting.swap_remove(peer as usize % waiting.len());
                        order.leave(origin, number);
                    }
                    _ => {}
                }
                prop_assert_eq!(order.waiting(), waiting.len());
                prop_assert_eq!(order.free + running, 2);
                prop_assert!(order.free == 0 || waiting.is_empty());
                let lines: usize =
                    order.peers.iter().flat_map(|(_, clients)| clients).map(|(_, line)| line.len()).sum();
                prop_assert_eq!(lines, waiting.len());
            }
        }
    }
}
