//! Requests for a module's own routes, passed on to the process that the module lives in.
//!
//! Both bodies are streamed as they come, and an upgraded connection is joined with the other side's.
//! What a request says of who passed it on is the gateway's, in the monolith as well: a client cannot
//! say it.

use super::{Problem, edge, proxies::ThroughProxy, routes::identified};
use crate::{
    call::{CallError, CallErrorKind},
    plain::Failure,
    remote::Remote,
};
use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{self, HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use hyper::{body::Incoming, client::conn::http1::SendRequest, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::io::copy_bidirectional;

/// Connections that wait for another request, to one process.
const IDLE: usize = 32;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that are about one connection, and not about the request.
const OF_CONNECTION: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
];

/// The way to one process, for requests.
pub struct Forward {
    remote: Arc<Remote>,
    idle: Mutex<Vec<SendRequest<Body>>>,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forward({})", self.remote.process())
    }
}

impl Forward {
    /// Passes requests on to that process.
    pub fn to(remote: Arc<Remote>) -> Self {
        Self { remote, idle: Mutex::default() }
    }

    /// Passes one on.
    pub(super) async fn pass(self: Arc<Self>, mut request: Request) -> Response {
        // The other process logs it under the same id.
        let trace = edge::state_trace(request.headers_mut());
        match self.answer(request).await {
            Ok(response) => response,
            Err(error) => {
                let mut response = identified(Problem::of_call(&error), trace);
                response.extensions_mut().insert(Box::new(Failure::of(&error)));
                response
            }
        }
    }

    async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, CallError> {
        let (mut parts, body) = request.into_parts();
        let ours = parts.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade_of(&parts.headers);
        let mut passed = Request::new(body);
        *passed.method_mut() = parts.method;
        *passed.uri_mut() = parts.uri;
        *passed.headers_mut() = without_connection(parts.headers, upgrade.as_ref());
        let (mut response, connection) = self.ask(passed).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let theirs = hyper::upgrade::on(&mut response);
            let process = self.remote.process().to_owned();
            tokio::spawn(async move {
                if let (Some(ours), Ok(theirs)) = (ours, theirs.await)
                    && let Ok(ours) = ours.await
                {
                    let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
                    let ended = copy_bidirectional(&mut ours, &mut theirs).await;
                    tracing::debug!(process, ?ended, "an upgraded connection ended");
                }
            });
            let (mut parts, _) = response.into_parts();
            parts.headers = without_connection(parts.headers, upgrade.as_ref());
            return Ok(Response::from_parts(parts, Body::empty()));
        }
        let (mut parts, body) = response.into_parts();
        parts.headers = without_connection(parts.headers, None);
        // It can be asked again once this answer has been read.
        self.keep(connection);
        Ok(Response::from_parts(parts, Body::new(body)))
    }

    /// Asks over a connection, and over another one when that had ended before it took the request.
    async fn ask(
        &self,
        mut request: Request,
    ) -> Result<(http::Response<Incoming>, SendRequest<Body>), CallError> {
        loop {
            let mut connection = self.connection().await?;
            match connection.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut refused) => match refused.take_message() {
                    Some(not_sent) => request = not_sent,
                    None => return Err(self.interrupted(refused.error())),
                },
            }
        }
    }

    /// One that waits, or a new one.
    async fn connection(&self) -> Result<SendRequest<Body>, CallError> {
        loop {
            let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match waiting {
                Some(connection) if connection.is_ready() => return Ok(connection),
                Some(_) => {}
                None => break,
            }
        }
        let socket = self.remote.dial_http().await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await;
        let (sender, connection) = handshake.map_err(|error| self.interrupted(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a forwarded connection was ended");
            }
        });
        Ok(sender)
    }

    fn keep(self: &Arc<Self>, mut connection: SendRequest<Body>) {
        let forward = Arc::clone(self);
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                let mut idle = forward.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < IDLE {
                    idle.push(connection);
                }
            }
        });
    }

    fn interrupted(&self, error: &hyper::Error) -> CallError {
        CallError::new(
            CallErrorKind::Interrupted,
            format!(
                "the connection to the process `{}` at {} ended during the request: {error}",
                self.remote.process(),
                self.remote.connect()
            ),
        )
    }
}

/// Says in a request who passed it on, whatever its client said of that. Of a trusted proxy, the host and the protocol
/// that its client asked by are taken over.
pub(super) fn say_forwarded(request: &mut Request) {
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let through_proxy = request.extensions().get::<ThroughProxy>().is_some();
    let headers = request.headers_mut();
    let stated = |name: &HeaderName| headers.get(name).filter(|_| through_proxy).cloned();
    let host = stated(&FORWARDED_HOST).or_else(|| headers.get(header::HOST).cloned());
    let protocol = stated(&FORWARDED_PROTO).filter(|value| value == "https");
    for name in [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, header::FORWARDED] {
        headers.remove(name);
    }
    if let Some(client) = client.and_then(|ip| HeaderValue::try_from(ip.to_string()).ok()) {
        headers.insert(FORWARDED_FOR, client);
    }
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host);
    }
    headers.insert(FORWARDED_PROTO, protocol.unwrap_or(HeaderValue::from_static("http")));
}

/// What a connection is asked to become, if anything.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = |value: &HeaderValue| {
        let tokens = value.to_str().unwrap_or_default().split(',');
        tokens.map(str::trim).any(|token| token.eq_ignore_ascii_case("upgrade"))
    };
    let asked = headers.get_all(header::CONNECTION).iter().any(asks);
    headers.get(header::UPGRADE).filter(|_| asked).cloned()
}

/// The headers that are about the request, and what the connection becomes.
fn without_connection(mut headers: HeaderMap, upgrade: Option<&HeaderValue>) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_owned()))
        .collect();
    for name in named.iter().filter_map(|name| HeaderName::try_from(name).ok()) {
        headers.remove(name);
    }
    for name in OF_CONNECTION {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
    headers.remove(header::UPGRADE);
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade.clone());
    }
    headers
}
