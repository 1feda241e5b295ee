//! A client of both gateways.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout};

type Sender = http1::SendRequest<Full<Bytes>>;

/// Whoever asks waits no longer than this. A gateway answers by its own deadline, which is sooner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// The number of the customer that [`Client::log_in`] logs in.
pub(crate) const STAFF: &str = "demo-staff";
const CONNECT: Duration = Duration::from_secs(1);

/// One who asks, one request after the other.
pub(crate) struct Client {
    gateways: Vec<(SocketAddr, Option<Sender>)>,
    next: usize,
    /// What says who asks.
    token: Option<Arc<str>>,
}

/// What came of a request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Which gateway was asked.
    pub(crate) gateway: usize,
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    /// `None`: what became of it is unknown.
    pub(crate) response: Option<(u16, Bytes)>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), key: None, body: String::new() }
    }

    pub(crate) fn post(path: impl Into<String>, body: String) -> Self {
        Self { method: "POST", path: path.into(), key: None, body }
    }

    fn request(&self, gateway: SocketAddr, token: Option<&str>) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header(header::HOST, gateway.to_string());
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = Full::new(Bytes::from(self.body.clone()));
        request.body(body).expect("paths and keys are plain text")
    }
}

impl Client {
    pub(crate) fn of(gateways: &[SocketAddr], first: usize) -> Self {
        let gateways = gateways.iter().map(|&gateway| (gateway, None)).collect();
        Self { gateways, next: first, token: None }
    }

    /// The same, on behalf of the one whose token this is.
    pub(crate) fn with_token(self, token: Option<Arc<str>>) -> Self {
        Self { token, ..self }
    }

    /// The token of a member of the shop's staff, who may order too: [`STAFF`].
    pub(crate) async fn log_in(&mut self) -> anyhow::Result<Arc<str>> {
        let session = r#"{"email": "staff@example.org", "password": "demo-password"}"#;
        let answer = self.ask(&Ask::post("/sessions", session.to_owned())).await;
        let (status, body) = answer.response.context("no answer to a log-in")?;
        ensure!(status == 200, "a log-in was answered {status}: {body:?}");
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        Ok(body["token"].as_str().context("a log-in without a token")?.into())
    }

    /// Asks one gateway, and the next one where that has certainly not got the request.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Answer {
        let began = Instant::now();
        let mut gateway = self.next;
        for _ in 0..=self.gateways.len() {
            self.next += 1;
            gateway = self.next % self.gateways.len();
            let left = PATIENCE.saturating_sub(began.elapsed());
            match timeout(left, self.ask_one(gateway, ask)).await {
                Ok(Some(Ok(response))) => {
                    let (took, response) = (began.elapsed(), Some(response));
                    return Answer { gateway, began, took, response };
                }
                Ok(Some(Err(NotSent))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        // A connection that is in the middle of something is of no use any more.
        self.gateways[gateway].1 = None;
        Answer { gateway, began, took: began.elapsed(), response: None }
    }

    /// `None` when what became of it is unknown.
    async fn ask_one(
        &mut self,
        gateway: usize,
        ask: &Ask,
    ) -> Option<Result<(u16, Bytes), NotSent>> {
        let (address, idle) = &mut self.gateways[gateway];
        let request = ask.request(*address, self.token.as_deref());
        let waiting = match idle.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match waiting {
            Some(sender) => sender,
            None => match connect(*address).await {
                Some(sender) => sender,
                None => return Some(Err(NotSent)),
            },
        };
        let (head, body) = match sender.try_send_request(request).await {
            Ok(response) => response.into_parts(),
            Err(mut error) => return error.take_message().map(|_| Err(NotSent)),
        };
        let body = body.collect().await.ok()?.to_bytes();
        self.gateways[gateway].1 = Some(sender);
        Some(Ok((head.status.as_u16(), body)))
    }
}

/// The request never left.
struct NotSent;

async fn connect(address: SocketAddr) -> Option<Sender> {
    let socket = timeout(CONNECT, TcpStream::connect(address)).await.ok()?.ok()?;
    socket.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}
