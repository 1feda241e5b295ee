//! The task that has a connection. It sends what is in the list, hands out answers, ends calls whose
//! deadline has passed, and notices when the other side does not answer any more.

use super::{
    Arrived, Calls, ClientTransport, Request,
    list::{Leftovers, Message},
};
use crate::{
    call::{planted, stages::Stage},
    wire::{Answer, Charge, Envelope, Heard, Long, Pulse, tarpc_context},
};
use futures_util::Sink;
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker, ready},
};
use tarpc::{ClientMessage, Response};
use tokio::time::{Instant, Sleep, sleep_until};

/// Answers that are handed out at a time, so that the rest of the task has its turn.
const BATCH: usize = 16;
/// Messages that are sent at a time, and the bytes that end such a batch early. A call can be taken back
/// until it is in a batch.
const SENT: usize = 64;
const SENT_BYTES: usize = 8 * 1024;

/// What belongs to the task alone.
struct LoopState {
    heard: Vec<(u64, Arrived)>,
    /// What a long answer is charged that is arriving, beyond the room that was kept for it.
    arriving: Option<Charge>,
    sending: Vec<Message<Request>>,
    left: Leftovers<Request>,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off; `None` if it has.
    armed: Option<Instant>,
    pulse: Pulse,
}

impl Calls {
    /// Runs the connection until one side ends it.
    pub(crate) async fn run(self: Arc<Self>, transport: ClientTransport) -> io::Result<()> {
        let mut transport = pin!(transport);
        let mut running = LoopState {
            heard: Vec::new(),
            arriving: None,
            sending: Vec::new(),
            left: Leftovers::default(),
            timer: Box::pin(sleep_until(Instant::now())),
            armed: None,
            pulse: Pulse::new(self.pulse),
        };
        let ended = poll_fn(|cx| {
            let polled = self.poll(&mut running, transport.as_mut(), cx);
            self.long.store(transport.has_long_messages(), Relaxed);
            if transport.is_leaving() && !self.leaving.swap(true, Relaxed) {
                self.told_to_leave.notify_one();
            }
            if let Poll::Ready(Err(_)) = polled {
                self.hear_the_rest(&mut running, transport.as_mut(), cx);
            }
            polled
        })
        .await;
        self.list().end(&mut running.left);
        running.left.see_to();
        ended
    }

    /// Ends all calls on a connection whose task was dropped.
    pub(crate) fn cut(&self) {
        let mut left = Leftovers::default();
        self.list().end(&mut left);
        left.see_to();
    }

    fn poll(
        &self,
        running: &mut LoopState,
        mut transport: Pin<&mut ClientTransport>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.task.register(cx.waker());
        if let Poll::Ready(ended) = self.hear(running, transport.as_mut(), cx) {
            return Poll::Ready(ended);
        }
        self.end_overdue(running, cx);
        let waiting = || self.list().in_flight() > 0;
        let silent = running.pulse.poll(transport.as_mut().get_mut(), waiting, cx)?;
        self.silent.store(silent, Relaxed);
        loop {
            // Whatever is taken from the list is handed to the transport at once: a call that still waits
            // can be taken back, and is known not to have been sent.
            ready!(transport.as_mut().poll_ready(cx))?;
            let mut list = self.list();
            let length = |request: &Request| request.envelope.payload.len();
            list.take(&mut running.sending, SENT, SENT_BYTES, length);
            let closing = list.is_closing();
            drop(list);
            if running.sending.is_empty() {
                let flushed = transport.as_mut().poll_flush(cx)?;
                return match flushed {
                    Poll::Ready(()) if closing => transport.poll_close(cx),
                    _ => Poll::Pending,
                };
            }
            running.pulse.quicken(cx);
            for message in running.sending.drain(..) {
                transport.as_mut().start_send(into_tarpc(message))?;
            }
        }
    }

