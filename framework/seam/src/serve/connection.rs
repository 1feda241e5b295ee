//! The calls on one connection, as the serving side runs them.
//!
//! Most calls can be answered at once: a read from memory, a check that fails. So each is polled once
//! where it was read, and its answer leaves in one write with those around it: no task and no wake-up
//! was spent on it. A call that has to wait goes on in a task of its own and holds back no other. Calls
//! of a method that is known to keep a processor busy get a task at once.
//!
//! What is bounded, and what happens beyond the bound:
//!
//! | bound | beyond it |
//! |---|---|
//! | calls that run in the process ([`super::gate`]) | a call waits for a moment, or is refused |
//! | calls in flight on the connection | a call is refused |
//! | bytes of the peer's calls and answers ([`crate::wire::Memory`]) | a call is refused; a long one is not even kept |
//! | answers that the peer has not taken | no more is read; after a while the connection ends |
//! | messages and time of one turn of the loop ([`super::conduct`]) | the loop yields to other tasks |
//! | refusals that are the peer's own fault | the peer is slowed, then the connection ends |
//!
//! When the process is about to stop, callers are told, and make their next calls elsewhere.
//!
//! The loop stands in the place of tarpc's own server, and speaks its messages.

use super::{
    answering,
    conduct::{Conduct, Turn},
    directory::ServedMethod,
    gate::stopping,
    greeting::Serving,
};
use crate::{
    call::{
        CallError, CallErrorKind, Origin, RetryAdvice,
        clock::Moment,
        planted,
        record::Ended,
        stages::{Probe, Stage},
    },
    wire::{
        Account, Answer, Bounds, Envelope, Heard, Incoming, Long, Peer, Pulse, Transport,
        encode_error, overloaded, refuse,
    },
};
use futures_util::{Sink, poll, task::AtomicWaker};
use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tarpc::{ClientMessage, Response};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, Sleep, sleep},
};

/// A server's end: calls come in, answers go out.
type ServerTransport = Transport<Response<Answer>, ClientMessage<Envelope>>;

/// How long calls are still taken after the peer was told that the process is about to stop: some were
/// on their way. A connection on which nothing arrives for as long then ends.
const GRACE: Duration = Duration::from_secs(1);
/// A connection without a single call is closed after this time, when connections are scarce.
const UNUSED: Duration = Duration::from_secs(60);
/// What a call takes beside its payload and its answer, in bytes.
const CALL: usize = 512;
/// What an answer takes beside its payload, in bytes.
const ANSWER: usize = 32;
/// When a call that found no room may be made again.
const ROOM_AGAIN: Duration = Duration::from_millis(50);

/// One connection, and the calls on it that have a task of their own.
pub(super) struct Connection<'a> {
    serving: &'a Serving,
    caller: Arc<str>,
    /// The caller as an origin of calls.
    peer: u32,
    rights: Vec<bool>,
    bounds: Bounds,
    leaving: Option<Leaving>,
    pulse: Pulse,
    conduct: Conduct,
    account: Account,
    /// What is charged for answers that are not written yet.
    unwritten: usize,
    /// What is charged for a long message that is arriving.
    arriving: usize,
    running: BTreeMap<u64, CallTask>,
    finished: Arc<Finished>,
    since: Instant,
    has_called: bool,
}

/// A call that has a task of its own.
struct CallTask {
    task: AbortHandle,
    charged: usize,
}

/// A process that is about to stop.
struct Leaving {
    told: Instant,
    /// Goes off when nothing has arrived for a while.
    quiet: Pin<Box<Sleep>>,
}

impl Leaving {
    fn now() -> Self {
        Self { told: Instant::now(), quiet: Box::pin(sleep(GRACE)) }
    }
}

/// Where the tasks of calls leave their answers.
#[derive(Default)]
struct Finished {
    answers: Mutex<Vec<(u64, Answer)>>,
    task: AtomicWaker,
}

impl Finished {
    fn put(&self, id: u64, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((id, answer));
        let first = answers.len() == 1;
        drop(answers);
        if first {
            self.task.wake();
        }
    }

    fn take(&self) -> Vec<(u64, Answer)> {
        mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Connection<'_> {
    /// The peer is gone: its calls stop.
    fn drop(&mut self) {
        self.running.values().for_each(|running| running.task.abort());
    }
}

impl<'a> Connection<'a> {
    pub(super) fn new(serving: &'a Serving, peer: Peer) -> Self {
        let bounds = serving.limits.bounds;
        Self {
            rights: serving.directory.rights_of(&peer.process),
            bounds: Bounds { bytes: bounds.bytes.min(peer.payload_limit), ..bounds },
            leaving: None,
            pulse: Pulse::new(serving.limits.pulse),
            conduct: Conduct::default(),
            account: Account::of(serving.memory.peer(&peer.process)),
            unwritten: 0,
            arriving: 0,
            running: BTreeMap::new(),
            finished: Arc::default(),
            since: Instant::now(),
            has_called: false,
            peer: Origin::peer_of(&peer.process),
            caller: peer.process.into(),
            serving,
        }
    }

