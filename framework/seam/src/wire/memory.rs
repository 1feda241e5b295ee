//! The bytes that a process may hold in buffers, and the accounts that they are charged to.
//!
//! A limit on the number of calls bounds no memory: a call may be a hundred bytes or four megabytes
//! long. So every payload is charged to a pool from its arrival until it has been decoded or sent on.
//! [`Memory`] divides `limits.memory` in two halves:
//!
//! - *own*: the calls that this process makes, their arguments and the room for their answers;
//! - *others*: the calls and requests that peers and clients make here, and the answers to them.
//!
//! The halves are apart because one could wait for the other: a process whose buffers are full of
//! requests must still be able to read the answers that let it finish them. No single peer, nor all
//! HTTP clients together, can hold more than half of what is for others.
//!
//! Decoded values are not counted: only their author knows what they take.

use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// What `limits.memory` is unless the settings say otherwise.
pub const DEFAULT_MEMORY: usize = 256 * 1024 * 1024;

/// An account takes from its pool in steps of this size, so that most charges touch no shared counter.
const STEP: usize = 64 * 1024;

/// The buffers of one process.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    own: Arc<Pool>,
    others: Arc<Pool>,
    clients: Arc<Pool>,
    peers: Mutex<HashMap<String, Weak<Pool>>>,
}

/// How much of [`Memory`] is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MemoryInUse {
    /// `limits.memory`.
    pub limit: usize,
    /// Bytes of calls that this process makes.
    pub own: usize,
    /// Bytes of calls and requests that others make here.
    pub others: usize,
    /// The most that the two have been together at any time.
    pub peak: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY)
    }
}

impl Memory {
    /// Buffers of `limit` bytes in all.
    pub fn new(limit: usize) -> Self {
        let others = Pool::new(limit / 2, None);
        Self {
            limit,
            own: Pool::new(limit - limit / 2, None),
            clients: Pool::new(limit / 4, Some(Arc::clone(&others))),
            others,
            peers: Mutex::default(),
        }
    }

    /// The pool for the calls that this process makes.
    pub fn own(&self) -> &Arc<Pool> {
        &self.own
    }

    /// The pool for HTTP requests and the answers to them.
    pub fn clients(&self) -> &Arc<Pool> {
        &self.clients
    }

    /// The pool for the calls of one peer, shared by all its connections.
    pub fn peer(&self, process: &str) -> Arc<Pool> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = peers.get(process).and_then(Weak::upgrade) {
            return pool;
        }
        peers.retain(|_, pool| pool.strong_count() > 0);
        let pool = Pool::new(self.limit / 4, Some(Arc::clone(&self.others)));
        peers.insert(process.to_owned(), Arc::downgrade(&pool));
        pool
    }

    /// How much is in use.
    pub fn in_use(&self) -> MemoryInUse {
        MemoryInUse {
            limit: self.limit,
            own: self.own.used.load(Relaxed),
            others: self.others.used.load(Relaxed),
            peak: self.own.peak.load(Relaxed) + self.others.peak.load(Relaxed),
        }
    }
}

/// A number of bytes that may be in use at once; a part of a larger pool if it has a parent.
#[derive(Debug)]
pub struct Pool {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    parent: Option<Arc<Pool>>,
}

impl Pool {
    fn new(limit: usize, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), peak: AtomicUsize::new(0), parent })
    }

    /// A charge of `bytes`, given back when it is dropped; `None` if there is no room.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        self.take(bytes).then(|| Charge { pool: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.try_update(Relaxed, Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit)
        });
        let Ok(before) = taken else { return false };
        if self.parent.as_ref().is_some_and(|parent| !parent.take(bytes)) {
            self.used.fetch_sub(bytes, Relaxed);
            return false;
        }
        if self.peak.load(Relaxed) < before + bytes {
            self.peak.fetch_max(before + bytes, Relaxed);
        }
        true
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        if let Some(parent) = &self.parent {
            parent.give_back(bytes);
        }
    }
}

/// Bytes taken from a pool until this is dropped.
#[derive(Debug)]
pub struct Charge {
    pool: Arc<Pool>,
    bytes: usize,
}

impl Charge {
    /// Adds to it. Says whether there was room.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let grown = self.pool.take(bytes);
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// These bytes, with the charge: it is given back when the last part of them is dropped.
    pub fn holding(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Held { bytes, _charge: self })
    }
}

/// Bytes and what they are charged.
struct Held<B> {
    bytes: B,
    _charge: Charge,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.pool.give_back(self.bytes);
    }
}

/// The account of one connection. It takes from its pool in steps, and gives all back when nothing is
/// charged to it.
#[derive(Debug)]
pub struct Account {
    pool: Arc<Pool>,
    taken: usize,
    charged: usize,
}

impl Account {
    /// An account with nothing in it, charged to `pool`.
    pub fn of(pool: Arc<Pool>) -> Self {
        Self { pool, taken: 0, charged: 0 }
    }

