//! tarpc as in its README: one service trait, bincode, a task for each call.

use super::{Address, Peer};
use crate::{
    item::{Ask, Item, SLOW, burn},
    process::ready,
};
use futures_util::StreamExt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tarpc::{
    client, context,
    serde_transport::Transport,
    server::{BaseChannel, Channel},
    tokio_serde::formats::Bincode,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

#[tarpc::service]
trait Items {
    async fn get(ask: Ask) -> Item;
    async fn sleep();
    async fn burn();
}

#[derive(Clone)]
struct Server;

impl Items for Server {
    async fn get(self, _: context::Context, ask: Ask) -> Item {
        Item::of(ask.id, ask.size)
    }

    async fn sleep(self, _: context::Context) {
        tokio::time::sleep(SLOW).await;
    }

    async fn burn(self, _: context::Context) {
        burn();
    }
}

pub(super) async fn serve(address: Address, nodelay: bool) -> anyhow::Result<()> {
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            ready()?;
            loop {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(nodelay)?;
                tokio::spawn(serve_one(socket));
            }
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            ready()?;
            loop {
                tokio::spawn(serve_one(listener.accept().await?.0));
            }
        }
    }
}

async fn serve_one(socket: impl AsyncRead + AsyncWrite + Send + 'static) {
    let channel = BaseChannel::with_defaults(Transport::from((socket, Bincode::default())));
    let calls = channel.execute(Server.serve());
    calls.for_each(|call| async { drop(tokio::spawn(call)) }).await;
}

/// One client for each connection, used in turns.
pub(super) struct Clients {
    clients: Vec<ItemsClient>,
    next: AtomicUsize,
}

pub(super) async fn connect(
    address: Address,
    connections: usize,
    nodelay: bool,
) -> anyhow::Result<Clients> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(match &address {
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(nodelay)?;
                client_on(socket)
            }
            Address::Unix(path) => client_on(UnixStream::connect(path).await?),
        });
    }
    Ok(Clients { clients, next: AtomicUsize::new(0) })
}

fn client_on(socket: impl AsyncRead + AsyncWrite + Send + 'static) -> ItemsClient {
    let transport = Transport::from((socket, Bincode::default()));
    let mut config = client::Config::default();
    // At least as many as the benchmark has in flight.
    config.max_in_flight_requests = 32_768;
    config.pending_request_buffer = 1_024;
    ItemsClient::new(config, transport).spawn()
}

impl Clients {
    fn next(&self) -> &ItemsClient {
        &self.clients[self.next.fetch_add(1, Relaxed) % self.clients.len()]
    }
}

impl Peer for Clients {
    async fn get(&self, id: u64, size: u32) -> anyhow::Result<()> {
        let item = self.next().get(context::current(), Ask { id, size }).await?;
        anyhow::ensure!(item.id == id, "another item");
        Ok(())
    }

    async fn sleep(&self) -> anyhow::Result<()> {
        Ok(self.next().sleep(context::current()).await?)
    }

    async fn burn(&self) -> anyhow::Result<()> {
        Ok(self.next().burn(context::current()).await?)
    }
}
