//! Calls of a module in another process, with Monolift and with other frameworks.

mod ours;
mod raw;
mod with_axum;
mod with_tarpc;
mod with_tonic;

pub use ours::{Items, ItemsClient, ItemsError, ItemsHere, in_one_process};
pub use with_tonic::channels as tonic_channels;

use crate::{
    measured::{Asked, Measured, Peer, measure},
    process::free_port,
};
use monolift_manifest::Address;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A transport between two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// 256 bytes there and back, with blocking threads. This is the limit.
    Raw,
    /// The same with tokio tasks.
    RawTokio,
    /// Monolift.
    Monolift,
    /// Monolift, each call in a request of its own that is recorded on both sides. If there is a port, a hundredth of the
    /// requests is sent to a collector there.
    Observed(Option<u16>),
    /// Monolift, on behalf of a user. Over TLS the caller proves who that is.
    MonoliftUser,
    /// tarpc as its README shows it.
    Tarpc,
    /// tarpc with `TCP_NODELAY`.
    TarpcNodelay,
    /// tonic.
    Tonic,
    /// axum and JSON, with a connection pool.
    Axum,
}

impl Kind {
    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Raw => "256 bytes there and back (the limit)",
            Self::RawTokio => "the same, on tokio",
            Self::Monolift => "Monolift",
            Self::Observed(None) => "Monolift, each call in a recorded request",
            Self::Observed(Some(_)) => "the same, and 1 % of them sent by OTLP",
            Self::MonoliftUser => "Monolift, for a user",
            Self::Tarpc => "tarpc as its README shows it",
            Self::TarpcNodelay => "tarpc with `TCP_NODELAY`",
            Self::Tonic => "tonic",
            Self::Axum => "axum and JSON, pooled",
        }
    }
}

/// A kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// TCP over loopback.
    Tcp,
    /// A Unix socket.
    Unix,
}

impl Socket {
    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "a Unix socket",
        }
    }

    /// An address for a server on this kind of socket.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn address(self, kind: Kind) -> std::io::Result<Address> {
        match self {
            Self::Tcp => free_port(),
            Self::Unix => {
                let name = format!("monolift-bench-{}-{kind:?}.sock", std::process::id());
                let path = std::env::temp_dir().join(name);
                // An earlier process with this process's id may have left the file behind.
                let _ = std::fs::remove_file(&path);
                Ok(Address::Unix(path))
            }
        }
    }
}

/// Serves as long as the process runs.
///
/// # Errors
///
/// If it cannot listen.
pub async fn serve(kind: Kind, address: Address, tls: Option<&Path>) -> anyhow::Result<()> {
    match kind {
        Kind::Raw | Kind::RawTokio => raw::serve(kind, address).await,
        Kind::Monolift | Kind::MonoliftUser => ours::serve(address, tls, None).await,
        Kind::Observed(collector) => ours::serve(address, tls, collector).await,
        Kind::Tarpc => with_tarpc::serve(address, false).await,
        Kind::TarpcNodelay => with_tarpc::serve(address, true).await,
        Kind::Tonic => with_tonic::serve(address, tls).await,
        Kind::Axum => with_axum::serve(address).await,
    }
}

/// Calls the server at `address`. `server` is its process id.
///
/// # Errors
///
/// If it cannot be reached or does not answer.
pub async fn call(
    kind: Kind,
    address: Address,
    tls: Option<&Path>,
    connections: Option<usize>,
    asked: Asked,
    server: u32,
) -> anyhow::Result<Measured> {
    let (several, servers) = (connections.unwrap_or(1), [server]);
    match kind {
        Kind::Raw | Kind::RawTokio => raw::call(kind, address, asked, &servers).await,
        Kind::Monolift | Kind::MonoliftUser => {
            let caller = ours::connect(address, tls, connections, None).await?;
            let is_for_a_user = kind == Kind::MonoliftUser;
            measure(if is_for_a_user { caller.for_a_user() } else { caller }, asked, &servers).await
        }
        Kind::Observed(collector) => {
            let caller = ours::connect(address, tls, connections, collector).await?;
            measure(ours::Observed::new(caller), asked, &servers).await
        }
        Kind::Tarpc | Kind::TarpcNodelay => {
            let nodelay = kind == Kind::TarpcNodelay;
            let peer = with_tarpc::connect(address, several, nodelay).await?;
            measure(peer, asked, &servers).await
        }
        Kind::Tonic => {
            measure(with_tonic::connect(&address, several, tls).await?, asked, &servers).await
        }
        Kind::Axum => measure(with_axum::connect(address), asked, &servers).await,
    }
}
