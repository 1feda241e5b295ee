//! A pool of HTTP/1.1 connections to one server.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, client::conn::http1};
use hyper_util::rt::TokioIo;
use monolift_manifest::Address;
use std::sync::{Mutex, PoisonError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Semaphore,
};

type Sender = http1::SendRequest<Full<Bytes>>;

/// Connections to one server, up to a limit. The connection that was used last is used first.
#[derive(Debug)]
pub struct Pool {
    address: Address,
    idle: Mutex<Vec<Sender>>,
    places: Semaphore,
}

impl Pool {
    /// A pool for `address` with at most `most` connections. They are opened when they are needed.
    pub fn new(address: Address, most: usize) -> Self {
        Self { address, idle: Mutex::default(), places: Semaphore::new(most) }
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or closes the connection.
    pub async fn send(&self, request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
        let _place = self.places.acquire().await?;
        let mut sender = self.sender().await?;
        let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.idle().push(sender);
        Ok(Response::from_parts(head, body))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free connection. Connections that the server has closed are skipped.
    async fn sender(&self) -> anyhow::Result<Sender> {
        loop {
            let Some(mut sender) = self.idle().pop() else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let opened = match &self.address {
            Address::Tcp(address) => match TcpStream::connect(address).await {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    greet(socket).await
                }
                Err(error) => Err(error.into()),
            },
            Address::Unix(path) => match UnixStream::connect(path).await {
                Ok(socket) => greet(socket).await,
                Err(error) => Err(error.into()),
            },
        };
        opened.with_context(|| format!("no connection to {}", self.address))
    }
}

async fn greet(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<Sender> {
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
