//! The limit: 256 bytes there and 256 bytes back, without any decoding.

use super::{Address, Kind, Peer};
use crate::{
    measured::{Asked, Measured, Mix, measure},
    process::ready,
};
use load::Load;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    sync::{Mutex, PoisonError},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const BYTES: usize = 256;

trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

trait AsyncBoth: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncBoth for T {}

pub(super) async fn serve(kind: Kind, address: Address) -> anyhow::Result<()> {
    if kind == Kind::RawTokio {
        return serve_with_tokio(address).await;
    }
    tokio::task::spawn_blocking(move || match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            ready()?;
            loop {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                std::thread::spawn(|| echo(socket));
            }
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            ready()?;
            loop {
                let (socket, _) = listener.accept()?;
                std::thread::spawn(|| echo(socket));
            }
        }
    })
    .await?
}

fn echo(mut socket: impl Both) {
    let mut bytes = [0; BYTES];
    while socket.read_exact(&mut bytes).is_ok() && socket.write_all(&bytes).is_ok() {}
}

async fn serve_with_tokio(address: Address) -> anyhow::Result<()> {
    match address {
        Address::Tcp(address) => {
            let listener = tokio::net::TcpListener::bind(address).await?;
            ready()?;
            loop {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                tokio::spawn(echo_with_tokio(socket));
            }
        }
        Address::Unix(path) => {
            let listener = tokio::net::UnixListener::bind(path)?;
            ready()?;
            loop {
                tokio::spawn(echo_with_tokio(listener.accept().await?.0));
            }
        }
    }
}

async fn echo_with_tokio(mut socket: impl AsyncBoth) {
    let mut bytes = [0; BYTES];
    while socket.read_exact(&mut bytes).await.is_ok() && socket.write_all(&bytes).await.is_ok() {}
}

pub(super) async fn call(
    kind: Kind,
    address: Address,
    asked: Asked,
    servers: &[u32],
) -> anyhow::Result<Measured> {
    anyhow::ensure!(
        matches!((asked.plan.load, asked.mix), (Load::Closed(1), Mix::Quick)),
        "bytes there and back are one at a time"
    );
    if kind == Kind::RawTokio {
        let socket: Box<dyn AsyncBoth> = match address {
            Address::Tcp(address) => {
                let socket = tokio::net::TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
            Address::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        };
        return measure(WithTokio(tokio::sync::Mutex::new(socket)), asked, servers).await;
    }
    let socket: Box<dyn Both> = match address {
        Address::Tcp(address) => {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            Box::new(socket)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path)?),
    };
    measure(Blocking(Mutex::new(socket)), asked, servers).await
}

/// A blocking connection. There is only one caller, so nothing else needs its thread.
struct Blocking(Mutex<Box<dyn Both>>);

impl Peer for Blocking {
    async fn get(&self, _: u64, _: u32) -> anyhow::Result<()> {
        tokio::task::yield_now().await;
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = [7; BYTES];
        socket.write_all(&bytes)?;
        Ok(socket.read_exact(&mut bytes)?)
    }

    async fn sleep(&self) -> anyhow::Result<()> {
        unreachable!("bytes do not sleep")
    }

    async fn burn(&self) -> anyhow::Result<()> {
        unreachable!("bytes do not work")
    }
}

struct WithTokio(tokio::sync::Mutex<Box<dyn AsyncBoth>>);

impl Peer for WithTokio {
    async fn get(&self, _: u64, _: u32) -> anyhow::Result<()> {
        let mut socket = self.0.lock().await;
        let mut bytes = [7; BYTES];
        socket.write_all(&bytes).await?;
        socket.read_exact(&mut bytes).await?;
        Ok(())
    }

    async fn sleep(&self) -> anyhow::Result<()> {
        unreachable!("bytes do not sleep")
    }

    async fn burn(&self) -> anyhow::Result<()> {
        unreachable!("bytes do not work")
    }
}
