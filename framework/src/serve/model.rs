//! Calls that come, wait and leave, in every order in which their steps can come, by loom. The count is the
//! real one. tokio's semaphore, which gives freed places to those that wait in the order in which they
//! came, is not modelled: what is taken from it is tested in `gate.rs`.

use super::waiters::{Count, Waiters};
use crate::call::plant;
use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

impl Count for AtomicUsize {
    fn get(&self) -> usize {
        self.load(SeqCst)
    }

    fn set(&self, seen: usize, next: usize) -> Result<(), usize> {
        self.compare_exchange(seen, next, SeqCst, SeqCst).map(drop)
    }
}

/// One call waits, which is as many as may. Another one comes while it leaves and comes back.
fn one_waits_and_another_comes() {
    loom::model(|| {
        let waiters = Arc::new(Waiters::new(1, AtomicUsize::new(0)));
        let inside = Arc::new(AtomicUsize::new(1));
        assert!(waiters.join());
        let another = thread::spawn({
            let (waiters, inside) = (Arc::clone(&waiters), Arc::clone(&inside));
            move || {
                let joined = waiters.join();
                if joined {
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "more wait than may");
                }
                joined
            }
        });
        inside.fetch_sub(1, SeqCst);
        waiters.leave();
        let back = waiters.join();
        if back {
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "more wait than may");
        }
        let joined = another.join().unwrap();
        assert!(back || joined, "both are refused, though none waits");
        assert_eq!(waiters.count(), usize::from(back) + usize::from(joined));
    });
}

#[test]
fn no_more_wait_than_may_and_none_is_refused_while_there_is_room() {
    one_waits_and_another_comes();
}

#[test]
#[should_panic(expected = "both are refused, though none waits")]
fn the_model_finds_a_refused_call_that_takes_the_room_of_another() {
    plant("the-refused-are-counted");
    one_waits_and_another_comes();
}
