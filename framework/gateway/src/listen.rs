//! Serving a router over HTTP/1.1, within bounds, and ending it without cutting anyone off.
//!
//! `axum::serve` would do, but for its clients: a slow one could hold its socket for ever.

mod places;
mod refuse;
mod watched;

pub(super) use places::ClientPlace;

use self::{
    places::{Places, Taking},
    refuse::{Refusals, unclear_host},
    watched::{Answered, Sent},
};
use super::{edge::trace, routes::identified, stall::Stall};
use crate::serve::{Accepting, Acceptor};
use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, Request, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::Service;

/// The most bytes that the headers of a request may have.
const HEADERS: usize = 64 * 1024;

/// How long a connection without a request stays open when the server is about to go: its client may
/// have sent one already. Each answer in that time tells the client that it is the last one.
const GRACE: Duration = Duration::from_secs(1);

/// What a listener holds its clients to.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Clients that are connected at once. For one more, the connection is closed that has waited
    /// longest for a request, or for a slow client; if all are at work, it is answered 503. One that
    /// became something else, such as a WebSocket, is not counted any more.
    pub clients: usize,
    /// The same, of one address; of one network of 64 bits, for IPv6. Behind a proxy, all clients have
    /// the proxy's address.
    pub clients_per_address: usize,
    /// How long the headers of a request may take; a connection between two requests is closed
    /// after as long.
    pub headers: Duration,
    /// How long a client may take nothing of its answer.
    pub stall: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            clients: 2048,
            clients_per_address: 1024,
            headers: Duration::from_secs(10),
            stall: Duration::from_secs(30),
        }
    }
}

/// A listener at work. It ends when this is dropped.
#[derive(Debug)]
pub struct HttpServer(Accepting);

impl HttpServer {
    /// Serves `router` to all who connect to `listener`. Handlers find the other end's address as
    /// axum's `ConnectInfo<SocketAddr>`.
    pub fn start(listener: TcpListener, router: Router, limits: HttpLimits) -> Self {
        let places = Arc::new(Places::new(limits.clients, limits.clients_per_address));
        let refusals = Refusals::new();
        Self(Accepting::start(Clients { listener, router, limits, places, refusals, full: false }))
    }

    /// Takes no new connection, closes those that are idle after a moment, and waits for the requests
    /// under way until `by`.
    pub async fn drain(self, by: Instant) {
        if !self.0.drain(by).await {
            tracing::warn!("requests were still under way when the time to stop had passed");
        }
    }
}

/// The listener for clients.
struct Clients {
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    places: Arc<Places>,
    refusals: Refusals,
    /// Whether the last client was refused. That is logged once, so that clients that fill the places do not
    /// fill the log.
    full: bool,
}

impl Acceptor for Clients {
    type Connection = (TcpStream, SocketAddr);

    async fn accept(&self) -> io::Result<Self::Connection> {
        self.listener.accept().await
    }

    fn begin(
        &mut self,
        (socket, client): Self::Connection,
        draining: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) {
        let Ok(taking) = self.places.take(client.ip()) else {
            if !std::mem::replace(&mut self.full, true) {
                let HttpLimits { clients, clients_per_address, .. } = self.limits;
                tracing::warn!(
                    clients,
                    clients_per_address,
                    address = %client.ip(),
                    "a client is refused: there are as many as there may be, and all are at work"
                );
            }
            tasks.spawn(self.refusals.clone().tell(socket));
            return;
        };
        self.full = false;
        let (router, limits, draining) = (self.router.clone(), self.limits, draining.clone());
        tasks.spawn(async move {
            // Otherwise a small answer waits for the acknowledgement of the one before it.
            match socket.set_nodelay(true) {
                Ok(()) => serve_client(socket, client, taking, router, limits, draining).await,
                Err(error) => tracing::debug!(%error, "a connection ended as it began"),
            }
        });
    }

    fn make_room(&mut self) -> bool {
        self.places.close_one().is_ok()
    }
}

/// Serves a client, until it ends, has drained, or has to make room for another one.
async fn serve_client(
    socket: TcpStream,
    client: SocketAddr,
    taking: Taking,
    router: Router,
    limits: HttpLimits,
    draining: watch::Receiver<bool>,
) {
    let place = taking.place();
    let serving = serve(socket, Some((client, Arc::clone(place))), router, limits, draining);
    tokio::select! {
        () = serving => {}
        () = place.closed() => tracing::debug!(%client, "an idle connection has made room"),
    }
}

/// Serves one connection, until it ends or has drained. `client` is who is at its other end, when
/// that is whoever asks.
pub(super) async fn serve<S>(
    socket: S,
    client: Option<(SocketAddr, Arc<ClientPlace>)>,
    router: Router,
    limits: HttpLimits,
    mut draining: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let is_going = draining.clone();
    let (client, place) = client.unzip();
    let at = place.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let place = at.clone();
        let too_late = place.as_ref().is_some_and(|place| !place.begin());
        let unclear = client.and_then(|_| unclear_host(request.version(), request.headers()));
        if let Some(client) = client {
            request.extensions_mut().insert(ConnectInfo(client));
        }
        let answering = match unclear {
            Some(problem) => Err(identified(problem, trace(request.headers()))),
            None => {
                let request = request.map(|body| Sent { body, place: place.clone() });
                Ok(router.clone().call(request))
            }
        };
        let is_going = is_going.clone();
        async move {
            if too_late {
                return Err(MadeRoom);
            }
            let mut answer = match answering {
                Ok(answering) => answering.await.unwrap_or_else(|never| match never {}),
                Err(unclear) => unclear,
            };
            if *is_going.borrow() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer.map(|body| Answered { body, place }))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.headers).max_buf_size(HEADERS);
    let socket = TokioIo::new(Stall::after(limits.stall, socket).of(place));
    // A router may hold WebSockets; ours are plain requests.
    let mut connection = pin!(http.serve_connection(socket, service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async {
            drop(draining.wait_for(|draining| *draining).await);
            sleep(GRACE).await;
        } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?client, %error, "an HTTP connection was ended");
    }
}

/// Why a request is not answered that came as its connection was closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection has made room for another one")]
struct MadeRoom;

#[cfg(test)]
mod tests;
