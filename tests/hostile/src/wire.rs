//! What another process says: frames, the hello, the context of a call, values, and a whole conversation.

use crate::{
    desk::{Clerk, Desk, Shape, Thing},
    runtime::block_on,
    steps::Steps,
};
use bytes::{BufMut, BytesMut};
use monolift_call::{
    CallError,
    link::{Interface, Link},
};
use monolift_manifest::Address;
use monolift_seam::{
    serve::{Directory, Limits, Server},
    wire::{
        Accept, Bounds, Interfaces, Listener, Message, Peer, Refusal, Served, Socket, codec, greet,
        receive,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, io, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Mutex, mpsc},
    time::timeout,
};

/// The longest payload that is read here.
const LIMIT: usize = 64 * 1024;
const BOUNDS: Bounds = Bounds { bytes: LIMIT, nesting: 32 };
/// A context that was read is no longer when it is written, but for what its sender left out.
const SHORT: usize = 8 * 1024;
/// For what ends at once, unless something hangs.
const SOON: Duration = Duration::from_secs(5);
/// A server slows a peer down whose refused calls are more.
const STEPS: usize = 200;
/// The kind of a call's frame.
const CALL: u8 = 1;

/// The bytes are frames.
pub(crate) fn frame(data: &[u8]) {
    let mut input = BytesMut::from(data);
    while let Ok(Ok(message)) = Message::read(&mut input, LIMIT) {
        let mut out = BytesMut::new();
        if let Some(long) = message.write(&mut out) {
            out.put_slice(&long);
        }
        if out.len() <= SHORT {
            let again = Message::read(&mut out, LIMIT);
            assert!(matches!(again, Ok(Ok(_))) && out.is_empty(), "it is not read again");
        }
    }
}

/// The bytes are the context and the arguments of a call.
pub(crate) fn envelope(data: &[u8]) {
    let mut whole = BytesMut::new();
    whole.put_u32_le(u32::try_from(data.len() + 13).unwrap_or(u32::MAX));
    whole.put_u8(CALL);
    whole.put_u64_le(7);
    whole.put_u32_le(0);
    whole.put_slice(data);
    frame(&whole);
}

/// The bytes are a value of one of several types, which the first byte chooses.
pub(crate) fn codec(data: &[u8]) {
    let Some((first, value)) = data.split_first() else { return };
    match first % 6 {
        0 => decoded::<Thing>(value),
        1 => decoded::<serde_json::Value>(value),
        2 => decoded::<BTreeMap<String, Vec<Option<Option<u8>>>>>(value),
        3 => decoded::<CallError>(value),
        4 => decoded::<Vec<(Shape, Option<()>, char, u128, i64, f32)>>(value),
        _ => decoded::<Peer>(value),
    }
}

/// A value that was decoded is encoded to bytes that are decoded to the same value.
fn decoded<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = codec::decode::<T>(bytes, BOUNDS) else { return };
    let mut once = Vec::new();
    if codec::encode(&value, BOUNDS, &mut once).is_err() {
        return;
    }
    let again = codec::decode::<T>(&once, BOUNDS).expect("what was encoded is decoded");
    let mut twice = Vec::new();
    codec::encode(&again, BOUNDS, &mut twice).expect("it was encoded before");
    assert_eq!(once, twice);
}

fn us() -> Peer {
    Peer::new("hostile", "desk", BOUNDS)
}

/// The bytes are a hello, of a process that calls or of one that is called. The first byte chooses, and whether what
/// stands before the hello is there already.
pub(crate) fn hello(data: &[u8]) {
    let Some((first, said)) = data.split_first() else { return };
    let length = u32::try_from(said.len()).unwrap_or(u32::MAX).to_le_bytes();
    let (calls, framed) = (first & 1 == 0, first & 2 == 0);
    let said = match (framed, calls) {
        (false, _) => said.to_vec(),
        (true, true) => [b"monolift", &length[..], said].concat(),
        (true, false) => [&length[..], said].concat(),
    };
    block_on(async {
        let (ours, mut theirs) = duplex(said.len() + LIMIT);
        theirs.write_all(&said).await.expect("there is room for all of it");
        theirs.shutdown().await.expect("a pipe ends");
        let mut socket = Socket::Other(Box::new(ours));
        if calls {
            let welcome = |peer: &Peer| match peer.process.is_empty() {
                true => Err(Refusal("no name".to_owned())),
                false => Ok(Interfaces(vec![Served::of(<dyn Desk>::descriptor())])),
            };
            drop(
                receive(&mut socket, &us(), SOON, welcome).await.map_err(|error| error.to_string()),
            );
        } else {
            drop(greet(&mut socket, &us(), SOON).await.map_err(|error| error.to_string()));
        }
    });
}

