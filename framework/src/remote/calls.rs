//! The calls that are under way on one connection.
//!
//! This stands where tarpc's own client would, and speaks its messages: to its server there is no
//! difference. tarpc's has a channel for each call, a timer for each and a span for each, which
//! together cost as much as all the rest of a call. Here callers share one list with the task that
//! has the connection: they put their calls in and find their answers there.

use crate::{
    call::stages::{Probe, Stage},
    wire::{Answer, Envelope, TIMED, Transport, tarpc_context},
};
use futures_util::{Sink, Stream, poll, task::AtomicWaker};
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};
use tarpc::{
    ClientMessage, Request, Response,
    client::{RpcError, stub::Stub},
};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// A client's end: calls go out, answers come in.
pub(super) type ClientTransport = Transport<ClientMessage<Envelope>, Response<Answer>>;

/// Answers that are handed out at a time, so that the rest of the task has its turn.
const BATCH: usize = 16;

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
        }
    }

    /// The calls that one more would have to wait for: none, unless long messages go over it lately.
    pub(super) fn before_one_more(&self) -> usize {
        if self.long.load(Relaxed) { self.list().count() } else { 0 }
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

    /// Runs the connection until one side ends it.
    pub(super) async fn run(self: Arc<Self>, transport: ClientTransport) -> io::Result<()> {
        let mut transport = pin!(transport);
        let timer = Box::pin(sleep_until(Instant::now()));
        let mut running = Running {
            heard: Vec::new(),
            sending: VecDeque::new(),
            timed: None,
            timer,
            armed: None,
        };
        let ended = poll_fn(|cx| {
            let polled = self.poll(&mut running, transport.as_mut(), cx);
            self.long.store(transport.has_long_messages(), Relaxed);
            polled
        })
        .await;
        let wakers: Vec<Waker> = {
            let mut list = self.list();
            list.course = Course::Ended;
            list.queue.clear();
            let in_line: Vec<Waker> = list.line.drain(..).map(|(_, waker)| waker).collect();
            let waiting = list.slots.iter().filter_map(|slot| match &slot.call {
                Call::Waiting(waker) => Some(waker.clone()),
                _ => None,
            });
            waiting.chain(in_line).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
        ended
    }

    fn poll(
        &self,
        running: &mut Running,
        mut transport: Pin<&mut ClientTransport>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.task.register(cx.waker());
        loop {
            let next = transport.as_mut().poll_next(cx);
            let more = match next {
                Poll::Ready(Some(answer)) => {
                    running.heard.push(answer?);
                    if running.heard.len() < BATCH {
                        continue;
                    }
                    true
                }
                Poll::Ready(None) => {
                    self.hand_out(&mut running.heard);
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => false,
            };
            self.hand_out(&mut running.heard);
            if more {
                cx.waker().wake_by_ref();
            }
            break;
        }
        self.end_overdue(running, cx);
        loop {
            if running.sending.is_empty() {
                let mut list = self.list();
                mem::swap(&mut list.queue, &mut running.sending);
                running.timed = list.timed.take();
                let closing = list.course == Course::Closing;
                drop(list);
                if running.sending.is_empty() {
                    let flushed = transport.as_mut().poll_flush(cx)?;
                    return match flushed {
                        Poll::Ready(()) if closing => transport.poll_close(cx),
                        _ => Poll::Pending,
                    };
                }
            }
            while !running.sending.is_empty() {
                if transport.as_mut().poll_ready(cx)?.is_pending() {
                    return Poll::Pending;
                }
                if let Some(message) = running.sending.pop_front() {
                    running.end_timed(&message);
                    transport.as_mut().start_send(message)?;
                }
            }
        }
    }

    /// Ends the calls whose deadline has passed, and waits for the next one's.
    fn end_overdue(&self, running: &mut Running, cx: &mut Context<'_>) {
        let mut wakers = Vec::new();
        loop {
            let first = self.list().first;
            let Some(first) = first else { break };
            if running.armed != Some(first) {
                running.timer.as_mut().reset(first);
                running.armed = Some(first);
            }
            if running.timer.as_mut().poll(cx).is_pending() {
                break;
            }
            running.armed = None;
            self.list().end_overdue(Instant::now(), &mut wakers);
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Gives the answers to those who wait for them, and wakes them when the list is free again.
    fn hand_out(&self, answers: &mut Vec<Response<Answer>>) {
        if answers.is_empty() {
            return;
        }
        let mut wakers = [const { None }; BATCH];
        let mut list = self.list();
        for (answer, waker) in answers.drain(..).zip(&mut wakers) {
            // tarpc's own errors do not come over our transport.
            if let (Some(slot), Ok(message)) = (list.slot(answer.request_id), answer.message)
                && matches!(slot.call, Call::Waiting(_))
                && let Call::Waiting(waiting) =
                    mem::replace(&mut slot.call, Call::Answered(message))
            {
                *waker = Some(waiting);
            }
        }
        drop(list);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// What the task of a connection has in its hands.
struct Running {
    heard: Vec<Response<Answer>>,
    sending: VecDeque<ClientMessage<Envelope>>,
    timed: Option<(u64, Probe)>,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off.
    armed: Option<Instant>,
}

impl Running {
    /// If it is this message that is timed, it has been in the queue until now.
    fn end_timed(&mut self, message: &ClientMessage<Envelope>) {
        if let (Some((id, probe)), ClientMessage::Request(request)) = (self.timed, message)
            && request.id == id
        {
            probe.end(Stage::Queue);
            self.timed = None;
        }
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
        slot.turn = slot.turn.wrapping_add(1) & (u32::MAX >> 1);
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

impl Stub for Calls {
    type Req = Envelope;
    type Resp = Answer;

    async fn call(
        &self,
        context: tarpc::context::Context,
        message: Envelope,
    ) -> Result<Answer, RpcError> {
        let deadline = message.context.deadline();
        let request = Request { context, id: 0, message };
        let mut call =
            OneCall { calls: self, request: Some(request), deadline, id: None, in_line: None };
        match poll!(&mut call) {
            Poll::Ready(answered) => answered,
            // Until it has a place, nobody else watches its deadline.
            Poll::Pending if call.request.is_some() => {
                let entered = poll_fn(|cx| match Pin::new(&mut call).poll(cx) {
                    Poll::Pending if call.request.is_some() => Poll::Pending,
                    polled => Poll::Ready(polled),
                });
                match timeout_at(deadline, entered).await {
                    Err(_) => Err(RpcError::DeadlineExceeded),
                    Ok(Poll::Ready(answered)) => answered,
                    Ok(Poll::Pending) => call.await,
                }
            }
            Poll::Pending => call.await,
        }
    }
}

/// What has the other side stop.
fn cancel(request_id: u64) -> ClientMessage<Envelope> {
    ClientMessage::Cancel { trace_context: tarpc_context().trace_context, request_id }
}

/// One call: before it is in the list it has its request, and from then on its id.
struct OneCall<'a> {
    calls: &'a Calls,
    request: Option<Request<Envelope>>,
    deadline: Instant,
    id: Option<u64>,
    /// Its number among those who wait for a place.
    in_line: Option<u64>,
}

impl Future for OneCall<'_> {
    type Output = Result<Answer, RpcError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut list = this.calls.list();
        if this.request.is_some() {
            return this.enter(list, cx);
        }
        let Some(id) = this.id else { return Poll::Ready(Err(RpcError::Shutdown)) };
        let ended = list.course == Course::Ended;
        let Some(slot) = list.slot(id) else { return Poll::Ready(Err(RpcError::Shutdown)) };
        let over = match &mut slot.call {
            Call::Waiting(waker) if !ended => {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            call => mem::replace(call, Call::None),
        };
        let next = list.leave(id);
        drop(list);
        this.id = None;
        if let Some(next) = next {
            next.wake();
        }
        Poll::Ready(match over {
            Call::Answered(answer) => Ok(answer),
            Call::Overdue => Err(RpcError::DeadlineExceeded),
            Call::None | Call::Waiting(_) => Err(RpcError::Shutdown),
        })
    }
}

impl OneCall<'_> {
    /// Puts the call into the list, or into the line before it.
    fn enter(
        &mut self,
        mut list: MutexGuard<'_, List>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer, RpcError>> {
        if list.course == Course::Ended {
            return Poll::Ready(Err(RpcError::Shutdown));
        }
        let newcomer = self.in_line.is_none() && !list.line.is_empty();
        if newcomer || list.count() >= self.calls.places {
            let waker = cx.waker();
            match self.in_line {
                None => {
                    let own = list.next_in_line;
                    list.next_in_line += 1;
                    list.line.push_back((own, waker.clone()));
                    self.in_line = Some(own);
                }
                Some(own) => match list.line.iter_mut().find(|(number, _)| *number == own) {
                    Some((_, known)) => known.clone_from(waker),
                    // It had its turn, and found its place taken.
                    None => list.line.push_front((own, waker.clone())),
                },
            }
            return Poll::Pending;
        }
        self.in_line = None;
        let Some(mut request) = self.request.take() else { return Poll::Pending };
        request.id = list.enter(cx.waker().clone());
        if request.message.timed {
            request.id |= TIMED;
        }
        self.id = Some(request.id);
        let sooner = list.watch(self.deadline, request.id);
        if request.message.timed {
            list.timed.get_or_insert((request.id, Probe::of(true)));
        }
        let wake = list.send(ClientMessage::Request(request)) || sooner;
        drop(list);
        if wake {
            self.calls.task.wake();
        }
        Poll::Pending
    }
}

impl Drop for OneCall<'_> {
    /// Whoever goes away before the answer is there has the other side stop.
    fn drop(&mut self) {
        if self.id.is_none() && self.in_line.is_none() {
            return;
        }
        let mut list = self.calls.list();
        let mut wake = false;
        let next = match self.id {
            Some(id) => {
                if list.is_waiting(id) && list.course != Course::Ended {
                    wake = list.send(cancel(id));
                }
                list.leave(id)
            }
            // If its turn had come already, it is the next one's.
            None => {
                let before = list.line.len();
                list.line.retain(|(at, _)| Some(*at) != self.in_line);
                let had_its_turn = list.line.len() == before;
                had_its_turn.then(|| list.line.pop_front()).flatten().map(|(_, waker)| waker)
            }
        };
        drop(list);
        if wake {
            self.calls.task.wake();
        }
        if let Some(next) = next {
            next.wake();
        }
    }
}
