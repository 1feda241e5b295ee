//! The calls that are in flight on one connection.
//!
//! This is used instead of tarpc's own client, and sends the same messages: tarpc's server sees no
//! difference. tarpc's client has a channel, a timer and a span for each call, which together cost as much
//! as all the rest of a call. Here callers and the connection's task share one list ([`List`]) under a
//! mutex: callers enter their calls into it and find their answers there.
//!
//! | file | holds |
//! |---|---|
//! | `list.rs` | the states of a call, and what always holds: no locks, no tasks |
//! | `order.rs` | the line of calls that wait for a place, and the queue of messages to send |
//! | `one.rs` | one call, as the future that its caller awaits |
//! | `run.rs` | the connection's task |
//! | `model.rs` | callers and a task in every order that is possible |

mod list;
#[cfg(test)]
mod model;
mod one;
mod order;
mod run;
#[cfg(test)]
mod tests;

use crate::{
    call::stages::Probe,
    wire::{Answer, Charge, Envelope, Memory, PulseThresholds, Transport},
};
use futures_util::task::AtomicWaker;
use list::{Ending, List, Terms};
use one::{OneCall, Shared};
use std::{
    io::ErrorKind,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tarpc::{
    ClientMessage, Response, ServerError,
    client::{RpcError, stub::Stub},
};
use tokio::sync::Notify;

/// A client's end: calls go out, answers come in.
pub(super) type ClientTransport = Transport<ClientMessage<Envelope>, Response<Answer>>;

/// The calls that are in flight on one connection, and those that wait until they can be.
#[derive(Debug)]
pub(super) struct Calls {
    list: Mutex<List<Request, Arrived>>,
    /// What answers are charged to that are longer than the room that was kept for them.
    memory: Arc<Memory>,
    /// The connection's task.
    task: AtomicWaker,
    /// Whether the connection has carried long messages lately.
    long: AtomicBool,
    /// Whether nothing has been heard from the other side for so long that calls should go elsewhere.
    silent: AtomicBool,
    /// Whether the other side has said that it is going to close the connection.
    leaving: AtomicBool,
    told_to_leave: Notify,
    pulse: PulseThresholds,
}

/// What goes into the list: a call, and the room that its caller keeps for its answer.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) envelope: Envelope,
    /// In bytes.
    pub(super) room: usize,
}

impl tarpc::RequestName for Outbound {
    fn name(&self) -> &str {
        self.envelope.name()
    }
}

/// What has arrived for a call.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Its answer, and what that is charged beyond the room that was kept.
    Answer(Answer, Option<Charge>),
    /// Its answer was not kept: the buffers of this process are full.
    NoRoom,
}

/// A call before it is sent.
#[derive(Debug)]
struct Request {
    envelope: Envelope,
    /// Times how long it waits for the connection's task.
    probe: Probe,
}

impl Calls {
    /// For a connection that takes `places` calls at once. Further calls wait in line.
    pub(super) fn new(places: usize, memory: Arc<Memory>, pulse: PulseThresholds) -> Self {
        Self {
            list: Mutex::new(List::new(places)),
            memory,
            task: AtomicWaker::new(),
            long: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            told_to_leave: Notify::new(),
            pulse,
        }
    }

    /// How many calls a new call would have to wait for. That is 0 unless the connection has carried long
    /// messages lately: short ones wait for none.
    pub(super) fn before_one_more(&self) -> usize {
        if self.long.load(Relaxed) { self.list().waiting() } else { 0 }
    }

    /// Whether the other side does not answer pings.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Relaxed)
    }

    /// Ready when the other side has said that it is going to close the connection. Only one task may wait
    /// for it.
    pub(super) async fn told_to_leave(&self) {
        self.told_to_leave.notified().await;
    }

    fn list(&self) -> MutexGuard<'_, List<Request, Arrived>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the connection end when everything has been sent.
    pub(super) fn close(&self) {
        self.list().close();
        self.task.wake();
    }
}

/// The end of a call whose answer was not kept.
fn no_room() -> ServerError {
    ServerError::new(ErrorKind::OutOfMemory, "no room for the answer".to_owned())
}

impl Shared for Calls {
    type Request = Request;
    type Answer = Arrived;

    #[inline]
    fn step<R>(&self, step: impl FnOnce(&mut List<Request, Arrived>) -> R) -> R {
        step(&mut self.list())
    }

    fn wake_task(&self) {
        self.task.wake();
    }
}

impl Stub for Calls {
    type Req = Outbound;
    type Resp = Answer;

    /// tarpc's context says nothing here: ours travels in the envelope.
    async fn call(
        &self,
        _: tarpc::context::Context,
        Outbound { envelope, room }: Outbound,
    ) -> Result<Answer, RpcError> {
        let (deadline, timed) = (envelope.context.deadline(), envelope.timed);
        let terms = Terms { deadline, timed, room };
        let request = Request { envelope, probe: Probe::of(timed) };
        match OneCall::new(self, request, terms).await {
            Ending::Answered(Arrived::Answer(answer, _)) => Ok(answer),
            Ending::Answered(Arrived::NoRoom) => Err(RpcError::Server(no_room())),
            Ending::Overdue => Err(RpcError::DeadlineExceeded),
            Ending::NotSent => {
                Err(RpcError::Send("the connection ended before the call was sent".into()))
            }
            Ending::Lost => Err(RpcError::Shutdown),
        }
    }
}
