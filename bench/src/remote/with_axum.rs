//! axum and JSON over HTTP/1.1, called through a pool of persistent connections.

use super::{Address, Peer};
use crate::{
    item::{Ask, Item, SLOW, burn},
    process::ready,
};
use axum::{Json, Router, routing::post, serve::ListenerExt};
use bytes::Bytes;
use hyper::Request;
use load::http::Pool;
use tokio::net::{TcpListener, UnixListener};

pub(super) async fn serve(address: Address) -> anyhow::Result<()> {
    let routes = Router::new()
        .route(
            "/items",
            post(|Json(ask): Json<Ask>| async move { Json(Item::of(ask.id, ask.size)) }),
        )
        .route("/sleep", post(|| tokio::time::sleep(SLOW)))
        .route("/burn", post(|| async { burn() }));
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?.tap_io(|socket| {
                // If the socket is closed already, the next read reports it.
                let _ = socket.set_nodelay(true);
            });
            ready()?;
            axum::serve(listener, routes).await?;
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            ready()?;
            axum::serve(listener, routes).await?;
        }
    }
    Ok(())
}

/// The pool has one connection for each call in flight.
pub(super) struct Client(Pool);

pub(super) fn connect(address: Address) -> Client {
    Client(Pool::new(address, usize::MAX >> 4))
}

impl Client {
    async fn post(&self, path: &'static str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        let request = Request::post(path)
            .header("host", "bench")
            .header("content-type", "application/json")
            .body(body.into())?;
        let answer = self.0.send(request).await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(answer.into_body())
    }
}

impl Peer for Client {
    async fn get(&self, id: u64, size: u32) -> anyhow::Result<()> {
        let body = self.post("/items", serde_json::to_vec(&Ask { id, size })?).await?;
        let item: Item = serde_json::from_slice(&body)?;
        anyhow::ensure!(item.id == id, "another item");
        Ok(())
    }

    async fn sleep(&self) -> anyhow::Result<()> {
        self.post("/sleep", Vec::new()).await.map(drop)
    }

    async fn burn(&self) -> anyhow::Result<()> {
        self.post("/burn", Vec::new()).await.map(drop)
    }
}