    /// Serves the connection until it ends, or has drained.
    pub(super) async fn run(
        mut self,
        transport: ServerTransport,
        mut draining: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let mut transport = pin!(transport);
        let mut stopping = pin!(async move {
            if draining.wait_for(|draining| *draining).await.is_err() {
                std::future::pending().await
            }
        });
        let ended = poll_fn(|cx| {
            if self.leaving.is_none() && stopping.as_mut().poll(cx).is_ready() {
                self.leaving = Some(Leaving::now());
                transport.say_leaving();
            }
            self.poll(transport.as_mut(), cx)
        })
        .await;
        if ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            // The calls before a broken frame were whole. Those that have been answered are told so, as far
            // as the socket takes the answers at once.
            let _ = poll!(poll_fn(|cx| transport.as_mut().poll_close(cx)));
        }
        ended
    }

    fn poll(
        &mut self,
        mut transport: Pin<&mut ServerTransport>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.finished.task.register(cx.waker());
        let waiting = || !self.running.is_empty();
        self.pulse.poll(transport.as_mut().get_mut(), waiting, cx)?;
        self.close_if_unused()?;
        self.settle(transport.unwritten());
        for (id, answer) in self.finished.take() {
            // It may have been cancelled in the same moment.
            if let Some(running) = self.running.remove(&id) {
                self.account.release(running.charged);
                self.answer(transport.as_mut(), id, answer)?;
            }
        }
        let mut turn = Turn::begin();
        loop {
            // No more is read than the peer takes answers.
            ready!(transport.as_mut().poll_ready(cx))?;
            if self.conduct.is_pausing(cx) {
                return self.flush(transport, cx);
            }
            if turn.is_over() {
                self.conduct.end_turn();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match transport.as_mut().get_mut().poll_heard(cx)? {
                Poll::Ready(Some(Heard::Message(ClientMessage::Request(call)))) => {
                    self.account.release(mem::take(&mut self.arriving));
                    if let Some(answer) = self.begin(call.id, call.message, cx)? {
                        self.answer(transport.as_mut(), call.id, answer)?;
                    }
                }
                Poll::Ready(Some(Heard::Message(ClientMessage::Cancel { request_id, .. }))) => {
                    if !planted!("work-goes-on")
                        && let Some(running) = self.running.remove(&request_id)
                    {
                        running.task.abort();
                        self.account.release(running.charged);
                    }
                }
                Poll::Ready(Some(Heard::Long(long))) => self.arrives(transport.as_mut(), long)?,
                // A message of a newer version of tarpc.
                Poll::Ready(Some(Heard::Message(_))) => {}
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    self.conduct.end_turn();
                    return self.flush(transport, cx);
                }
            }
        }
    }

    /// Writes what there is to write. Nothing more is read for now.
    fn flush(
        &mut self,
        mut transport: Pin<&mut ServerTransport>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(transport.as_mut().poll_flush(cx))?;
        self.settle(0);
        if let Some(leaving) = &mut self.leaving
            && self.running.is_empty()
        {
            ready!(leaving.quiet.as_mut().poll(cx));
            return transport.poll_close(cx);
        }
        Poll::Pending
    }

    /// An error when the connection has never been used and others want its place.
    fn close_if_unused(&self) -> io::Result<()> {
        if self.has_called || self.since.elapsed() < UNUSED || !self.serving.is_crowded() {
            return Ok(());
        }
        let why = format!("it has made no call for {UNUSED:?}, and connections are scarce");
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    }

    /// Takes back what was charged for answers that have left: so much is not written yet.
    fn settle(&mut self, unwritten: usize) {
        if unwritten < self.unwritten {
            self.account.release(self.unwritten - unwritten);
            self.unwritten = unwritten;
        }
    }

    /// A long message begins to arrive. If there is no room for it, it is not kept, and refused.
    fn arrives(&mut self, mut transport: Pin<&mut ServerTransport>, long: Long) -> io::Result<()> {
        if self.account.charge(long.bytes) {
            self.arriving = long.bytes;
            return Ok(());
        }
        transport.pass_over();
        self.answer(transport, long.id, refuse(&no_room()))
    }