/// A server that takes the connections which come through a channel.
struct Door(Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl Accept for Door {
    fn accept(&self) -> Pin<Box<dyn Future<Output = io::Result<Socket>> + Send + '_>> {
        Box::pin(async {
            match self.0.lock().await.recv().await {
                Some(socket) => Ok(Socket::Other(Box::new(socket))),
                None => std::future::pending().await,
            }
        })
    }

    fn address(&self) -> io::Result<Address> {
        Ok(Address::Tcp("desk:1".to_owned()))
    }
}

fn serve() -> (Server, mpsc::UnboundedSender<DuplexStream>) {
    let (connecting, connections) = mpsc::unbounded_channel();
    let clerk: Arc<dyn Desk> = Arc::new(Clerk);
    let directory =
        Directory::new(vec![Arc::new(Link::<dyn Desk>::to(clerk))], Box::new(|_, _, _| true));
    let door = Listener::Other(Box::new(Door(Mutex::new(connections))));
    let limits = Limits { in_flight: 8, running: 16, waiting: 4, ..Limits::default() };
    (Server::start(door, us(), directory, limits, Arc::default(), None), connecting)
}

/// The bytes are what a process says after its hello, step by step. The server ends the connection when it ends.
pub(crate) fn conversation(data: &[u8]) {
    block_on(async {
        let (server, connecting) = serve();
        let (ours, theirs) = duplex(LIMIT);
        connecting.send(theirs).expect("the server runs");
        let mut socket = Socket::Other(Box::new(ours));
        let greeted = greet(&mut socket, &Peer::new("hostile", "caller", BOUNDS), SOON).await;
        greeted.expect("the server greets");
        let said = said(data);
        let (mut read, mut write) = tokio::io::split(socket);
        let saying = async {
            // The server may have ended it before all is said.
            let _ = write.write_all(&said).await;
            let _ = write.shutdown().await;
        };
        let hearing = async {
            let mut piece = [0; 4096];
            while matches!(read.read(&mut piece).await, Ok(1..)) {}
        };
        let both = async { tokio::join!(saying, hearing) };
        timeout(SOON, both).await.expect("the server ends a connection that has ended");
        drop(server);
    });
}

/// The steps as bytes on a connection: frames that are whole, and bytes as they are.
fn said(data: &[u8]) -> Vec<u8> {
    let (mut steps, mut out) = (Steps(data), BytesMut::new());
    for _ in 0..STEPS {
        let Some(step) = steps.byte() else { break };
        let id = u64::from(steps.byte().unwrap_or(0));
        match step % 6 {
            0 | 1 => {
                let (method, context) = (steps.byte().unwrap_or(0), steps.bytes().unwrap_or(&[]));
                let arguments = steps.bytes().unwrap_or(&[]);
                // A deadline, so that it is a call; what else the context says; its end.
                let left = 1_000_000_u64.to_le_bytes();
                let head = [&[1, 8, 0, 0, 0][..], &left].concat();
                let body = [&head[..], if step % 6 == 0 { &[] } else { context }, &[0], arguments];
                let body = body.concat();
                out.put_u32_le(u32::try_from(body.len() + 13).unwrap_or(0));
                out.put_u8(CALL);
                out.put_u64_le(id);
                out.put_u32_le(method.into());
                out.put_slice(&body);
            }
            2 => drop(Message::Cancel(id).write(&mut out)),
            3 => drop(Message::Ping(id).write(&mut out)),
            4 => drop(Message::Leaving.write(&mut out)),
            _ => out.put_slice(steps.bytes().unwrap_or(&[])),
        }
    }
    out.to_vec()
}
