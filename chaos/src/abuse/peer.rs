//! A process that calls another one by hand: it says hello as it likes, and sends frames as it likes.

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use monolift::Context;
use monolift_seam::wire::{
    Bounds, Envelope, Interfaces, Message, Outcome, Peer, Socket, codec, greet,
};
use serde::Serialize;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

/// A process that may call `stock`: the module `orders` depends on it.
pub(super) const ALLOWED: &str = "orders";
/// A process that may call none of its methods.
pub(super) const DENIED: &str = "notifications";
const APP: &str = "shop";
const PATIENCE: Duration = Duration::from_secs(5);
/// What a hello begins with; its length follows, and then what it says.
const MAGIC: &[u8] = b"monolift";

/// The numbers that the serving side gave its methods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) level: u32,
    pub(super) products: u32,
}

impl Numbers {
    /// Says hello, and reads them.
    pub(super) async fn ask(peers: SocketAddr) -> anyhow::Result<Self> {
        let (_, interfaces, _) = hello_to(peers).await?;
        let of = |method| number(&interfaces, method).with_context(|| format!("no {method}"));
        Ok(Self { level: of("level")?, products: of("products")? })
    }
}

fn number(interfaces: &Interfaces, method: &str) -> Option<u32> {
    let methods = interfaces.0.iter().flat_map(|served| {
        served.methods.iter().map(move |name| served.module == "stock" && name == method)
    });
    methods.into_iter().position(|is_it| is_it).map(|number| number as u32)
}

async fn hello_to(peers: SocketAddr) -> anyhow::Result<(Socket, Interfaces, BytesMut)> {
    let stream = TcpStream::connect(peers).await?;
    stream.set_nodelay(true)?;
    let mut socket = Socket::Tcp(stream);
    let us = Peer::new(APP, ALLOWED, Bounds::default());
    let (_, interfaces, input) = greet(&mut socket, &us, PATIENCE).await?;
    Ok((socket, interfaces, input))
}

/// What a process of this name says first.
pub(super) fn hello(process: &str) -> anyhow::Result<Vec<u8>> {
    let mut said = Vec::new();
    codec::encode(&Peer::new(APP, process, Bounds::default()), Bounds::default(), &mut said)?;
    let length = u32::try_from(said.len())?;
    Ok([MAGIC, &length.to_le_bytes(), &said].concat())
}

/// A frame that calls this method.
pub(super) fn call(id: u64, method: u32, arguments: &impl Serialize) -> anyhow::Result<BytesMut> {
    let mut payload = Vec::new();
    codec::encode(arguments, Bounds::default(), &mut payload)?;
    let context = Context::until(Instant::now() + PATIENCE);
    let envelope = Envelope { method, context, payload: payload.into(), timed: false };
    let mut frame = BytesMut::new();
    let long = Message::Call(id, envelope).write(&mut frame);
    frame.extend(long.into_iter().flatten());
    Ok(frame)
}

#[derive(Serialize)]
pub(super) struct Level<'a> {
    pub(super) sku: &'a str,
}

#[derive(Serialize)]
pub(super) struct Products {
    pub(super) after: Option<String>,
    pub(super) limit: Option<u32>,
}

/// An honest process that has just been started: it connects, says hello, and makes a call.
pub(super) async fn asks_for(peers: SocketAddr, sku: &str) -> anyhow::Result<()> {
    let (mut socket, interfaces, mut input) = hello_to(peers).await?;
    let method = number(&interfaces, "level").context("no such method")?;
    socket.write_all(&call(1, method, &Level { sku })?).await?;
    loop {
        match Message::read(&mut input, Bounds::default().bytes)? {
            Ok(Message::Answer(1, answer)) => {
                ensure!(
                    answer.outcome == Outcome::Answer,
                    "the call ended as {:?}",
                    answer.outcome
                );
                return Ok(());
            }
            Ok(_) => {}
            Err(_) if socket.read_buf(&mut input).await? == 0 => bail!("the connection was closed"),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monolift_seam::wire::receive;
    use tokio::net::TcpListener;

    /// The hello and the calls that are written by hand are read as any others.
    #[tokio::test]
    async fn what_is_sent_by_hand_is_understood() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let mut said = hello(DENIED).expect("a hello");
        said.extend(call(7, 3, &Level { sku: "tea" }).expect("a call"));
        let sent = async {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(&said).await.expect("it is sent");
            // What is answered comes before the end.
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
        };
        let received = async {
            let mut socket = Socket::Tcp(listener.accept().await.expect("a connection").0);
            let us = Peer::new(APP, "stock", Bounds::default());
            let welcome = |_: &Peer| Ok(Interfaces::default());
            let heard = receive(&mut socket, &us, PATIENCE, welcome).await;
            let (peer, mut input) = heard.expect("a hello");
            assert_eq!((peer.app.as_str(), peer.process.as_str()), (APP, DENIED));
            loop {
                match Message::read(&mut input, Bounds::default().bytes).expect("a frame") {
                    Ok(Message::Call(id, envelope)) => {
                        assert_eq!((id, envelope.method), (7, 3));
                        assert!(envelope.context.remaining() > Duration::from_secs(1));
                        return;
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => assert_ne!(socket.read_buf(&mut input).await.expect("more"), 0),
                }
            }
        };
        tokio::join!(sent, received);
    }
}