    /// Hands out answers that have arrived. It is ready when the connection has ended.
    fn hear(
        &self,
        running: &mut LoopState,
        mut transport: Pin<&mut ClientTransport>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ended = Poll::Pending;
        while running.heard.len() < BATCH {
            match transport.as_mut().get_mut().poll_heard(cx) {
                Poll::Ready(Some(Ok(heard))) => self.keep(running, transport.as_mut(), heard),
                Poll::Ready(Some(Err(error))) => ended = Poll::Ready(Err(error)),
                Poll::Ready(None) => ended = Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
            if ended.is_ready() {
                break;
            }
        }
        if running.heard.len() == BATCH {
            cx.waker().wake_by_ref();
        }
        // What arrived before the end counts, however the connection ends.
        self.hand_out(&mut running.heard);
        ended
    }

    /// After a write failed: hands out the answers that had arrived by then.
    fn hear_the_rest(
        &self,
        running: &mut LoopState,
        mut transport: Pin<&mut ClientTransport>,
        cx: &mut Context<'_>,
    ) {
        while self.list().in_flight() > 0
            && let Poll::Ready(Some(Ok(heard))) = transport.as_mut().get_mut().poll_heard(cx)
        {
            self.keep(running, transport.as_mut(), heard);
            self.hand_out(&mut running.heard);
        }
    }

    /// Ends the calls whose deadline has passed, and arms the timer for the next deadline.
    fn end_overdue(&self, running: &mut LoopState, cx: &mut Context<'_>) {
        if planted!("callers-wait-on") {
            return;
        }
        loop {
            let first = self.list().first_deadline();
            let Some(first) = first else { break };
            // One timer does for all calls. That it goes off too early now and then costs less than to set
            // it anew whenever a call ends.
            if running.armed.is_none_or(|armed| first < armed) {
                running.timer.as_mut().reset(first);
                running.armed = Some(first);
            }
            if running.timer.as_mut().poll(cx).is_pending() {
                break;
            }
            running.armed = None;
            self.list().end_overdue(Instant::now(), &mut running.left);
        }
        running.left.see_to();
    }

    /// Keeps an answer that has arrived, or begins to, if there is room for it.
    fn keep(
        &self,
        running: &mut LoopState,
        mut transport: Pin<&mut ClientTransport>,
        heard: Heard<Response<Answer>>,
    ) {
        match heard {
            Heard::Message(Response { request_id, message: Ok(answer) }) => {
                let charge = running.arriving.take();
                running.heard.push((request_id, Arrived::Answer(answer, charge)));
            }
            // tarpc's own errors do not come over our transport.
            Heard::Message(_) => {}
            Heard::Long(Long { id, bytes }) => {
                let beyond = self.list().room(id).map(|room| bytes.saturating_sub(room));
                running.arriving = beyond.and_then(|beyond| self.memory.own().charge(beyond));
                // An answer that comes too late is not kept either.
                if running.arriving.is_none() {
                    transport.pass_over();
                    running.heard.push((id, Arrived::NoRoom));
                }
            }
        }
    }

    /// Gives the answers to their calls, and wakes the callers without the lock.
    fn hand_out(&self, answers: &mut Vec<(u64, Arrived)>) {
        if answers.is_empty() {
            return;
        }
        let mut callers: [Option<Waker>; BATCH] = [const { None }; BATCH];
        let mut list = self.list();
        for ((id, mut arrived), caller) in answers.drain(..).zip(&mut callers) {
            if let Arrived::Answer(answer, charge @ None) = &mut arrived {
                let beyond =
                    list.room(id).map_or(0, |room| answer.payload.len().saturating_sub(room));
                if beyond > 0 {
                    *charge = self.memory.own().charge(beyond);
                    if charge.is_none() {
                        arrived = Arrived::NoRoom;
                    }
                }
            }
            *caller = list.answer(id, arrived);
        }
        drop(list);
        callers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A message as tarpc has it.
fn into_tarpc(message: Message<Request>) -> ClientMessage<Envelope> {
    let context = tarpc_context();
    match message {
        Message::Call(id, Request { envelope, probe }) => {
            probe.end(Stage::Queue);
            ClientMessage::Request(tarpc::Request { context, id, message: envelope })
        }
        Message::Cancel(request_id) => {
            ClientMessage::Cancel { trace_context: context.trace_context, request_id }
        }
    }
}
