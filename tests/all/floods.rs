//! Peers that take more than their share: of a connection's loop, of the buffers, of the handshakes.
//! Here they speak to the socket by hand, and an honest caller is beside them.

use crate::{
    peers::{client_with, unix, us},
    support::{Obedient, Worker, WorkerClient, WorkerError, call_error, soon, within},
};
use bytes::BytesMut;
use futures_util::poll;
use monolift::{CallError, CallErrorKind, async_trait};
use monolift_call::link::{Interface, Link};
use monolift_manifest::{Address, Retries};
use monolift_seam::{
    remote::{Remote, Whereabouts},
    serve::{Directory, Limits, Server},
    wire::{
        Answer, Bounds, Envelope, HelloError, Listener, Machine, Memory, Message, Outcome, Peer,
        Socket, codec, connect, greet,
    },
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1024 * 1024;
const HELLO: Duration = Duration::from_secs(5);

/// A worker that serves everyone, with 16 MiB for buffers: 4 for each peer.
struct Served {
    _server: Server,
    address: Address,
    memory: Arc<Memory>,
}

impl Served {
    async fn start(limits: Limits) -> Self {
        let worker: Arc<dyn Worker> = Arc::new(Obedient::default());
        Self::start_with(Link::to(worker), limits).await
    }

    async fn start_with<I: Interface + ?Sized>(link: Link<I>, limits: Limits) -> Self {
        let listener = Listener::bind(&unix()).await.unwrap();
        let address = listener.address().unwrap();
        let directory = Directory::new(vec![Arc::new(link)], Box::new(|_, _, _| true));
        let us = Peer::new("test", "worker", Bounds::default());
        let memory = Arc::new(Memory::new(16 * MIB));
        let server = Server::start(listener, us, directory, limits, Arc::clone(&memory), None);
        Self { _server: server, address, memory }
    }

    async fn socket(&self) -> Socket {
        connect(&self.address, None, "worker").await.unwrap()
    }

    async fn greeted(&self, process: &str) -> Result<Flooder, HelloError> {
        let mut socket = self.socket().await;
        let us = Peer::new("test", process, Bounds::default());
        let (_, interfaces, input) = greet(&mut socket, &us, HELLO).await?;
        let methods = interfaces.0.into_iter().flat_map(|interface| interface.methods).collect();
        Ok(Flooder { socket, input, methods })
    }

    fn honest(&self) -> WorkerClient {
        client_with(&self.address, us(), None)
    }

    /// Ready when nothing is charged to others any more.
    async fn others_are_gone(&self) {
        soon(async {
            while self.memory.in_use().others > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A peer that was greeted.
struct Flooder {
    socket: Socket,
    input: BytesMut,
    methods: Vec<String>,
}

impl Flooder {
    fn frame<A: Serialize>(&self, id: u64, method: &str, arguments: &A) -> BytesMut {
        let number = self.methods.iter().position(|name| name == method);
        let mut payload = Vec::new();
        codec::encode(arguments, Bounds::default(), &mut payload).unwrap();
        let envelope = Envelope {
            method: number.map_or(9_999, |number| number as u32),
            context: within(Duration::from_secs(60)),
            payload: payload.into(),
            timed: false,
        };
        let mut frame = BytesMut::new();
        let long = Message::Call(id, envelope).write(&mut frame);
        frame.extend(long.into_iter().flatten());
        frame
    }

    async fn answer(&mut self) -> (u64, Answer) {
        loop {
            match Message::read(&mut self.input, 4 * MIB).unwrap() {
                Ok(Message::Answer(id, answer)) => return (id, answer),
                Ok(_) => {}
                Err(_) => assert_ne!(soon(self.socket.read_buf(&mut self.input)).await.unwrap(), 0),
            }
        }
    }
}

fn kind(answer: &Answer) -> CallErrorKind {
    codec::decode::<CallError>(&answer.payload, Bounds::default()).unwrap().kind()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_only_refused_is_closed_and_others_are_answered_meanwhile() {
    let served = Served::start(Limits::default()).await;
    let honest = served.honest();
    assert_eq!(honest.echo("before".into()).await.unwrap(), "before");
    let flooder = served.greeted("flooder").await.unwrap();
    let mut frames = BytesMut::new();
    (0..100_000).for_each(|id| frames.extend(flooder.frame(id, "no_such_method", &())));
    let flood = tokio::spawn(async move {
        let (mut answers, mut calls) = tokio::io::split(flooder.socket);
        let reading =
            tokio::spawn(
                async move { tokio::io::copy(&mut answers, &mut tokio::io::sink()).await },
            );
        // The other side ends it long before all is written.
        calls.write_all(&frames).await.unwrap_err();
        let _ = reading.await;
    });
    let mut answered = 0;
    while !flood.is_finished() {
        assert_eq!(honest.echo("well".into()).await.unwrap(), "well");
        answered += 1;
    }
    soon(flood).await.unwrap();
    assert!(answered > 10, "{answered}");
}

#[tokio::test]
async fn a_peer_that_misses_some_methods_stays() {
    let served = Served::start(Limits::default()).await;
    let mut peer = served.greeted("older").await.unwrap();
    for id in 0..5_000 {
        let method = if id % 10 == 0 { "no_such_method" } else { "echo" };
        let frame = peer.frame(id, method, &BTreeMap::from([("text", "x")]));
        peer.socket.write_all(&frame).await.unwrap();
        let (answered, answer) = peer.answer().await;
        assert_eq!(answered, id);
        assert_eq!(answer.outcome == Outcome::Answer, method == "echo");
    }
}

/// Halves of messages fill the buffers of the peer that sends them, and of no other.
#[tokio::test]
async fn a_long_call_without_room_is_refused_and_not_kept() {
    let served = Served::start(Limits::default()).await;
    let text = "x".repeat(3 * MIB / 2);
    let arguments = BTreeMap::from([("text", text.as_str())]);
    let mut halves = Vec::new();
    for _ in 0..2 {
        let mut peer = served.greeted("flooder").await.unwrap();
        let mut frame = peer.frame(1, "echo", &arguments);
        let rest = frame.split_off(MIB);
        peer.socket.write_all(&frame).await.unwrap();
        halves.push((peer, rest));
    }
    soon(async {
        while served.memory.in_use().others < 3 * MIB {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut third = served.greeted("flooder").await.unwrap();
    let frame = third.frame(7, "echo", &arguments);
    third.socket.write_all(&frame).await.unwrap();
    let (id, answer) = third.answer().await;
    assert_eq!(
        (id, answer.outcome, kind(&answer)),
        (7, Outcome::Refused, CallErrorKind::Overloaded)
    );
    // What is not kept is read past: the connection goes on.
    let frame = third.frame(8, "echo", &BTreeMap::from([("text", "short")]));
    third.socket.write_all(&frame).await.unwrap();
    assert_eq!(third.answer().await.0, 8);
    assert_eq!(served.honest().echo(text.clone()).await.unwrap(), text);
    for (mut peer, rest) in halves {
        peer.socket.write_all(&rest).await.unwrap();
        let (_, answer) = peer.answer().await;
        // The room of the call is there; its answer may meet that of the other one.
        assert!(answer.outcome == Outcome::Answer || kind(&answer) == CallErrorKind::Overloaded);
    }
    drop(third);
    served.others_are_gone().await;
    assert!(served.memory.in_use().peak <= 16 * MIB);
}

#[tokio::test]
async fn answers_that_are_not_read_take_no_more_than_a_peer_may_have() {
    let served = Served::start(Limits::default()).await;
    let mut peer = served.greeted("flooder").await.unwrap();
    for id in 0..60 {
        let frame = peer.frame(id, "long", &BTreeMap::from([("length", MIB)]));
        // The socket takes these although nothing is read: they are short.
        peer.socket.write_all(&frame).await.unwrap();
    }
    let honest = served.honest();
    for _ in 0..100 {
        assert_eq!(honest.long(MIB).await.unwrap().len(), MIB);
        assert!(served.memory.in_use().others <= 8 * MIB);
    }
    let mut answered = BTreeSet::new();
    while answered.len() < 60 {
        let (id, answer) = peer.answer().await;
        assert!(answered.insert(id));
        assert!(answer.outcome == Outcome::Answer || kind(&answer) == CallErrorKind::Overloaded);
    }
    served.others_are_gone().await;
}

#[tokio::test]
async fn silent_connections_make_way_for_honest_ones() {
    let served =
        Served::start(Limits { handshakes: 4, hello: 60 * HELLO, ..Limits::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(served.socket().await);
        assert_eq!(served.honest().echo("well".into()).await.unwrap(), "well");
    }
    // The oldest have been closed.
    assert_eq!(soon(silent[0].read(&mut [0; 1])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_name_that_no_process_can_have_is_refused() {
    let served = Served::start(Limits::default()).await;
    for name in ["", "two\nlines", "\u{1b}[31mred", &"x".repeat(300), &"x".repeat(900_000)] {
        assert!(served.greeted(name).await.is_err(), "{name:?}");
    }
    assert!(served.greeted("an-honest_name.2").await.is_ok());
}

/// A type that counts how often its schema is made.
#[derive(Debug, Serialize, Deserialize)]
struct Dear(u32);

static MADE: AtomicUsize = AtomicUsize::new(0);

impl JsonSchema for Dear {
    fn schema_name() -> Cow<'static, str> {
        "Dear".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        MADE.fetch_add(1, Relaxed);
        u32::json_schema(generator)
    }
}

#[monolift::interface(module = "worker")]
trait Costly {
    async fn pass(&self, dear: Dear) -> Result<Dear, WorkerError>;
}

struct Passing;

#[async_trait]
impl Costly for Passing {
    async fn pass(&self, dear: Dear) -> Result<Dear, WorkerError> {
        Ok(dear)
    }
}

#[tokio::test]
async fn only_the_first_hello_makes_schemas() {
    let costly: Arc<dyn Costly> = Arc::new(Passing);
    let served = Served::start_with(Link::to(costly), Limits::default()).await;
    served.greeted("peer").await.unwrap();
    let made = MADE.load(Relaxed);
    for _ in 0..20 {
        served.greeted("peer").await.unwrap();
    }
    assert_eq!(MADE.load(Relaxed), made);
}

/// A worker that holds what it is called with, and a caller with 16 MiB for buffers: 8 for calls of its own.
async fn calling() -> (Arc<Obedient>, Server, WorkerClient, Arc<Memory>) {
    let worker = Arc::new(Obedient::default());
    let serving: Arc<dyn Worker> = Arc::<Obedient>::clone(&worker);
    let listener = Listener::bind(&unix()).await.unwrap();
    let address = listener.address().unwrap();
    let link = Link::<dyn Worker>::to(serving);
    let directory = Directory::new(vec![Arc::new(link)], Box::new(|_, _, _| true));
    let peer = Peer::new("test", "worker", Bounds::default());
    let server = Server::start(listener, peer, directory, Limits::default(), Arc::default(), None);
    let memory = Arc::new(Memory::new(16 * MIB));
    let whereabouts = Whereabouts {
        process: "worker".to_owned(),
        connect: address.into(),
        network: Arc::new(Machine),
        us: us(),
        interfaces: vec![<dyn Worker>::descriptor()],
        tls: None,
        bounds: Bounds::default(),
        hello: HELLO,
        in_flight: 16,
        memory: Arc::clone(&memory),
        retries: Retries::default(),
        thresholds: Default::default(),
    };
    let link = Link::unbound(Arc::default());
    link.bind_carrier(Arc::new(Remote::new(whereabouts, 1)));
    let client = <dyn Worker>::client(link);
    assert_eq!(client.echo("hello".into()).await.unwrap(), "hello");
    assert_eq!(memory.in_use().own, 0);
    (worker, server, client, memory)
}

#[tokio::test]
async fn calls_of_a_process_take_no_more_than_their_half_and_give_it_back_at_once() {
    let (worker, _server, client, memory) = calling().await;
    let long = "x".repeat(3 * MIB);
    let mut held: Vec<_> = (0..2).map(|_| Box::pin(client.hold(long.clone()))).collect();
    for (number, call) in held.iter_mut().enumerate() {
        assert!(poll!(call).is_pending());
        worker.work.running(number + 1).await;
    }
    let refused = call_error(client.hold(long.clone()).await);
    assert_eq!(refused.kind(), CallErrorKind::Overloaded, "{refused}");
    assert!(refused.message().contains("limits.memory"), "{refused}");
    // A caller that goes away gives back what its call has taken.
    held.pop();
    assert!(memory.in_use().own < 4 * MIB);
    worker.work.running(1).await;
    worker.work.release();
    assert_eq!(soon(held.remove(0)).await.unwrap(), long);
    assert_eq!(memory.in_use().own, 0);
}

/// The worker has never given long answers, so no room is kept for them.
#[tokio::test]
async fn an_answer_without_room_ends_its_call_and_not_the_connection() {
    let (_worker, _server, client, memory) = calling().await;
    let mut answered = Vec::new();
    for number in 1..=2 {
        let mut call = Box::pin(client.long(3 * MIB));
        assert!(poll!(&mut call).is_pending());
        // Its answer arrives, and its caller does not take it.
        soon(async {
            while memory.in_use().own < number * 3 * MIB {
                tokio::task::yield_now().await;
            }
        })
        .await;
        answered.push(call);
    }
    let unread = call_error(soon(client.long(3 * MIB)).await);
    assert_eq!(unread.kind(), CallErrorKind::Interrupted, "{unread}");
    assert_eq!(client.echo("well".into()).await.unwrap(), "well");
    for call in answered {
        assert_eq!(soon(call).await.unwrap().len(), 3 * MIB);
    }
    assert_eq!(client.long(3 * MIB).await.unwrap().len(), 3 * MIB);
    assert_eq!(memory.in_use().own, 0);
}
