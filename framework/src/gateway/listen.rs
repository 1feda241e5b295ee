//! Serving a router over HTTP/1.1, within bounds, and ending it without cutting anyone off.
//!
//! `axum::serve` would do, but for its clients: a slow one could hold its socket for ever.

use super::stall::Stall;
use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, Request, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
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
    /// Connections that are open at once. One that became something else, such as a WebSocket, is
    /// not counted any more.
    pub connections: usize,
    /// How long the headers of a request may take; a connection between two requests is closed
    /// after as long.
    pub headers: Duration,
    /// How long a client may take nothing of its answer.
    pub stall: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connections: 1024, headers: Duration::from_secs(10), stall: Duration::from_secs(30) }
    }
}

/// A listener at work. It ends when this is dropped.
#[derive(Debug)]
pub struct HttpServer {
    draining: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Serves `router` to all who connect to `listener`. Handlers find the other end's address as
    /// axum's `ConnectInfo<SocketAddr>`.
    pub fn start(listener: TcpListener, router: Router, limits: HttpLimits) -> Self {
        let (draining, drained) = watch::channel(false);
        Self { draining, task: tokio::spawn(accept(listener, router, limits, drained)) }
    }

    /// Takes no new connection, closes those that are idle after a moment, and waits for the requests
    /// under way until `by`.
    pub async fn drain(mut self, by: Instant) {
        self.draining.send_replace(true);
        if timeout_at(by, &mut self.task).await.is_err() {
            tracing::warn!("requests were still under way when the time to stop had passed");
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    mut draining: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut full = false;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            Some(_) = connections.join_next() => continue,
            // Those who have connected already are served, also when this is about to go.
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        let (socket, client) = match accepted {
            Ok(accepted) => accepted,
            // Out of file descriptors, for one: it passes, and must not spin until then.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            // Once each time, or whoever fills the places fills the log as well.
            if !std::mem::replace(&mut full, true) {
                let limit = limits.connections;
                tracing::warn!(limit, "connections are refused: there are as many as there may be");
            }
            continue;
        };
        full = false;
        let (router, draining) = (router.clone(), draining.clone());
        connections.spawn(async move {
            let _place = place;
            // Otherwise a small answer waits for the acknowledgement of the one before it.
            match socket.set_nodelay(true) {
                Ok(()) => serve(socket, Some(client), router, limits, draining).await,
                Err(error) => tracing::debug!(%error, "a connection ended as it began"),
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection, until it ends or has drained. `client` is who is at its other end, when
/// that is whoever asks.
pub(super) async fn serve<S>(
    socket: S,
    client: Option<SocketAddr>,
    router: Router,
    limits: HttpLimits,
    mut draining: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let is_going = draining.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(client) = client {
            request.extensions_mut().insert(ConnectInfo(client));
        }
        let (answering, is_going) = (router.clone().call(request), is_going.clone());
        async move {
            let mut answer = answering.await?;
            if *is_going.borrow() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.headers).max_buf_size(HEADERS);
    let socket = TokioIo::new(Stall::after(limits.stall, socket));
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

#[cfg(test)]
mod tests;
