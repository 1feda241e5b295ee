//! A connection from its first byte to its hello, and what it becomes then.

use super::{
    Directory, Limits,
    connection::Connection,
    gate::Gate,
    handshakes::{Handshake, Handshakes},
};
use crate::wire::{
    DISTRUSTED, HelloError, Interfaces, Memory, Peer, Refusal, Shown, Socket, Tls, Transport,
    receive,
};
use bytes::BytesMut;
use std::{
    io::{self, ErrorKind},
    sync::Arc,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) us: Peer,
    pub(super) directory: Directory,
    pub(super) limits: Limits,
    pub(super) gate: Arc<Gate>,
    pub(super) handshakes: Arc<Handshakes>,
    /// A permit for each connection that may still be accepted.
    pub(super) places: Arc<Semaphore>,
    pub(super) memory: Arc<Memory>,
    pub(super) tls: Option<Tls>,
}

impl Serving {
    /// Whether more than half of all connections that there may be are open.
    pub(super) fn is_crowded(&self) -> bool {
        self.places.available_permits() < self.limits.connections / 2
    }
}

/// Why a connection ended before it had said hello.
enum TurnedAway {
    /// Its TLS handshake failed.
    Unproven(io::Error),
    /// Its TLS handshake took too long.
    SlowProof,
    /// Its hello was refused, or none of ours.
    Hello(HelloError),
    /// It lost its place to a newer connection.
    GivenUp,
}

pub(super) async fn serve(socket: Socket, serving: &Arc<Serving>, draining: watch::Receiver<bool>) {
    let handshake = serving.handshakes.begin();
    let greeted = match greet(socket, serving, handshake).await {
        Ok(greeted) => greeted,
        Err(TurnedAway::Unproven(error)) => {
            return tracing::info!(%error, "a connection was turned away: its TLS handshake failed");
        }
        Err(TurnedAway::SlowProof) => {
            return tracing::info!("a connection was turned away: its TLS handshake took too long");
        }
        Err(TurnedAway::Hello(error)) => {
            return tracing::info!(%error, "a connection was turned away");
        }
        Err(TurnedAway::GivenUp) => {
            return tracing::debug!("a connection was closed: newer ones said hello before it did");
        }
    };
    match (&serving.tls, Tls::shown_on(&greeted.socket)) {
        (Some(tls), Some(shown)) => trusted(tls, &shown, greeted, serving, draining).await,
        _ => go_on(greeted, serving, draining).await,
    }
}

/// Serves a connection for as long as its peer's certificates lead to one of the roots. After that its calls in flight have
/// some time left.
async fn trusted(
    tls: &Tls,
    shown: &Shown,
    greeted: Greeted,
    serving: &Arc<Serving>,
    mut draining: watch::Receiver<bool>,
) {
    let caller = greeted.peer.process.clone();
    let (leave, leaving) = watch::channel(false);
    let asked = async {
        // The listener itself waits for as long as a drain may take.
        if draining.wait_for(|draining| *draining).await.is_ok() {
            leave.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            () = asked => {}
            () = tls.distrusts(shown) => {
                tracing::info!(caller, "a connection is ended: the authority of its certificate is not trusted any more");
                leave.send_replace(true);
                sleep(DISTRUSTED).await;
            }
        }
    };
    tokio::select! {
        () = go_on(greeted, serving, leaving) => {}
        () = ended => {}
    }
}

/// Serves a connection that has said hello.
async fn go_on(greeted: Greeted, serving: &Arc<Serving>, draining: watch::Receiver<bool>) {
    let Greeted { socket, peer, input } = greeted;
    if peer.http
        && let Some(web) = serving.directory.web_for(&peer.process)
    {
        // A peer sends no request before it is welcome.
        if input.is_empty() {
            web.serve(socket, draining).await;
        }
        return;
    }
    let transport = Transport::new(socket, input, serving.limits.bounds.bytes)
        .believing(serving.directory.statements());
    let caller = peer.process.clone();
    match Connection::new(serving, peer).run(transport, draining).await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => {
            tracing::debug!(caller, "the caller closed the connection");
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            tracing::warn!(caller, %error, "a connection was ended");
        }
        Err(error) => tracing::info!(caller, %error, "a connection was ended"),
    }
}

/// A connection that has said hello.
struct Greeted {
    socket: Socket,
    peer: Peer,
    input: BytesMut,
}

async fn greet(
    socket: Socket,
    serving: &Serving,
    handshake: Handshake,
) -> Result<Greeted, TurnedAway> {
    tokio::select! {
        greeted = hear(socket, serving) => greeted,
        () = handshake.given_up() => Err(TurnedAway::GivenUp),
    }
}

async fn hear(mut socket: Socket, serving: &Serving) -> Result<Greeted, TurnedAway> {
    let Serving { us, directory, limits, tls, .. } = serving;
    if let Some(tls) = tls {
        socket = match timeout(limits.hello, socket.accept_tls(tls)).await {
            Ok(accepted) => accepted.map_err(TurnedAway::Unproven)?,
            Err(_) => return Err(TurnedAway::SlowProof),
        };
    }
    let proof = socket.proof();
    let welcome = |peer: &Peer| {
        if !proof.is_of(&us.app, &peer.process) {
            let process = &peer.process;
            return Err(Refusal(format!("your certificate is not that of `{process}`")));
        }
        if peer.http && directory.web_for(&peer.process).is_none() {
            return Err(Refusal("it serves no routes of modules' own to you".to_owned()));
        }
        Ok(directory.interfaces(us, peer))
    };
    let heard = receive(&mut socket, us, limits.hello, welcome).await;
    let (peer, input) = heard.map_err(TurnedAway::Hello)?;
    Ok(Greeted { socket, peer, input })
}

/// Tells a peer that connects that there are too many connections.
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
