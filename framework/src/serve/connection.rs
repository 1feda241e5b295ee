//! One connection, as the serving side sees it.
//!
//! Most calls can be answered at once: a read of what is in memory, a check that fails. So each is
//! polled once where it was read, and its answer goes out with those of the calls around it: neither
//! a task nor a wake-up was spent on it. One that has to wait goes on in a task of its own, so that
//! it holds back nobody; and so does, from the beginning, any call of a method that has been seen to
//! keep a processor busy.
//!
//! Calls beyond those that may run wait in a queue, or are refused; see [`super::gate`]. When the
//! process is about to go, the callers are told, and go elsewhere with what they call next.
//!
//! The loop stands where tarpc's own server would, and speaks its messages.

use super::{
    Directory, Limits, answering,
    directory::ServedMethod,
    gate::{Gate, stopping},
};
use crate::{
    call::{
        clock::Moment,
        planted,
        stages::{Probe, Stage},
    },
    wire::{
        Answer, Bounds, Envelope, Incoming, Interfaces, Peer, Pulse, Refusal, Socket, Tls,
        Transport, encode_error, overloaded, receive, refuse,
    },
};
use futures_util::{Sink, Stream, task::AtomicWaker};
use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tarpc::{ClientMessage, Response};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, Sleep, sleep, timeout},
};

/// A server's end: calls come in, answers go out.
type ServerTransport = Transport<Response<Answer>, ClientMessage<Envelope>>;

/// After it was said that the process is about to go, calls are still taken for so long: their callers
/// had not heard it. A connection on which nothing comes for so long then ends.
const GRACE: Duration = Duration::from_secs(1);

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) us: Peer,
    pub(super) directory: Directory,
    pub(super) limits: Limits,
    pub(super) gate: Arc<Gate>,
    pub(super) tls: Option<Tls>,
}

pub(super) async fn serve(
    mut socket: Socket,
    serving: &Arc<Serving>,
    mut draining: watch::Receiver<bool>,
) {
    let Serving { us, directory, limits, tls, .. } = &**serving;
    if let Some(tls) = tls {
        socket = match timeout(limits.hello, socket.accept_tls(tls)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                tracing::info!(%error, "a connection was turned away: it proved nothing");
                return;
            }
            Err(_) => {
                tracing::info!("a connection was turned away: it proved nothing in time");
                return;
            }
        };
    }
    let proof = socket.proof();
    let hello = receive(&mut socket, us, limits.hello, |peer| {
        if !proof.is_of(&peer.process) {
            let process = &peer.process;
            return Err(Refusal(format!("your certificate is not that of `{process}`")));
        }
        if peer.http && directory.web_for(&peer.process).is_none() {
            return Err(Refusal("it serves no routes of modules' own to you".to_owned()));
        }
        Ok(directory.interfaces())
    })
    .await;
    let (peer, input) = match hello {
        Ok(greeted) => greeted,
        Err(error) => {
            tracing::info!(%error, "a connection was turned away");
            return;
        }
    };
    if let Some(web) = directory.web_for(&peer.process).filter(|_| peer.http) {
        // Nobody asks before they are welcome.
        if input.is_empty() {
            web.serve(socket, draining).await;
        }
        return;
    }
    let mut transport = pin!(Transport::new(socket, input, limits.bounds.bytes));
    let mut connection = Connection {
        rights: directory.rights_of(&peer.process),
        bounds: Bounds { bytes: limits.bounds.bytes.min(peer.payload_limit), ..limits.bounds },
        serving,
        leaving: None,
        pulse: Pulse::new(),
        running: BTreeMap::new(),
        finished: Arc::default(),
    };
    let caller = peer.process;
    let mut going = pin!(async move {
        if draining.wait_for(|draining| *draining).await.is_err() {
            std::future::pending().await
        }
    });
    let ended = poll_fn(|cx| {
        if connection.leaving.is_none() && going.as_mut().poll(cx).is_ready() {
            connection.leaving = Some(Leaving::now());
            transport.say_leaving();
        }
        connection.poll(&caller, transport.as_mut(), cx)
    })
    .await;
    match ended {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => {
            tracing::debug!(caller, "the caller closed the connection");
        }
        Err(error) => tracing::info!(caller, %error, "a connection was ended"),
    }
}

/// Says to somebody who connects that there are too many connections.
pub(super) async fn turn_away(mut socket: Socket, serving: &Serving) {
    let Serving { us, limits, tls, .. } = serving;
    if let Some(tls) = tls {
        match timeout(limits.hello, socket.accept_tls(tls)).await {
            Ok(Ok(accepted)) => socket = accepted,
            _ => return,
        }
    }
    let why = format!("it has as many connections as it may have ({})", limits.connections);
    let refusal = |_: &Peer| Err::<Interfaces, _>(Refusal(why));
    // The refusal is the error.
    let _ = receive(&mut socket, us, limits.hello, refusal).await;
}

