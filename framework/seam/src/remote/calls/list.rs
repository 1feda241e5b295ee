//! The calls of one connection, as a state machine: it knows no lock, no task and no socket.
//!
//! ```text
//! enter ─▶ in line ─▶ queued ─▶ sent ─▶ over ─▶ its caller takes the ending
//!    │                  ▲                ▲
//!    └── a place is free┘   in line, queued and sent calls can also end directly:
//!                           by their deadline, or with the connection
//! ```
//!
//! A caller may go away in every state; its call is gone then. What always holds:
//!
//! 1. A *place* is held by each call that is queued or sent, and by no other. There are never more of them
//!    than `places`.
//! 2. While a call is in line, no place is free: the step that frees a place gives it to the first call in
//!    line. The caller of that call need not be polled for it.
//! 3. A queued call has its request in its slot, so that the request goes with the call. Nothing is sent of
//!    a call that goes, or ends, before it is sent.
//! 4. A call has its caller's latest waker until it is over. The step that ends the call hands the waker out.
//! 5. The connection's task is woken for a message in an empty queue, and for a deadline before all others.
//!
//! The steps hand out what is to be woken and what is to be dropped, so that both happen without the lock.

use super::order::Order;
use crate::{call::planted, wire::TIMED};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    mem,
    task::{Poll, Waker},
};
use tokio::time::Instant;

/// Slots that are kept while no call is in flight.
const KEPT: usize = 1024;
/// Deadlines of ended calls are removed when they outnumber the others by more than this.
const STALE: usize = 64;

/// The calls of one connection. `Q` is what is sent for a call, and `A` its answer.
#[derive(Debug)]
pub(super) struct List<Q, A> {
    places: usize,
    /// Calls that hold a place.
    in_flight: usize,
    slots: Vec<Slot<Q, A>>,
    free: Vec<u32>,
    /// The turn of a slot that is new.
    first_turn: u32,
    /// Calls that wait for a place.
    line: Order<u64>,
    /// Messages that wait for the connection's task.
    queue: Order<Queued>,
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    course: SlotState,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotState {
    Open,
    /// All callers are gone. The connection ends when everything has been sent.
    Closing,
    Ended,
}

/// A call's id is the number of its slot and, above that, the slot's turn: how often it had been used
/// before. So an answer that comes too late finds no call.
#[derive(Debug)]
struct Slot<Q, A> {
    turn: u32,
    /// The bytes that are kept for the answer.
    room: usize,
    state: State<Q, A>,
}

#[derive(Debug)]
enum State<Q, A> {
    Free,
    InLine { request: Q, caller: Waker },
    Queued { request: Q, caller: Waker },
    Sent { caller: Waker },
    Over(Ending<A>),
}

/// How a call ended on its connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending<A> {
    Answered(A),
    /// Its deadline passed.
    Overdue,
    /// The connection ended before the call was sent.
    NotSent,
    /// The connection ended after the call was sent.
    Lost,
}

#[derive(Debug, Clone, Copy)]
enum Queued {
    Call(u64),
    Cancel(u64),
}

/// What the connection's task is to send.
#[derive(Debug)]
pub(super) enum Message<Q> {
    Call(u64, Q),
    Cancel(u64),
}

/// What a call is entered with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) deadline: Instant,
    /// Whether its stages are timed.
    pub(super) timed: bool,
    /// The bytes that are kept for its answer.
    pub(super) room: usize,
}

/// A call that has entered.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) id: u64,
    /// Whether the connection's task has to be woken.
    pub(super) wake: bool,
}

/// What a step leaves to be done without the lock: callers to wake, and requests to drop.
#[derive(Debug)]
pub(super) struct Leftovers<Q> {
    pub(super) callers: Vec<Waker>,
    pub(super) requests: Vec<Q>,
}

impl<Q> Default for Leftovers<Q> {
    fn default() -> Self {
        Self { callers: Vec::new(), requests: Vec::new() }
    }
}

