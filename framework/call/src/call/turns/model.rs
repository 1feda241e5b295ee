//! Calls that ask for a place, wait, give up and leave, in every order in which their steps can come, by loom.
//! The order of turns is the real one; the mutex and the threads are loom's.

use super::order::{Asked, Order};
use crate::call::{Origin, plant};
use loom::{
    future::block_on,
    sync::{Arc, Mutex},
    thread,
};
use std::{
    future::poll_fn,
    task::{Poll, Waker},
};

type Turns = Arc<Mutex<Order>>;

fn wake(next: Option<Waker>) {
    if let Some(next) = next {
        next.wake();
    }
}

fn leave_place(turns: &Turns) {
    let next = turns.lock().unwrap().free_place();
    wake(next);
}

/// Waits for a place, and leaves it.
fn visit(turns: &Turns, origin: Origin) {
    let asked = turns.lock().unwrap().ask(origin);
    if let Asked::Waits(number) = asked {
        block_on(poll_fn(|cx| match turns.lock().unwrap().has_place(origin, number, cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
    }
    leave_place(turns);
}

/// Asks for a place and goes away, whether it has it by then or not.
fn give_up(turns: &Turns, origin: Origin) {
    let asked = turns.lock().unwrap().ask(origin);
    match asked {
        Asked::Granted => leave_place(turns),
        Asked::Waits(number) => {
            let next = turns.lock().unwrap().leave(origin, number);
            wake(next);
        }
        Asked::Full => {}
    }
}

fn all_come_and_go() {
    // Three threads have too many orders to try them all: those with at most three preemptions.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let turns: Turns = Arc::new(Mutex::new(Order::new(1, 10)));
        let visitor = thread::spawn({
            let turns = Arc::clone(&turns);
            move || visit(&turns, Origin { peer: 1, client: 0 })
        });
        let fickle = thread::spawn({
            let turns = Arc::clone(&turns);
            move || give_up(&turns, Origin { peer: 1, client: 0 })
        });
        visit(&turns, Origin { peer: 2, client: 0 });
        visitor.join().unwrap();
        fickle.join().unwrap();
        let mut order = turns.lock().unwrap();
        assert!(order.enter(), "a place was lost");
        assert!(!order.enter(), "a place was made");
    });
}

/// One call ends, and one that waits for its place goes away.
fn one_gives_up() {
    loom::model(|| {
        let turns: Turns = Arc::new(Mutex::new(Order::new(1, 10)));
        assert!(turns.lock().unwrap().enter());
        let fickle = thread::spawn({
            let turns = Arc::clone(&turns);
            move || give_up(&turns, Origin { peer: 1, client: 0 })
        });
        leave_place(&turns);
        fickle.join().unwrap();
        assert!(turns.lock().unwrap().enter(), "a place was lost");
    });
}

#[test]
fn every_call_has_its_turn_and_no_place_is_lost() {
    all_come_and_go();
    one_gives_up();
}

#[test]
#[should_panic(expected = "a place was lost")]
fn the_model_finds_a_place_that_is_kept_by_one_that_has_gone() {
    plant("places-are-kept");
    one_gives_up();
}
