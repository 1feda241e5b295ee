//! One connection, served: tarpc reads the calls, and each is polled once where it stands.
//!
//! Most handlers are ready at their first poll, and then neither a task nor a wake-up was spent on
//! them. One that is not gets a task of its own, so that it holds back nobody.

use super::{Directory, Limits, answer_guarded};
use crate::{
    call::{CallError, CallErrorKind},
    wire::{Answer, Bounds, Envelope, Incoming, Peer, Socket, Transport, encode_error, receive},
};
use futures_util::{SinkExt, StreamExt, poll};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tarpc::{
    ServerError,
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
    let hello = receive(&mut socket, us, limits.hello, |_| Ok(directory.interfaces())).await;
    let (peer, input) = match hello {
        Ok(greeted) => greeted,
        Err(error) => {
            tracing::info!(%error, "a connection was turned away");
            return;
        }
    };
    let bounds = Bounds { bytes: limits.bounds.bytes.min(peer.payload_limit), ..limits.bounds };
    let caller = Arc::new(Caller {
        rights: directory.rights_of(&peer.process),
        process: peer.process,
        bounds,
        in_flight: AtomicUsize::new(0),
        serving: Arc::clone(serving),
        draining: draining.clone(),
    });
    let config = server::Config { pending_response_buffer: limits.in_flight };
    let transport = Transport::new(socket, input, limits.bounds.bytes);
    let mut calls = pin!(BaseChannel::new(config, transport).requests());
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
                let mut answering = Box::pin(call.execute(Answering(Arc::clone(&caller))));
                if poll!(answering.as_mut()).is_pending() {
                    tokio::spawn(answering);
                }
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

/// Who is at the other end, and what they have under way.
#[derive(Debug)]
struct Caller {
    process: String,
    rights: Vec<bool>,
    bounds: Bounds,
    in_flight: AtomicUsize,
    serving: Arc<Serving>,
    draining: watch::Receiver<bool>,
}

/// tarpc's handler for one call.
#[derive(Clone)]
struct Answering(Arc<Caller>);

impl Serve for Answering {
    type Req = Envelope;
    type Resp = Answer;

    async fn serve(
        self,
        _: tarpc::context::Context,
        envelope: Envelope,
    ) -> Result<Answer, ServerError> {
        let caller = &*self.0;
        let under_way = UnderWay::start(&caller.in_flight);
        if let Some(refusal) = caller.refuse(under_way.others) {
            return Ok(encode_error(&refusal));
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

impl Caller {
    /// Why no call may start now.
    fn refuse(&self, others: usize) -> Option<CallError> {
        if *self.draining.borrow() {
            return Some(CallError::new(CallErrorKind::NotRunning, "the process is stopping"));
        }
        let limit = self.serving.limits.in_flight;
        (others >= limit).then(|| {
            CallError::new(
                CallErrorKind::Overloaded,
                format!("there are {limit} calls in flight on this connection already"),
            )
        })
    }
}

/// Counts a call for as long as it is under way, also when it is cancelled.
struct UnderWay<'a> {
    count: &'a AtomicUsize,
    others: usize,
}

impl<'a> UnderWay<'a> {
    fn start(count: &'a AtomicUsize) -> Self {
        Self { count, others: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