/// A process that is about to go.
struct Leaving {
    told: Instant,
    /// Goes off when nothing has come for a while.
    quiet: Pin<Box<Sleep>>,
}

impl Leaving {
    fn now() -> Self {
        Self { told: Instant::now(), quiet: Box::pin(sleep(GRACE)) }
    }
}

/// What is known of one connection, and the calls on it that have a task of their own.
struct Connection<'a> {
    serving: &'a Serving,
    rights: Vec<bool>,
    bounds: Bounds,
    leaving: Option<Leaving>,
    pulse: Pulse,
    running: BTreeMap<u64, AbortHandle>,
    finished: Arc<Finished>,
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
    /// Nobody waits for what is under way.
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

impl Connection<'_> {
    fn poll(
        &mut self,
        caller: &str,
        mut transport: Pin<&mut ServerTransport>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.finished.task.register(cx.waker());
        let waiting = || !self.running.is_empty();
        self.pulse.poll(transport.as_mut().get_mut(), waiting, cx)?;
        for (id, answer) in self.finished.take() {
            // It may have been cancelled in the same moment.
            if self.running.remove(&id).is_some() {
                transport.as_mut().start_send(Response { request_id: id, message: Ok(answer) })?;
            }
        }
        loop {
            // No more is read than the peer takes answers.
            ready!(transport.as_mut().poll_ready(cx))?;
            match transport.as_mut().poll_next(cx)? {
                Poll::Ready(Some(ClientMessage::Request(call))) => {
                    if let Some(answer) = self.begin(caller, call.id, call.message, cx) {
                        let answer = Response { request_id: call.id, message: Ok(answer) };
                        transport.as_mut().start_send(answer)?;
                    }
                }
                Poll::Ready(Some(ClientMessage::Cancel { request_id, .. })) => {
                    if !planted("work-goes-on")
                        && let Some(task) = self.running.remove(&request_id)
                    {
                        task.abort();
                    }
                }
                // Of no version that we know.
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(transport.as_mut().poll_flush(cx))?;
                    if let Some(leaving) = &mut self.leaving
                        && self.running.is_empty()
                    {
                        ready!(leaving.quiet.as_mut().poll(cx));
                        return transport.poll_close(cx);
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Begins a call. The result is its answer, if that is there at once.
    fn begin(
        &mut self,
        caller: &str,
        id: u64,
        envelope: Envelope,
        cx: &mut Context<'_>,
    ) -> Option<Answer> {
        if let Some(leaving) = &mut self.leaving {
            if leaving.told.elapsed() > GRACE {
                return Some(refuse(&stopping()));
            }
            leaving.quiet.as_mut().reset(Instant::now() + GRACE);
        }
        if self.running.contains_key(&id) {
            // It is under way already.
            return None;
        }
        if self.running.len() >= self.serving.limits.in_flight {
            let why = "there are as many calls in flight on this connection as there may be";
            return Some(refuse(&overloaded(why)));
        }
        let found = self.serving.directory.find(envelope.method, &self.rights, caller);
        let ServedMethod { handler, number, habit } = match found {
            Ok(method) => method,
            Err(error) => return Some(encode_error(&error)),
        };
        let gate = &self.serving.gate;
        let place = gate.enter();
        let waiting = match &place {
            Some(_) => None,
            None => match gate.queue() {
                Ok(waiting) => Some(waiting),
                Err(full) => return Some(refuse(&full)),
            },
        };
        let probe = Probe::of(envelope.timed);
        let Envelope { context, payload, timed, .. } = envelope;
        let deadline = context.deadline();
        let incoming = Incoming { payload, bounds: self.bounds, timed };
        let mut answering = answering(handler, *number, context, incoming);
        if waiting.is_none() && !habit.is_busy() {
            let polled = habit.watch(|| Pin::new(&mut answering).poll(cx));
            if let Poll::Ready(answer) = polled {
                probe.end(Stage::Served);
                return Some(answer);
            }
        }
        self.pulse.quicken(cx);
        let (finished, habit, gate) =
            (Arc::clone(&self.finished), Arc::clone(habit), Arc::clone(gate));
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
            probe.end(Stage::Served);
            gate.learn(Duration::from_nanos(began.nanos()));
            finished.put(id, answer);
        });
        self.running.insert(id, task.abort_handle());
        None
    }
}
