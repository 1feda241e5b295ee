//! The task that has a connection: it sends what callers have put into the list, hands out answers,
//! ends the calls whose time is over, and notices when nobody is at the other end any more.

use super::{Call, Calls, ClientTransport, Course};
use crate::{
    call::{
        planted,
        stages::{Probe, Stage},
    },
    wire::{Answer, Envelope, Pulse},
};
use futures_util::{Sink, Stream};
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};
use tarpc::{ClientMessage, Response};
use tokio::time::{Instant, Sleep, sleep_until};

/// Answers that are handed out at a time, so that the rest of the task has its turn.
const BATCH: usize = 16;

/// What the task has in its hands.
struct Running {
    heard: Vec<Response<Answer>>,
    sending: VecDeque<ClientMessage<Envelope>>,
    timed: Option<(u64, Probe)>,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off.
    armed: Option<Instant>,
    pulse: Pulse,
}

impl Calls {
    /// Runs the connection until one side ends it.
    pub(crate) async fn run(self: Arc<Self>, transport: ClientTransport) -> io::Result<()> {
        let mut transport = pin!(transport);
        let timer = Box::pin(sleep_until(Instant::now()));
        let mut running = Running {
            heard: Vec::new(),
            sending: VecDeque::new(),
            timed: None,
            timer,
            armed: None,
            pulse: Pulse::new(),
        };
        let ended = poll_fn(|cx| {
            let polled = self.poll(&mut running, transport.as_mut(), cx);
            self.long.store(transport.has_long_messages(), Relaxed);
            if transport.is_leaving() && !self.leaving.swap(true, Relaxed) {
                self.told_to_leave.notify_one();
            }
            polled
        })
        .await;
        self.end(mem::take(&mut running.sending));
        ended
    }

    /// Ends all calls that are left. Those in `sending`, and in the queue, have never been sent.
    fn end(&self, sending: VecDeque<ClientMessage<Envelope>>) {
        let mut list = self.list();
        list.course = Course::Ended;
        let mut wakers: Vec<Waker> = list.line.drain(..).map(|(_, waker)| waker).collect();
        let queue = mem::take(&mut list.queue);
        for message in sending.into_iter().chain(queue) {
            if let ClientMessage::Request(request) = message
                && let Some(slot) = list.slot(request.id)
                && let Call::Waiting(_) = slot.call
                && let Call::Waiting(waker) = mem::replace(&mut slot.call, Call::NotSent)
            {
                wakers.push(waker);
            }
        }
        wakers.extend(list.slots.iter().filter_map(|slot| match &slot.call {
            Call::Waiting(waker) => Some(waker.clone()),
            _ => None,
        }));
        drop(list);
        wakers.into_iter().for_each(Waker::wake);
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
        let waiting = || self.list().count() > 0;
        let silent = running.pulse.poll(transport.as_mut().get_mut(), waiting, cx)?;
        self.silent.store(silent, Relaxed);
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
                running.pulse.quicken(cx);
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
        if planted("callers-wait-on") {
            return;
        }
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