    /// Puts an answer where it waits to be written. If there is no room for it, its caller is told so.
    fn answer(
        &mut self,
        transport: Pin<&mut ServerTransport>,
        id: u64,
        mut answer: Answer,
    ) -> io::Result<()> {
        let bytes = answer.payload.len() + ANSWER;
        if self.account.charge(bytes) {
            self.unwritten += bytes;
        } else if bytes > CALL {
            let why = "the call was done, but there is no room for its answer: the buffers of the \
                       process are full, or the caller takes no answers";
            answer = encode_error(&CallError::new(CallErrorKind::Overloaded, why));
        }
        transport.start_send(Response { request_id: id, message: Ok(answer) })
    }

    /// Begins a call. The result is its answer, if it could be given at once.
    fn begin(
        &mut self,
        id: u64,
        envelope: Envelope,
        cx: &mut Context<'_>,
    ) -> io::Result<Option<Answer>> {
        if let Some(leaving) = &mut self.leaving {
            if leaving.told.elapsed() > GRACE {
                return Ok(Some(refuse(&stopping())));
            }
            leaving.quiet.as_mut().reset(Instant::now() + GRACE);
        }
        if self.running.contains_key(&id) {
            // A call of this id is in flight already.
            self.conduct.refused()?;
            return Ok(None);
        }
        if self.running.len() >= self.serving.limits.in_flight {
            self.conduct.refused()?;
            let why = "there are as many calls in flight on this connection as there may be";
            return Ok(Some(refuse(&overloaded(why))));
        }
        let serving = self.serving;
        let found = serving.directory.find(envelope.method, &self.rights, &self.caller);
        let ServedMethod { handler, number, habit } = match found {
            Ok(method) => method,
            Err(error) => {
                self.conduct.refused()?;
                return Ok(Some(encode_error(&error)));
            }
        };
        self.conduct.accepted();
        self.has_called = true;
        let charged = CALL + envelope.payload.len() + habit.answer.bytes();
        if !self.account.charge(charged) {
            return Ok(Some(refuse(&no_room())));
        }
        let Envelope { context, payload, timed, .. } = envelope;
        // What it says of its own clients divides its turns, and takes none of another peer.
        let origin = context.origin().through(self.peer);
        let context = serving.directory.believe(context.of(origin), &self.caller);
        let place = serving.gate.enter();
        let waiting = match &place {
            Some(_) => None,
            None => match serving.gate.queue(origin) {
                Ok(waiting) => Some(waiting),
                Err(full) => {
                    self.account.release(charged);
                    return Ok(Some(refuse(&full)));
                }
            },
        };
        let (context, recording) = serving.directory.record(context, &self.caller);
        let probe = Probe::of(timed);
        let deadline = context.deadline();
        let at_once = waiting.is_none() && !habit.is_busy();
        // What waits must not keep the whole of the buffer that it was read into.
        let payload = if at_once { payload } else { payload.detached() };
        let incoming = Incoming { payload, bounds: self.bounds, timed };
        let mut answering = answering(handler, *number, context, incoming);
        if at_once {
            let polled = habit.watch(|| Pin::new(&mut answering).poll(cx));
            if let Poll::Ready(answer) = polled {
                if let Some(recording) = recording {
                    recording.end(Ended::Done);
                }
                probe.end(Stage::Served);
                habit.answer.learn(answer.payload.len());
                self.account.release(charged);
                return Ok(Some(answer));
            }
        }
        self.pulse.quicken(cx);
        let (finished, habit, gate) =
            (Arc::clone(&self.finished), Arc::clone(habit), Arc::clone(&serving.gate));
        let task = tokio::spawn(async move {
            let _place = match (place, waiting) {
                (None, Some(waiting)) => match waiting.turn(deadline).await {
                    Ok(place) => Some(place),
                    Err(refused) => return finished.put(id, refuse(&refused)),
                },
                (place, _) => place,
            };
            let began = Moment::now();
            let mut first = true;
            let answer = poll_fn(|cx| {
                if mem::take(&mut first) {
                    habit.watch(|| Pin::new(&mut answering).poll(cx))
                } else {
                    Pin::new(&mut answering).poll(cx)
                }
            });
            let answer = answer.await;
            if let Some(recording) = recording {
                recording.end(Ended::Done);
            }
            probe.end(Stage::Served);
            habit.answer.learn(answer.payload.len());
            gate.learn(Duration::from_nanos(began.nanos()));
            finished.put(id, answer);
        });
        self.running.insert(id, CallTask { task: task.abort_handle(), charged });
        Ok(None)
    }
}

/// The refusal of a call whose bytes, or whose answer's, find no room.
fn no_room() -> CallError {
    overloaded("the calls of this process hold as many bytes as they may (limits.memory)")
        .with_retry_advice(RetryAdvice::After(ROOM_AGAIN))
}
