//! The calls that are under way on one connection.
//!
//! This stands where tarpc's own client would, and speaks its messages: to its server there is no
//! difference. tarpc's has a channel for each call, a timer for each and a span for each, which
//! together cost as much as all the rest of a call. Here callers share one list with the task that
//! has the connection: they put their calls in and find their answers there.

mod one;
mod run;

use crate::{
    call::{planted, stages::Probe},
    wire::{Answer, Envelope, TIMED, Transport, tarpc_context},
};
use futures_util::task::AtomicWaker;
use std::{
    collections::VecDeque,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Waker,
};
use tarpc::{ClientMessage, Response};
use tokio::{sync::Notify, time::Instant};

/// A client's end: calls go out, answers come in.
pub(super) type ClientTransport = Transport<ClientMessage<Envelope>, Response<Answer>>;

/// The calls that are under way on one connection.
#[derive(Debug)]
pub(super) struct Calls {
    list: Mutex<List>,
    /// The task that has the connection.
    task: AtomicWaker,
    /// Calls that there may be at once; the others wait in line.
    places: usize,
    /// Whether long messages go over it, lately.
    long: AtomicBool,
    /// Whether nothing has been heard from the other side for so long that calls should go elsewhere.
    silent: AtomicBool,
    /// Whether the other side has said that it is about to go.
    leaving: AtomicBool,
    told_to_leave: Notify,
}

#[derive(Debug)]
struct List {
    /// What is to be sent.
    queue: VecDeque<ClientMessage<Envelope>>,
    /// One of the calls in it, which is timed until it is sent.
    timed: Option<(u64, Probe)>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Those who wait for a place, in the order in which they came, each under a number.
    line: VecDeque<(u64, Waker)>,
    next_in_line: u64,
    /// When calls must end. Those that have ended already go when there are too many of them.
    deadlines: Vec<(Instant, u64)>,
    /// Not after the first of them.
    first: Option<Instant>,
    course: Course,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Open,
    /// Nobody calls any more.
    Closing,
    Ended,
}

/// A place in the list. A call's id is its slot's number and, above that, how often the slot had been
/// used before: an answer that comes too late finds nobody.
#[derive(Debug)]
struct Slot {
    turn: u32,
    call: Call,
}

#[derive(Debug)]
enum Call {
    None,
    Waiting(Waker),
    Answered(Answer),
    Overdue,
    /// The connection has ended, and nothing of it was sent.
    NotSent,
}

impl Calls {
    /// With room for so many at once.
    pub(super) fn new(places: usize) -> Self {
        Self {
            list: Mutex::new(List {
                queue: VecDeque::new(),
                timed: None,
                slots: Vec::new(),
                free: Vec::new(),
                line: VecDeque::new(),
                next_in_line: 0,
                deadlines: Vec::new(),
                first: None,
                course: Course::Open,
            }),
            task: AtomicWaker::new(),
            places,
            long: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            told_to_leave: Notify::new(),
        }
    }

    /// The calls that one more would have to wait for: none, unless long messages go over it lately.
    pub(super) fn before_one_more(&self) -> usize {
        if self.long.load(Relaxed) { self.list().count() } else { 0 }
    }

    /// Whether the other side says nothing, although it was asked.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Relaxed)
    }

    /// Ready when the other side has said that it is about to go. One may wait for it.
    pub(super) async fn told_to_leave(&self) {
        self.told_to_leave.notified().await;
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the connection end when all has been sent.
    pub(super) fn close(&self) {
        let mut list = self.list();
        if list.course == Course::Open {
            list.course = Course::Closing;
        }
        drop(list);
        self.task.wake();
    }
}

impl List {
    /// The slot of the call with this id, if it is still there.
    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        let number = (id & u64::from(u32::MAX)) as usize;
        self.slots.get_mut(number).filter(|slot| u64::from(slot.turn) == (id & !TIMED) >> 32)
    }

    /// Calls that are under way.
    fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A slot for a new call, and its id.
    fn enter(&mut self, waker: Waker) -> u64 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { turn: 0, call: Call::None });
            // There are never more of them than calls at once.
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[number as usize];
        slot.call = Call::Waiting(waker);
        u64::from(slot.turn) << 32 | u64::from(number)
    }

    /// Frees the slot of a call that is over. The result is who is next in line.
    #[must_use]
    fn leave(&mut self, id: u64) -> Option<Waker> {
        let slot = self.slot(id)?;
        // Above it there is one bit more in an id.
        if !planted("answers-go-astray") {
            slot.turn = slot.turn.wrapping_add(1) & (u32::MAX >> 1);
        }
        slot.call = Call::None;
        self.free.push((id & u64::from(u32::MAX)) as u32);
        self.line.pop_front().map(|(_, waker)| waker)
    }

    /// Watches the deadline of a call. Says whether the task has to be woken for it.
    fn watch(&mut self, deadline: Instant, id: u64) -> bool {
        if self.deadlines.len() > 2 * self.count() + 64 {
            let mut deadlines = mem::take(&mut self.deadlines);
            deadlines.retain(|(_, id)| self.is_waiting(*id));
            self.deadlines = deadlines;
        }
        self.deadlines.push((deadline, id));
        let sooner = self.first.is_none_or(|first| deadline < first);
        if sooner {
            self.first = Some(deadline);
        }
        sooner
    }

    fn is_waiting(&mut self, id: u64) -> bool {
        self.slot(id).is_some_and(|slot| matches!(slot.call, Call::Waiting(_)))
    }

    /// Ends the calls whose deadline is before `now`, and has the other side stop.
    fn end_overdue(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        let mut deadlines = mem::take(&mut self.deadlines);
        deadlines.retain(|&(deadline, id)| {
            if !self.is_waiting(id) || deadline > now {
                return deadline > now && self.is_waiting(id);
            }
            if let Some(slot) = self.slot(id)
                && let Call::Waiting(waker) = mem::replace(&mut slot.call, Call::Overdue)
            {
                wakers.push(waker);
            }
            self.send(cancel(id));
            false
        });
        self.first = deadlines.iter().map(|(deadline, _)| *deadline).min();
        self.deadlines = deadlines;
    }

    /// Puts a message into the queue. Says whether the task has to be woken for it.
    fn send(&mut self, message: ClientMessage<Envelope>) -> bool {
        self.queue.push_back(message);
        self.queue.len() == 1
    }
}

/// What has the other side stop.
fn cancel(request_id: u64) -> ClientMessage<Envelope> {
    ClientMessage::Cancel { trace_context: tarpc_context().trace_context, request_id }
}
