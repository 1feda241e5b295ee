//! One module called from another process, over Monolift and over what else a team would use.

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

/// How two processes talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// 256 bytes there and back, by threads that wait for them: the limit.
    Raw,
    /// The same, by tasks of tokio.
    RawTokio,
    /// Monolift.
    Monolift,
    /// tarpc as its README shows it.
    Tarpc,
    /// The same, with `TCP_NODELAY`.
    TarpcNodelay,
    /// tonic.
    Tonic,
    /// axum and JSON, with a pool of connections.
    Axum,
}

impl Kind {
    /// As a table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Raw => "256 bytes there and back (the limit)",
            Self::RawTokio => "the same, on tokio",
            Self::Monolift => "Monolift",
            Self::Tarpc => "tarpc as its README shows it",
            Self::TarpcNodelay => "tarpc with `TCP_NODELAY`",
            Self::Tonic => "tonic",
            Self::Axum => "axum and JSON, pooled",
        }
    }
}

/// Over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// TCP, on the loopback device.
    Tcp,
    /// A Unix socket.
    Unix,
}

impl Socket {
    /// As a table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "a Unix socket",
        }
    }

    /// Where a server of this kind listens.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub fn address(self, kind: Kind) -> std::io::Result<Address> {
        match self {
            Self::Tcp => free_port(),
            Self::Unix => {
                let name = format!("monolift-bench-{}-{kind:?}.sock", std::process::id());
                let path = std::env::temp_dir().join(name);
                // One of a run that was killed, whose number this run has by now.
                let _ = std::fs::remove_file(&path);
                Ok(Address::Unix(path))
            }
        }
    }
}

/// Serves, for as long as the process runs.
///
/// # Errors
///
/// When it cannot listen.
pub async fn serve(kind: Kind, address: Address, tls: Option<&Path>) -> anyhow::Result<()> {
    match kind {
        Kind::Raw | Kind::RawTokio => raw::serve(kind, address).await,
        Kind::Monolift => ours::serve(address, tls).await,
        Kind::Tarpc => with_tarpc::serve(address, false).await,
        Kind::TarpcNodelay => with_tarpc::serve(address, true).await,
        Kind::Tonic => with_tonic::serve(address, tls).await,
        Kind::Axum => with_axum::serve(address).await,
    }
}

/// Calls the server at `address`, whose process is `server`.
///
/// # Errors
///
/// When it cannot be reached or does not answer.
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
        Kind::Monolift => {
            measure(ours::connect(address, tls, connections).await?, asked, &servers).await
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
