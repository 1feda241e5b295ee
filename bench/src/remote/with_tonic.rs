//! tonic with its default settings and `TCP_NODELAY`.

use super::{Address, Peer};
use crate::{
    item::{Ask, Item, Nothing, SLOW, burn},
    process::ready,
};
use hyper_util::rt::TokioIo;
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::{
    StreamExt,
    wrappers::{TcpListenerStream, UnixListenerStream},
};
use tonic::{
    Request, Response, Status,
    transport::{
        Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig, Uri,
    },
};

#[allow(missing_docs, clippy::all, rust_2018_idioms, reason = "it is generated")]
mod glue {
    include!(concat!(env!("OUT_DIR"), "/bench.Items.rs"));
}

use glue::{
    items_client::ItemsClient,
    items_server::{Items, ItemsServer},
};

/// The maximum size of a message: larger than the largest answer that is measured.
const MESSAGE: usize = 8 * 1024 * 1024;

struct Service;

#[tonic::async_trait]
impl Items for Service {
    async fn get(&self, ask: Request<Ask>) -> Result<Response<Item>, Status> {
        let Ask { id, size } = ask.into_inner();
        Ok(Response::new(Item::of(id, size)))
    }

    async fn sleep(&self, _: Request<Nothing>) -> Result<Response<Nothing>, Status> {
        tokio::time::sleep(SLOW).await;
        Ok(Response::new(Nothing {}))
    }

    async fn burn(&self, _: Request<Nothing>) -> Result<Response<Nothing>, Status> {
        burn();
        Ok(Response::new(Nothing {}))
    }
}

pub(super) async fn serve(address: Address, tls: Option<&Path>) -> anyhow::Result<()> {
    let service = ItemsServer::new(Service).max_decoding_message_size(MESSAGE);
    let mut server = Server::builder();
    if let Some(folder) = tls {
        let (authority, identity) = identity(folder, "items")?;
        let config = ServerTlsConfig::new().identity(identity).client_ca_root(authority);
        server = server.tls_config(config)?;
    }
    let server = server.add_service(service);
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            ready()?;
            let sockets = TcpListenerStream::new(listener).map(|socket| {
                let socket = socket?;
                socket.set_nodelay(true)?;
                Ok::<_, std::io::Error>(socket)
            });
            server.serve_with_incoming(sockets).await?;
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            ready()?;
            server.serve_with_incoming(UnixListenerStream::new(listener)).await?;
        }
    }
    Ok(())
}

/// One channel for each connection, used in turns.
pub(super) struct Clients {
    clients: Vec<ItemsClient<Channel>>,
    next: AtomicUsize,
}

/// Channels to a server, each with a connection of its own.
///
/// # Errors
///
/// If the server cannot be reached.
pub async fn channels(
    address: &Address,
    connections: usize,
    tls: Option<&Path>,
) -> anyhow::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(match address {
            Address::Tcp(address) => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
                let mut endpoint = endpoint.tcp_nodelay(true);
                if let Some(folder) = tls {
                    let (authority, identity) = identity(folder, "caller")?;
                    let config = ClientTlsConfig::new().ca_certificate(authority);
                    endpoint =
                        endpoint.tls_config(config.identity(identity).domain_name("items"))?;
                }
                endpoint.connect().await?
            }
            Address::Unix(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async {
                        Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?))
                    }
                });
                Endpoint::from_static("http://bench").connect_with_connector(connector).await?
            }
        });
    }
    Ok(channels)
}

fn identity(folder: &Path, name: &str) -> anyhow::Result<(Certificate, Identity)> {
    let read = |file: String| std::fs::read(folder.join(file));
    let authority = Certificate::from_pem(read("authority.pem".to_owned())?);
    Ok((authority, Identity::from_pem(read(format!("{name}.pem"))?, read(format!("{name}.key"))?)))
}

pub(super) async fn connect(
    address: &Address,
    connections: usize,
    tls: Option<&Path>,
) -> anyhow::Result<Clients> {
    let channels = channels(address, connections, tls).await?.into_iter();
    let client = |channel| ItemsClient::new(channel).max_decoding_message_size(MESSAGE);
    Ok(Clients { clients: channels.map(client).collect(), next: AtomicUsize::new(0) })
}

impl Clients {
    fn next(&self) -> ItemsClient<Channel> {
        self.clients[self.next.fetch_add(1, Relaxed) % self.clients.len()].clone()
    }
}

impl Peer for Clients {
    async fn get(&self, id: u64, size: u32) -> anyhow::Result<()> {
        let item = self.next().get(Ask { id, size }).await?.into_inner();
        anyhow::ensure!(item.id == id, "another item");
        Ok(())
    }

    async fn sleep(&self) -> anyhow::Result<()> {
        self.next().sleep(Nothing {}).await?;
        Ok(())
    }

    async fn burn(&self) -> anyhow::Result<()> {
        self.next().burn(Nothing {}).await?;
        Ok(())
    }
}
