//! Serving a router over HTTP/1.1, within bounds, and ending it without cutting anyone off.
//!
//! `axum::serve` would do, but for its clients: a slow one could hold its socket for ever.

mod own_words;
mod places;
mod refuse;
mod watched;

pub(super) use places::ClientPlace;

use self::{
    own_words::{OwnWords, TARGET},
    places::{Places, Taking},
    refuse::{Refusals, unclear_host},
    watched::{Answered, Held, Sent},
};
use super::{
    Problem, browser::no_guessing, edge::trace, front::Front, proxies::ThroughProxy,
    rates::too_many, routes::identified, stall::Stall,
};
use crate::serve::{Accepting, Acceptor};
use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, Request, StatusCode, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::Service;

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
    /// The same, of one address; of one network of 64 bits, for IPv6. Connections of a trusted proxy are not counted:
    /// there, it is the requests at once of each of its clients.
    pub clients_per_address: usize,
    /// Requests that are answered at once.
    pub requests: usize,
    /// The bytes of a request's head: its first line and its headers. At least 8 KiB.
    pub head: usize,
    /// The bytes of a request's path and query.
    pub target: usize,
    /// The headers of a request.
    pub headers: usize,
    /// How long the head of a request may take; a connection between two requests is closed
    /// after as long.
    pub head_time: Duration,
    /// How long a client may take nothing of its answer.
    pub stall: Duration,
}

impl HttpLimits {
    /// What holds unless something else is said.
    pub const DEFAULT: Self = Self {
        clients: 4096,
        clients_per_address: 1024,
        requests: 2048,
        head: 64 * 1024,
        target: 16 * 1024,
        headers: 100,
        head_time: Duration::from_secs(10),
        stall: Duration::from_secs(30),
    };
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A listener at work. It ends when this is dropped.
#[derive(Debug)]
pub struct HttpServer(Accepting);

impl HttpServer {
    /// Serves `router` to all who connect to `listener`. Handlers find the other end's address as
    /// axum's `ConnectInfo<SocketAddr>`.
    pub fn start(listener: TcpListener, router: Router, limits: HttpLimits) -> Self {
        Self::start_with(listener, router, limits, Arc::default())
    }

    /// The same, with what the gateway holds all requests to. A client behind a trusted proxy has the address that
    /// the proxy states.
    pub fn start_with(
        listener: TcpListener,
        router: Router,
        limits: HttpLimits,
        front: Arc<Front>,
    ) -> Self {
        let places = Arc::new(Places::new(limits.clients, limits.clients_per_address));
        let requests = Arc::new(Semaphore::new(limits.requests));
        let entrance = Entrance { limits, places, requests, front };
        let refusals = Refusals::new();
        let entrance = Arc::new(entrance);
        Self(Accepting::start(Clients { listener, router, entrance, refusals, full: false }))
    }

    /// Takes no new connection, closes those that are idle after a moment, and waits for the requests
    /// under way until `by`.
    pub async fn drain(self, by: Instant) {
        if !self.0.drain(by).await {
            tracing::warn!("requests were still under way when the time to stop had passed");
        }
    }
}

/// What all clients of a listener pass.
#[derive(Debug)]
pub(super) struct Entrance {
    limits: HttpLimits,
    places: Arc<Places>,
    requests: Arc<Semaphore>,
    front: Arc<Front>,
}

/// A client at the other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    address: SocketAddr,
    /// Whether that is a proxy whose word counts.
    is_proxy: bool,
    place: Arc<ClientPlace>,
    entrance: Arc<Entrance>,
}