    /// Charges `bytes`. Says whether there was room; if not, nothing has changed.
    pub fn charge(&mut self, bytes: usize) -> bool {
        let wanted = self.charged.saturating_add(bytes);
        if wanted > self.taken {
            let missing = wanted - self.taken;
            // Near the limit the last bytes go to whom they suffice.
            let more = missing.next_multiple_of(STEP);
            if self.pool.take(more) {
                self.taken += more;
            } else if self.pool.take(missing) {
                self.taken += missing;
            } else {
                return false;
            }
        }
        self.charged = wanted;
        true
    }

    /// Takes back a charge of `bytes`.
    pub fn release(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.charged, "released {bytes} of {} bytes", self.charged);
        self.charged = self.charged.saturating_sub(bytes);
        let kept = self.charged.next_multiple_of(STEP);
        // A step is kept back, so that a charge that comes and goes takes it once.
        if self.charged == 0 || self.taken > kept + STEP {
            self.pool.give_back(self.taken.saturating_sub(kept));
            self.taken = kept.min(self.taken);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.pool.give_back(self.taken);
    }
}

/// How long the answers of a method are, in the mean of the last ones. So much room is kept for an
/// answer before it is known. With the longest in place of the mean, one long answer would have calls
/// with short ones refused.
#[derive(Debug, Default)]
pub struct ExpectedAnswer(AtomicUsize);

impl ExpectedAnswer {
    /// The least room that is kept.
    const LEAST: usize = 512;
    /// Each answer moves the mean by this part of the difference.
    const SHARE: usize = 16;

    /// Bytes to keep for an answer.
    pub fn bytes(&self) -> usize {
        self.0.load(Relaxed).max(Self::LEAST)
    }

    /// Learns from the length of an answer. When two answers are learned at once, one may be lost.
    pub fn learn(&self, bytes: usize) {
        let mean = self.0.load(Relaxed);
        let next = mean - mean / Self::SHARE + bytes / Self::SHARE;
        if next != mean {
            self.0.store(next, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn a_peer_has_half_of_what_is_for_others_however_many_connections_it_has() {
        let memory = Memory::new(16 * MIB);
        let mut first = Account::of(memory.peer("greedy"));
        let mut second = Account::of(memory.peer("greedy"));
        assert!(first.charge(3 * MIB) && !second.charge(2 * MIB) && second.charge(MIB));
        let mut honest = Account::of(memory.peer("honest"));
        assert!(honest.charge(4 * MIB));
        // All that is for others is taken; calls of the process's own are not kept waiting.
        assert!(!Account::of(memory.peer("third")).charge(1));
        assert!(memory.clients().charge(1).is_none());
        assert!(memory.own().charge(8 * MIB).is_some());
        assert_eq!(memory.in_use().others, 8 * MIB);
        drop((first, second, honest));
        assert_eq!((memory.in_use().others, memory.in_use().peak), (0, 16 * MIB));
    }

    #[test]
    fn an_account_takes_steps_and_keeps_none_when_it_is_empty() {
        let memory = Memory::new(16 * MIB);
        let mut account = Account::of(memory.peer("orders"));
        assert!(account.charge(10));
        assert_eq!(memory.in_use().others, STEP);
        assert!(account.charge(STEP));
        assert_eq!(memory.in_use().others, 2 * STEP);
        account.release(STEP);
        assert_eq!(memory.in_use().others, 2 * STEP);
        account.release(10);
        assert_eq!(memory.in_use().others, 0);
        assert!(account.charge(4 * MIB));
        assert!(!account.charge(1));
        account.release(4 * MIB - 1);
        assert_eq!(memory.in_use().others, STEP);
    }

    #[test]
    fn a_charge_that_finds_no_room_changes_nothing() {
        let memory = Memory::new(16 * MIB);
        let mut charge = memory.clients().charge(3 * MIB).expect("there is room");
        assert!(!charge.grow(2 * MIB) && charge.grow(MIB));
        assert!(memory.clients().charge(1).is_none());
        let bytes = charge.holding(vec![7; 3]);
        let part = bytes.slice(1..);
        drop(bytes);
        assert!(part == [7, 7][..] && memory.in_use().others == 4 * MIB);
        drop(part);
        assert!(memory.clients().charge(4 * MIB).is_some());
        assert_eq!(memory.in_use().others, 0);
    }

    #[test]
    fn peers_that_are_gone_are_forgotten() {
        let memory = Memory::new(16 * MIB);
        for number in 0..1_000 {
            drop(memory.peer(&format!("peer-{number}")));
        }
        assert!(memory.peers.lock().unwrap().len() <= 1);
    }

    #[test]
    fn one_long_answer_is_not_expected_of_all_and_many_are() {
        let expected = ExpectedAnswer::default();
        assert_eq!(expected.bytes(), ExpectedAnswer::LEAST);
        expected.learn(MIB);
        assert!(expected.bytes() < MIB / 8);
        (0..1_000).for_each(|_| expected.learn(MIB));
        assert!(expected.bytes() > MIB * 9 / 10);
        (0..1_000).for_each(|_| expected.learn(100));
        assert_eq!(expected.bytes(), ExpectedAnswer::LEAST);
    }
}
