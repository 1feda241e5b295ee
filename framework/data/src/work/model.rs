//! One piece of work and the workers that want it, in every order in which their statements can come, by
//! loom. The names of claims are the real ones. The table is a row with what the statements do to it, each of
//! which is one transaction; the clock is the database's, and goes on at any moment.
//!
//! What has to hold: a claim that has run out and been replaced changes nothing any more. It neither
//! acknowledges the piece, nor gives it back, nor keeps it.

use super::holders::Holders;
use crate::call::plant;
use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};

/// How long a lease is, on the model's clock.
const LEASE: u32 = 1;

/// The piece, as the table has it.
#[derive(Default)]
struct Row {
    holder: Option<String>,
    leased_till: u32,
    /// Claims so far. Statements do not ask for it: it says which claim is in force.
    claims: u32,
    done: bool,
}

struct Table {
    row: Mutex<Row>,
    clock: AtomicU32,
}

/// A claim as its worker knows it.
struct Claim {
    holder: String,
    number: u32,
}

impl Table {
    /// `claim`: due, and not leased.
    fn claim(&self, holders: &Holders) -> Option<Claim> {
        let holder = holders.of_a_claim();
        let mut row = self.row.lock().unwrap();
        let now = self.clock.load(SeqCst);
        if row.done || row.leased_till > now {
            return None;
        }
        row.holder = Some(holder.clone());
        row.leased_till = now + LEASE;
        row.claims += 1;
        Some(Claim { holder, number: row.claims })
    }

    /// Any statement `WHERE id = $1 AND holder = $2`. Says whether it changed the row.
    fn change(&self, claim: &Claim, change: impl FnOnce(&mut Row, u32)) -> bool {
        let mut row = self.row.lock().unwrap();
        let is_held = !row.done && row.holder.as_ref() == Some(&claim.holder);
        if is_held {
            assert_eq!(row.claims, claim.number, "a claim that was replaced changes the piece");
            change(&mut row, self.clock.load(SeqCst));
        }
        is_held
    }

    fn renew(&self, claim: &Claim) -> bool {
        self.change(claim, |row, now| row.leased_till = now + LEASE)
    }

    fn done(&self, claim: &Claim) -> bool {
        self.change(claim, |row, _| row.done = true)
    }

    /// It failed, and is due again at once.
    fn again(&self, claim: &Claim) -> bool {
        self.change(claim, |row, _| (row.holder, row.leased_till) = (None, 0))
    }
}

/// A worker whose first attempt is slow and then fails, a second attempt of the same worker, and another
/// worker. Whatever happens, the piece is done once and by the claim in force.
fn two_workers_and_a_slow_one() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let row = Mutex::new(Row::default());
        let table = Arc::new(Table { row, clock: AtomicU32::new(0) });
        let ours = Arc::new(Holders::new());
        let slow = table.claim(&ours).expect("nobody has it yet");
        let first = thread::spawn({
            let table = Arc::clone(&table);
            move || {
                // What `Worker::under_lease` does: without the lease, the outcome is not written down.
                if table.renew(&slow) {
                    table.again(&slow);
                }
            }
        });
        let second = thread::spawn({
            let (table, ours) = (Arc::clone(&table), Arc::clone(&ours));
            move || table.claim(&ours).is_some_and(|claim| table.done(&claim))
        });
        let other = thread::spawn({
            let table = Arc::clone(&table);
            move || {
                let claim = table.claim(&Holders::new());
                claim.is_some_and(|claim| table.done(&claim))
            }
        });
        table.clock.fetch_add(LEASE, SeqCst);
        first.join().unwrap();
        let acknowledged = [second.join().unwrap(), other.join().unwrap()];
        assert!(acknowledged != [true, true], "the piece is acknowledged twice");
        let row = table.row.lock().unwrap();
        assert_eq!(row.done, acknowledged.contains(&true));
    });
}

#[test]
fn a_claim_that_was_replaced_changes_nothing() {
    two_workers_and_a_slow_one();
}

#[test]
#[should_panic(expected = "a claim that was replaced changes the piece")]
fn the_model_finds_claims_of_one_worker_that_share_a_name() {
    plant("claims-share-a-name");
    two_workers_and_a_slow_one();
}