/// The listener for clients.
struct Clients {
    listener: TcpListener,
    router: Router,
    entrance: Arc<Entrance>,
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
        let Entrance { limits, places, front, .. } = &*self.entrance;
        let is_proxy = front.proxies.trust(client.ip());
        let Ok(taking) = places.take(Some(client.ip()).filter(|_| !is_proxy)) else {
            front.refused.count_unread("clients");
            if !std::mem::replace(&mut self.full, true) {
                let HttpLimits { clients, clients_per_address, .. } = limits;
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
        let arrived = Arrived {
            address: client,
            is_proxy,
            place: Arc::clone(taking.place()),
            entrance: Arc::clone(&self.entrance),
        };
        let (router, draining) = (self.router.clone(), draining.clone());
        tasks.spawn(async move {
            // Otherwise a small answer waits for the acknowledgement of the one before it.
            match socket.set_nodelay(true) {
                Ok(()) => serve_client(socket, arrived, taking, router, draining).await,
                Err(error) => tracing::debug!(%error, "a connection ended as it began"),
            }
        });
    }

    fn make_room(&mut self) -> bool {
        self.entrance.places.close_one().is_ok()
    }
}

/// Serves a client, until it ends, has drained, or has to make room for another one.
async fn serve_client(
    socket: TcpStream,
    arrived: Arrived,
    taking: Taking,
    router: Router,
    draining: watch::Receiver<bool>,
) {
    let (client, limits) = (arrived.address, arrived.entrance.limits);
    let serving = serve(socket, Some(arrived), router, limits, draining);
    tokio::select! {
        () = serving => {}
        () = taking.place().closed() => tracing::debug!(address = %client, "an idle connection has made room"),
    }
}

/// Serves one connection, until it ends or has drained. `client` is who is at its other end, when
/// that is whoever asks.
pub(super) async fn serve<S>(
    socket: S,
    client: Option<Arrived>,
    router: Router,
    limits: HttpLimits,
    mut draining: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let is_going = draining.clone();
    let address = client.as_ref().map(|client| client.address);
    let place = client.as_ref().map(|client| Arc::clone(&client.place));
    let refused = client.as_ref().map(|client| Arc::clone(&client.entrance.front.refused));
    let at = place.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let place = at.clone();
        let too_late = place.as_ref().is_some_and(|place| !place.begin());
        let admitted = match &client {
            Some(client) => client.admit(&mut request),
            None => Ok(Held::default()),
        };
        let is_client = client.is_some();
        let answering = match admitted {
            Err(problem) => Err(identified(problem, trace(request.headers()))),
            Ok(held) => {
                let request = request.map(|body| Sent { body, place: place.clone() });
                Ok((router.clone().call(request), held))
            }
        };
        let is_going = is_going.clone();
        async move {
            if too_late {
                return Err(MadeRoom);
            }
            let (mut answer, held): (Response, Held) = match answering {
                Ok((answering, held)) => {
                    (answering.await.unwrap_or_else(|never| match never {}), held)
                }
                Err(refused) => (refused, Held::default()),
            };
            if is_client {
                no_guessing(answer.headers_mut());
            }
            if *is_going.borrow() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer.map(|body| Answered { body, place, _held: held }))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head);
    if limits.headers != HttpLimits::DEFAULT.headers {
        // With the library's own number, which is the default, it needs no memory for each request.
        http.max_headers(limits.headers);
    }
    let socket = OwnWords::on(Stall::after(limits.stall, socket).of(place), refused);
    let socket = TokioIo::new(socket);
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
        tracing::debug!(?address, %error, "an HTTP connection was ended");
    }
}

impl Arrived {
    /// Lets a request in that is within the limits, and notes whose it is.
    fn admit(&self, request: &mut Request<Incoming>) -> Result<Held, Problem> {
        let Entrance { limits, places, requests, front } = &*self.entrance;
        let mut address = self.address;
        if self.is_proxy {
            let client = front.proxies.client(address.ip(), request.headers());
            if client != address.ip() {
                // The client's port is not known.
                address = SocketAddr::new(client, 0);
            }
            request.extensions_mut().insert(ThroughProxy);
        }
        request.extensions_mut().insert(ConnectInfo(address));
        if let Some(problem) = unclear_host(request.version(), request.headers()) {
            return Err(problem);
        }
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > limits.target {
            front.refused.count_unread("target");
            return Err(Problem::new(StatusCode::URI_TOO_LONG, "target-too-long", TARGET));
        }
        let Ok(request) = Arc::clone(requests).try_acquire_owned() else {
            front.refused.count_unread("requests");
            let text = "as many requests are answered as may be at once: try again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text));
        };
        let of_address = match self.is_proxy {
            false => None,
            true => Some(places.ask(address.ip()).map_err(|_| {
                front.refused.count_unread("clients_per_address");
                too_many(Duration::from_secs(1))
            })?),
        };
        Ok(Held { _request: Some(request), _of_address: of_address })
    }
}

/// Why a request is not answered that came as its connection was closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection has made room for another one")]
struct MadeRoom;

#[cfg(test)]
mod tests;
