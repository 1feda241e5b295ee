//! One connection, served: tarpc reads the calls, and each is polled once where it stands.
//!
//! Most handlers are ready at their first poll, and then neither a task nor a wake-up was spent on
//! them. One that is not gets a task of its own, so that it holds back nobody.

use super::{Directory, Limits, answer_guarded};
use crate::{
    call::{CallError, CallErrorKind},
    wire::{
        Answer, Bounds, Envelope, Incoming, Peer, Refusal, Socket, Transport, encode_error,
        overloaded, receive,
    },
};
use futures_util::{SinkExt, StreamExt, poll};
use std::{io::ErrorKind, pin::pin, sync::Arc, time::Duration};
use tarpc::{
    ChannelError, ServerError,
    server::{self, BaseChannel, Channel, Serve},
};
use tokio::{sync::watch, time::sleep};

/// How often a connection that drains looks whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) us: Peer,
    pub(super) directory: Directory,
    pub(super) limits: Limits,
}

pub(super) async fn serve(
    mut socket: Socket,
    serving: &Arc<Serving>,
    mut draining: watch::Receiver<bool>,
) {
    let Serving { us, directory, limits } = &**serving;
    let hello = receive(&mut socket, us, limits.hello, |peer| {
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
    let bounds = Bounds { bytes: limits.bounds.bytes.min(peer.payload_limit), ..limits.bounds };
    let caller = Arc::new(Caller {
        rights: directory.rights_of(&peer.process),
        process: peer.process,
        bounds,
        serving: Arc::clone(serving),
        draining: draining.clone(),
    });
    let config = server::Config { pending_response_buffer: limits.in_flight };
    let transport = Transport::new(socket, input, limits.bounds.bytes);
    // A peer that sends and never reads is refused below, call by call, and its refusals pile up: at
    // tarpc's own limit no more is read than the peer takes answers.
    let most = limits.in_flight.saturating_mul(2);
    let channel = BaseChannel::new(config, transport).max_concurrent_requests(most);
    let mut calls = pin!(channel.requests());
    loop {
        let next = tokio::select! {
            next = calls.next() => next,
            () = drained(&mut draining) => {
                if calls.channel().in_flight_requests() > 0 {
                    continue;
                }
                // What was answered last may still be on its way out.
                if let Err(error) = calls.as_mut().channel_pin_mut().close().await {
                    tracing::debug!(%error, "a drained connection did not close");
                }
                return;
            }
        };
        match next {
            Some(Ok(call)) => {
                // tarpc counts a call until its answer is on its way, and forgets one that was
                // cancelled as soon as it reads that: the next may follow in the same breath.
                let crowded = calls.channel().in_flight_requests() > limits.in_flight;
                let answering = Answering { caller: Arc::clone(&caller), crowded };
                let mut answering = Box::pin(call.execute(answering));
                if poll!(answering.as_mut()).is_pending() {
                    tokio::spawn(answering);
                }
            }
            Some(Err(ChannelError::Read(error)))
                if error.kind() == ErrorKind::ConnectionAborted =>
            {
                tracing::debug!(caller = caller.process, "the caller closed the connection");
                return;
            }
            Some(Err(error)) => {
                tracing::info!(caller = caller.process, %error, "a connection was ended");
                return;
            }
            None => return,
        }
    }
}

/// Pending until the process drains, then ready every now and then.
async fn drained(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_ok() {
        sleep(LOOK).await;
    }
}

/// Who is at the other end.
#[derive(Debug)]
struct Caller {
    process: String,
    rights: Vec<bool>,
    bounds: Bounds,
    serving: Arc<Serving>,
    draining: watch::Receiver<bool>,
}

/// tarpc's handler for one call.
#[derive(Clone)]
struct Answering {
    caller: Arc<Caller>,
    /// Whether there were too many in flight when this one came.
    crowded: bool,
}

impl Serve for Answering {
    type Req = Envelope;
    type Resp = Answer;

    async fn serve(
        self,
        _: tarpc::context::Context,
        envelope: Envelope,
    ) -> Result<Answer, ServerError> {
        let caller = &*self.caller;
        if *caller.draining.borrow() {
            let stopping = CallError::new(CallErrorKind::NotRunning, "the process is stopping");
            return Ok(encode_error(&stopping));
        }
        if self.crowded {
            return Ok(encode_error(&overloaded()));
        }
        let found = caller.serving.directory.find(envelope.method, &caller.rights, &caller.process);
        let (handler, method) = match found {
            Ok(found) => found,
            Err(error) => return Ok(encode_error(&error)),
        };
        let incoming = Incoming { payload: envelope.payload, bounds: caller.bounds };
        Ok(answer_guarded(&**handler, method, envelope.context, incoming).await)
    }
}