impl<Q> Leftovers<Q> {
    pub(super) fn see_to(&mut self) {
        self.requests.clear();
        self.callers.drain(..).for_each(Waker::wake);
    }
}

impl<Q, A> List<Q, A> {
    /// A list for a connection that takes `places` calls at once.
    pub(super) fn new(places: usize) -> Self {
        Self {
            places,
            in_flight: 0,
            slots: Vec::new(),
            free: Vec::new(),
            first_turn: 0,
            line: Order::default(),
            queue: Order::default(),
            deadlines: BinaryHeap::new(),
            course: SlotState::Open,
        }
    }

    /// A new call: it takes a place, or gets in line. The ending is that of a connection that has ended.
    pub(super) fn enter(
        &mut self,
        request: Q,
        Terms { deadline, timed, room }: Terms,
        caller: Waker,
    ) -> Result<Entered, Ending<A>> {
        if self.course == SlotState::Ended {
            return Err(Ending::NotSent);
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { turn: self.first_turn, room: 0, state: State::Free });
            u32::try_from(self.slots.len() - 1).expect("no machine holds so many calls")
        });
        let slot = &mut self.slots[number as usize];
        slot.room = room;
        let mark = if timed { TIMED } else { 0 };
        let id = mark | u64::from(slot.turn) << 32 | u64::from(number);
        let mut wake = false;
        if self.in_flight < self.places {
            slot.state = State::Queued { request, caller };
            self.in_flight += 1;
            wake = self.queue.push(Queued::Call(id));
        } else {
            slot.state = State::InLine { request, caller };
            self.line.push(id);
        }
        wake |= self.watch(deadline, id);
        self.check();
        Ok(Entered { id, wake })
    }

    /// How a call has ended, if it has. Its slot is free then; otherwise `caller` is woken when it ends.
    pub(super) fn poll(&mut self, id: u64, caller: &Waker) -> Poll<Ending<A>> {
        let Some(slot) = slot_of(&mut self.slots, id) else { return Poll::Ready(Ending::Lost) };
        if let Some(known) = slot.state.caller() {
            known.clone_from(caller);
            return Poll::Pending;
        }
        let before = mem::replace(&mut slot.state, State::Free);
        self.free(id);
        Poll::Ready(if let State::Over(ending) = before { ending } else { Ending::Lost })
    }

    /// The caller of a call goes away. The results are whether the connection's task has to be woken, and
    /// the request, if it was not sent.
    pub(super) fn abandon(&mut self, id: u64) -> (bool, Option<Q>) {
        let Some(slot) = slot_of(&mut self.slots, id) else { return (false, None) };
        let state = mem::replace(&mut slot.state, State::Free);
        self.free(id);
        let (wake, request) = match state {
            State::InLine { request, .. } => {
                self.forget_in_line();
                (false, Some(request))
            }
            State::Queued { request, .. } => {
                self.forget_queued();
                (self.free_place(), Some(request))
            }
            State::Sent { .. } => {
                let wake = self.queue.push(Queued::Cancel(id));
                (self.free_place() || wake, None)
            }
            State::Over(_) | State::Free => (false, None),
        };
        self.check();
        (wake && !planted!("the-next-is-not-sent"), request)
    }

    /// The bytes that are kept for the answer to a call that was sent and is not over.
    pub(super) fn room(&mut self, id: u64) -> Option<usize> {
        let slot = slot_of(&mut self.slots, id)?;
        matches!(slot.state, State::Sent { .. }).then_some(slot.room)
    }

    /// The answer to a call has arrived. The result is the caller to wake; an answer that comes too late, or
    /// to a call that was not sent, has none.
    pub(super) fn answer(&mut self, id: u64, answer: A) -> Option<Waker> {
        let slot = slot_of(&mut self.slots, id)?;
        if !matches!(slot.state, State::Sent { .. }) {
            return None;
        }
        let State::Sent { caller } =
            mem::replace(&mut slot.state, State::Over(Ending::Answered(answer)))
        else {
            return None;
        };
        self.free_place();
        self.check();
        Some(caller)
    }

    /// Takes messages to be sent, until there are `most`, or their requests have `bytes` together.
    pub(super) fn take(
        &mut self,
        batch: &mut Vec<Message<Q>>,
        most: usize,
        bytes: usize,
        length: impl Fn(&Q) -> usize,
    ) {
        let mut taken = 0;
        while batch.len() < most && taken < bytes {
            match self.queue.pop() {
                None => break,
                Some(Queued::Cancel(id)) => batch.push(Message::Cancel(id)),
                Some(Queued::Call(id)) => match slot_of(&mut self.slots, id) {
                    Some(Slot { state: state @ State::Queued { .. }, .. }) => {
                        let before = mem::replace(state, State::Free);
                        if let State::Queued { request, caller } = before {
                            *state = State::Sent { caller };
                            taken += length(&request);
                            batch.push(Message::Call(id, request));
                        }
                    }
                    _ => self.queue.popped_stale(),
                },
            }
        }
        self.check();
    }

    /// The first of the deadlines; that of a call that is over may still be among them.
    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Ends the calls whose deadline has passed. The other side is told to stop where it has the call.
    pub(super) fn end_overdue(&mut self, now: Instant, left: &mut Leftovers<Q>) {
        while let Some(&Reverse((deadline, id))) = self.deadlines.peek()
            && deadline <= now
        {
            self.deadlines.pop();
            match self.end_one(id, Ending::Overdue, left) {
                Some(Was::InLine) => self.forget_in_line(),
                Some(Was::Queued) => {
                    self.forget_queued();
                    self.free_place();
                }
                Some(Was::Sent) => {
                    self.queue.push(Queued::Cancel(id));
                    self.free_place();
                }
                None => {}
            }
        }
        self.check();
    }

    /// Lets the connection end when everything has been sent.
    pub(super) fn close(&mut self) {
        if self.course == SlotState::Open {
            self.course = SlotState::Closing;
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.course == SlotState::Closing
    }

    /// The connection has ended, and so do all calls on it.
    pub(super) fn end(&mut self, left: &mut Leftovers<Q>) {
        self.course = SlotState::Ended;
        self.in_flight = 0;
        self.line = Order::default();
        self.queue = Order::default();
        self.deadlines.clear();
        for number in 0..self.slots.len() {
            let Slot { turn, state, .. } = &self.slots[number];
            let ending = match state {
                State::InLine { .. } | State::Queued { .. } => Ending::NotSent,
                State::Sent { .. } => Ending::Lost,
                State::Over(_) | State::Free => continue,
            };
            let id = u64::from(*turn) << 32 | number as u64;
            self.end_one(id, ending, left);
        }
    }

    /// Calls that hold a place.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Calls that are not over.
    pub(super) fn waiting(&self) -> usize {
        self.in_flight + self.line.fresh()
    }

    /// Ends one call, if it is not over, and says what it was.
    fn end_one(&mut self, id: u64, ending: Ending<A>, left: &mut Leftovers<Q>) -> Option<Was> {
        let slot = slot_of(&mut self.slots, id)?;
        let (was, request, caller) = match mem::replace(&mut slot.state, State::Free) {
            State::InLine { request, caller } => (Was::InLine, Some(request), caller),
            State::Queued { request, caller } => (Was::Queued, Some(request), caller),
            State::Sent { caller } => (Was::Sent, None, caller),
            before => {
                slot.state = before;
                return None;
            }
        };
        slot.state = State::Over(ending);
        left.requests.extend(request);
        left.callers.push(caller);
        Some(was)
    }

    /// A call gives its place back, and the first calls in line take what is free. Says whether the
    /// connection's task has to be woken.
    fn free_place(&mut self) -> bool {
        if self.course == SlotState::Ended {
            return false;
        }
        self.in_flight -= 1;
        let mut wake = false;
        while self.in_flight < self.places
            && let Some(id) = self.line.pop()
        {
            let in_line = slot_of(&mut self.slots, id)
                .filter(|slot| matches!(slot.state, State::InLine { .. }));
            let Some(slot) = in_line else {
                self.line.popped_stale();
                if planted!("the-gone-have-their-turn") {
                    break;
                }
                continue;
            };
            if let State::InLine { request, caller } = mem::replace(&mut slot.state, State::Free) {
                slot.state = State::Queued { request, caller };
            }
            self.in_flight += 1;
            wake |= self.queue.push(Queued::Call(id));
        }
        wake
    }

    fn free(&mut self, id: u64) {
        let number = number_of(id);
        let slot = &mut self.slots[number];
        // The highest bit of an id is not the turn's.
        if !planted!("answers-go-astray") {
            slot.turn = slot.turn.wrapping_add(1) & (u32::MAX >> 1);
        }
        self.free.push(number as u32);
        // A crowd that has gone is not remembered, but for what keeps the ids of later calls apart.
        if self.free.len() == self.slots.len() && self.slots.len() > KEPT {
            self.first_turn = self.slots.iter().map(|slot| slot.turn).max().unwrap_or(0);
            self.slots = Vec::new();
            self.free = Vec::new();
        }
    }

    fn forget_in_line(&mut self) {
        let slots = &mut self.slots;
        self.line.forget(|id| {
            slot_of(slots, *id).is_some_and(|slot| matches!(slot.state, State::InLine { .. }))
        });
    }

    fn forget_queued(&mut self) {
        let slots = &mut self.slots;
        self.queue.forget(|message| match message {
            Queued::Cancel(_) => true,
            Queued::Call(id) => {
                slot_of(slots, *id).is_some_and(|slot| matches!(slot.state, State::Queued { .. }))
            }
        });
    }

    /// Watches a deadline, and says whether it is before all others.
    fn watch(&mut self, deadline: Instant, id: u64) -> bool {
        if self.deadlines.len() > 2 * self.waiting() + STALE {
            let slots = &mut self.slots;
            self.deadlines.retain(|Reverse((_, id))| {
                slot_of(slots, *id).is_some_and(|slot| slot.state.caller().is_some())
            });
        }
        let first = self.first_deadline();
        self.deadlines.push(Reverse((deadline, id)));
        first.is_none_or(|first| deadline < first)
    }

    /// Checks the first two things that always hold, as far as that is cheap.
    fn check(&self) {
        debug_assert!(self.in_flight <= self.places, "more calls than places");
        debug_assert!(
            self.line.fresh() == 0
                || self.in_flight == self.places
                || planted!("the-gone-have-their-turn"),
            "a call waits for a place while one is free"
        );
    }
}

/// What a call was that has been ended.
#[derive(Debug, Clone, Copy)]
enum Was {
    InLine,
    Queued,
    Sent,
}

impl<Q, A> State<Q, A> {
    /// Who waits for the call to end.
    fn caller(&mut self) -> Option<&mut Waker> {
        match self {
            Self::InLine { caller, .. } | Self::Queued { caller, .. } | Self::Sent { caller } => {
                Some(caller)
            }
            Self::Free | Self::Over(_) => None,
        }
    }
}

fn number_of(id: u64) -> usize {
    (id & u64::from(u32::MAX)) as usize
}

/// The slot of the call with this id, if the call is still there.
fn slot_of<Q, A>(slots: &mut [Slot<Q, A>], id: u64) -> Option<&mut Slot<Q, A>> {
    slots.get_mut(number_of(id)).filter(|slot| u64::from(slot.turn) == (id & !TIMED) >> 32)
}
