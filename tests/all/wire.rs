//! What a peer may do on a connection, and what it cannot.

use crate::support::{Obedient, Worker, WorkerClient, soon};
use bytes::{Bytes, BytesMut};
use monolift::{
    CallErrorKind, Context,
    call::CallSettings,
    testing::{Mode, RunningSystem, System},
    wire::{
        Bounds, Envelope, HelloError, Interfaces, Message, Outcome, Peer, Socket, codec, connect,
        greet,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn system() -> RunningSystem {
    System::new(Mode::OverAConnection)
        .fake::<dyn Worker>(Arc::new(Obedient::default()))
        .manifest(|manifest| {
            manifest.limits.hello = Duration::from_millis(200);
            manifest.limits.connections = 8;
            manifest.limits.frame = 64 * 1024;
            manifest.calls.connections = Some(1);
        })
        .start()
        .await
}

async fn socket(system: &RunningSystem) -> Socket {
    connect(system.process_of("worker").address().unwrap()).await.unwrap()
}

fn us(app: &str, process: &str) -> Peer {
    Peer::new(app, process, Bounds::default())
}

/// Whether the other side has closed the connection.
async fn closed(socket: &mut Socket) -> bool {
    let mut rest = Vec::new();
    soon(socket.read_to_end(&mut rest)).await.is_ok_and(|_| rest.is_empty())
}

async fn still_serves(system: &RunningSystem) {
    let worker: WorkerClient = system.client();
    assert_eq!(worker.echo("well".into()).await.unwrap(), "well");
}

/// A connection that was greeted, as `process`.
struct Greeted {
    socket: Socket,
    input: BytesMut,
    interfaces: Interfaces,
}

impl Greeted {
    async fn new(system: &RunningSystem, process: &str) -> Self {
        let mut socket = socket(system).await;
        let (_, interfaces, input) =
            greet(&mut socket, &us("test", process), Duration::from_secs(5)).await.unwrap();
        Self { socket, input, interfaces }
    }

    fn number(&self, method: &str) -> u32 {
        let mut methods = self.interfaces.0.iter().flat_map(|interface| &interface.methods);
        methods.position(|name| name == method).unwrap() as u32
    }

    async fn send(&mut self, id: u64, method: u32, text: &str) {
        let mut payload = Vec::new();
        codec::encode(&BTreeMap::from([("text", text)]), Bounds::default(), &mut payload).unwrap();
        let context = Context::edge(&CallSettings::default());
        let call = Message::Call(id, Envelope { method, context, payload: payload.into() });
        let mut frame = BytesMut::new();
        call.write(&mut frame);
        self.socket.write_all(&frame).await.unwrap();
    }

    async fn answer(&mut self) -> (u64, Outcome, Bytes) {
        loop {
            match Message::read(&mut self.input, 64 * 1024).unwrap() {
                Ok(Message::Answer(id, answer)) => return (id, answer.outcome, answer.payload),
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert_ne!(soon(self.socket.read_buf(&mut self.input)).await.unwrap(), 0),
            }
        }
    }

    async fn kind(&mut self) -> CallErrorKind {
        let (_, outcome, payload) = self.answer().await;
        assert_eq!(outcome, Outcome::CallError);
        let error: monolift::CallError = codec::decode(&payload, Bounds::default()).unwrap();
        error.kind()
    }
}

#[tokio::test]
async fn who_says_nothing_is_cut_after_the_time_for_a_hello() {
    let system = system().await;
    let mut silent = socket(&system).await;
    assert!(closed(&mut silent).await);
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn who_says_something_else_is_cut() {
    let system = system().await;
    for noise in ["GET / HTTP/1.1\r\n\r\n".as_bytes(), b"monolift\xff\xff\xff\xff", &[0; 100]] {
        let mut other = socket(&system).await;
        other.write_all(noise).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon(other.read_to_end(&mut rest)).await;
    }
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn another_application_and_another_protocol_are_refused_with_the_reason() {
    let system = system().await;
    let refused = async |peer: Peer| {
        let mut socket = socket(&system).await;
        match greet(&mut socket, &peer, Duration::from_secs(5)).await {
            Err(HelloError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(us("bank", "test")).await, "it is part of `bank`, not of `test`");
    let newer = Peer { protocol: 9, ..us("test", "test") };
    let why = refused(newer).await;
    assert_eq!(why, "it speaks version 9 of the protocol, and `worker` speaks 1");
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn an_unknown_method_and_bad_arguments_are_errors_of_their_calls() {
    let system = system().await;
    let mut peer = Greeted::new(&system, "test").await;
    peer.send(1, 9_999, "x").await;
    assert_eq!(peer.kind().await, CallErrorKind::UnknownMethod);
    let echo_after = peer.number("echo_after");
    peer.send(2, echo_after, "no millis").await;
    assert_eq!(peer.kind().await, CallErrorKind::BadArguments);
    let echo = peer.number("echo");
    peer.send(3, echo, "well").await;
    let (id, outcome, _) = peer.answer().await;
    assert_eq!((id, outcome), (3, Outcome::Answer));
    system.stop().await;
}

#[tokio::test]
async fn a_process_that_declares_no_dependency_is_denied() {
    let system = system().await;
    let mut stranger = Greeted::new(&system, "stranger").await;
    let echo = stranger.number("echo");
    stranger.send(1, echo, "let me in").await;
    assert_eq!(stranger.kind().await, CallErrorKind::Denied);
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_its_connection_and_no_other() {
    let system = system().await;
    let mut peer = Greeted::new(&system, "test").await;
    peer.socket.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    assert!(closed(&mut peer.socket).await);
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn half_a_frame_holds_back_nobody() {
    let system = system().await;
    let mut peer = Greeted::new(&system, "test").await;
    peer.socket.write_all(&1_000_u32.to_le_bytes()).await.unwrap();
    peer.socket.write_all(&[1, 2, 3]).await.unwrap();
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn one_id_twice_does_no_harm() {
    let system = system().await;
    let mut peer = Greeted::new(&system, "test").await;
    let for_ever = peer.number("for_ever");
    peer.send(1, for_ever, "").await;
    peer.send(1, for_ever, "").await;
    let echo = peer.number("echo");
    peer.send(2, echo, "well").await;
    // The second may be refused or passed over; what counts is that others are answered.
    still_serves(&system).await;
    drop(peer);
    system.stop().await;
}

#[tokio::test]
async fn more_connections_than_there_may_be_are_refused() {
    let system = system().await;
    still_serves(&system).await;
    let mut greeted = Vec::new();
    let mut refused = 0;
    for _ in 0..12 {
        let mut socket = socket(&system).await;
        match greet(&mut socket, &us("test", "test"), Duration::from_secs(5)).await {
            Ok(_) => greeted.push(socket),
            Err(_) => refused += 1,
        }
    }
    assert!(greeted.len() <= 7 && refused >= 5, "{} and {refused}", greeted.len());
    still_serves(&system).await;
    drop(greeted);
    system.stop().await;
}
