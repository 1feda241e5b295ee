//! Honest requests, which go on beside it all. Each is timed from when it was due.

use super::{
    peer,
    place::{AbusedShop, PRODUCT},
};
use crate::client::STAFF;
use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use load::{Times, http::Pool};
use monolift_manifest::Address;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

const PER_SECOND: u64 = 200;
/// One request in this many is an order. Another one is made by a process that was just started.
const ONE_IN: u64 = 20;
/// A gateway answers by its own deadline, which is 5 s.
const PATIENCE: Duration = Duration::from_secs(6);
const WARM: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 256;

/// What is asked for beside the stock of a product.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mix {
    /// Orders, which all modules have a part in.
    pub(super) orders: bool,
    /// Calls of processes that have just been started.
    pub(super) peers: bool,
    /// Each request comes over a connection of its own.
    pub(super) fresh: bool,
}

/// What came of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) times: Times,
    pub(super) asked: u64,
    pub(super) failed: u64,
    /// What the first that failed ended with.
    pub(super) failure: Option<String>,
}

/// Where they go.
#[derive(Debug)]
pub(super) struct Honest {
    mix: Mix,
    gateway: SocketAddr,
    peers: SocketAddr,
    token: Arc<str>,
    pool: Pool,
}

impl Honest {
    pub(super) fn new(mix: Mix, place: &AbusedShop) -> Self {
        let (gateway, peers) = (place.gateway, place.peers);
        let pool = Pool::new(Address::Tcp(gateway.to_string()), CONNECTIONS);
        Self { mix, gateway, peers, token: Arc::clone(&place.token), pool }
    }

    /// Asks for so long, after a moment to warm up.
    pub(super) async fn ask(self, lasts: Duration, warm: impl FnOnce()) -> Seen {
        let honest = Arc::new(self);
        honest.requests(WARM).await;
        warm();
        honest.requests(lasts).await
    }

    async fn requests(self: &Arc<Self>, lasts: Duration) -> Seen {
        let start = Instant::now();
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut made, mut ends) = (0, JoinSet::new());
        while start.elapsed() < lasts {
            ticks.tick().await;
            let due_by_now = (start.elapsed().as_secs_f64() * PER_SECOND as f64) as u64;
            for at in made..due_by_now {
                let due = start + Duration::from_secs_f64((at + 1) as f64 / PER_SECOND as f64);
                let honest = Arc::clone(self);
                ends.spawn(async move {
                    let ended = timeout(PATIENCE, honest.one(at)).await;
                    (due.elapsed(), ended.context("no answer in time").flatten())
                });
            }
            made = due_by_now;
        }
        let mut seen = Seen { asked: made, ..Seen::default() };
        while let Some(end) = ends.join_next().await {
            let ended = end.map_err(anyhow::Error::from);
            match ended.and_then(|(took, ended)| ended.map(|()| took)) {
                Ok(took) => seen.times.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
                Err(error) => {
                    seen.failed += 1;
                    seen.failure.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        }
        seen
    }

    async fn one(&self, at: u64) -> anyhow::Result<()> {
        if self.mix.peers && at % ONE_IN == 7 {
            return peer::asks_for(self.peers, PRODUCT).await.context("a new peer");
        }
        let host = self.gateway.to_string();
        let request = Request::builder().header(header::HOST, host);
        let request = if self.mix.orders && at % ONE_IN == 13 {
            let lines = serde_json::json!([{ "sku": PRODUCT, "quantity": 1 }]);
            let order = serde_json::json!({ "user": STAFF, "lines": lines, "card": "card" });
            let request = request.method("POST").uri("/orders");
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
            request.body(Bytes::from(order.to_string()))?
        } else {
            request.uri(format!("/products/{PRODUCT}/stock")).body(Bytes::new())?
        };
        let what = format!("{} {}", request.method(), request.uri());
        let asked = async {
            let status = if self.mix.fresh {
                fresh(self.gateway, request).await?
            } else {
                self.pool.send(request).await?.status()
            };
            ensure!(status.is_success(), "{status}");
            Ok(())
        };
        asked.await.context(what)
    }
}

/// Asks over a connection of its own.
async fn fresh(gateway: SocketAddr, request: Request<Bytes>) -> anyhow::Result<hyper::StatusCode> {
    let socket = TcpStream::connect(gateway).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request.map(Full::new)).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    connection.abort();
    Ok(status)
}
