//! What all floods share: where they go, how hard, and what came of them.

use super::peer::Numbers;
use anyhow::Context as _;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Addresses that floods come from. Honest requests come from 127.0.0.1.
const ADDRESSES: usize = 20;
/// What a peer that reads nothing offers to take: as little as the system allows.
const LITTLE: u32 = 4096;
const CONNECT: Duration = Duration::from_secs(3);

/// Where a flood goes, and how hard.
#[derive(Debug, Clone)]
pub(super) struct Aim {
    /// Where clients connect to.
    pub(super) gateway: SocketAddr,
    /// Where other processes connect to.
    pub(super) peers: SocketAddr,
    pub(super) numbers: Numbers,
    pub(super) lasts: Duration,
    /// The bytes of the longest answer that was found.
    pub(super) answer: usize,
    /// A part of the usual number of connections and requests.
    pub(super) size: f64,
    /// Bytes a second, where it would otherwise be as many as are taken.
    pub(super) pace: Option<f64>,
    pub(super) tally: Tally,
}

impl Aim {
    /// So many, or as many of them as a short pass makes.
    pub(super) fn many(&self, all: usize) -> usize {
        ((all as f64 * self.size) as usize).max(1)
    }
}

/// What a flood has done, by what it is called.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

/// The bytes that were sent, where that is as many as are taken.
pub(super) const BYTES: &str = "bytes";

impl Tally {
    pub(super) fn add(&self, what: impl Into<String>, more: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.into()).or_default() += more;
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(what).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.iter().map(|(what, count)| match what.as_str() {
            BYTES => format!("{:.1} MB sent", *count as f64 / 1e6),
            _ => format!("{what} {count}"),
        });
        f.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}

/// Connects from one of the addresses of floods.
pub(super) async fn connect(to: SocketAddr, number: usize) -> anyhow::Result<TcpStream> {
    connect_with(to, number, None).await
}

/// The same; what comes back is left with the other side, which may send very little of it.
pub(super) async fn connect_unread(to: SocketAddr, number: usize) -> anyhow::Result<TcpStream> {
    connect_with(to, number, Some(LITTLE)).await
}

async fn connect_with(
    to: SocketAddr,
    number: usize,
    takes: Option<u32>,
) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(takes) = takes {
        socket.set_recv_buffer_size(takes)?;
    }
    let last = 66 + (number % ADDRESSES) as u8;
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
    let stream = timeout(CONNECT, socket.connect(to)).await.context("no connection in time")??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request with a body of JSON, as it stands on a connection.
pub(super) fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Sends a request over a connection of its own. The result is the status of the answer, or what came
/// instead of one.
pub(super) async fn send(
    to: SocketAddr,
    number: usize,
    request: &[u8],
    within: Duration,
) -> String {
    let asked = async {
        let mut stream = connect(to, number).await?;
        let mut head = [0; 12];
        // One that does not want all of it may answer before it has read the rest.
        let (mut read, mut write) = stream.split();
        let sent = async {
            let _ = write.write_all(request).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            got = read.read_exact(&mut head) => got?,
            () = sent => unreachable!("it goes on for ever"),
        };
        anyhow::Ok(String::from_utf8_lossy(&head[9..]).into_owned())
    };
    match timeout(within, asked).await {
        Ok(Ok(status)) => status,
        Ok(Err(_)) => "closed".to_owned(),
        Err(_) => "unanswered".to_owned(),
    }
}
