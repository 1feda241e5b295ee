//! What a process takes from whoever connects to it: here they speak to its socket by hand.

use crate::support::{Obedient, WorkerClient, soon, system_with, within};
use bytes::{BufMut, BytesMut};
use monolift::{
    CallErrorKind,
    testing::{Mode, RunningSystem},
};
use monolift_manifest::Address;
use monolift_seam::wire::{
    Bounds, Envelope, HelloError, Interfaces, Listener, Message, Outcome, PROTOCOL, Payload, Peer,
    Socket, Transport, codec, connect, greet, receive,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tarpc::client::{Config, NewClient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const FRAME: usize = 64 * 1024;
const HELLO: Duration = Duration::from_secs(1);

/// A system with a worker, which is held to little.
async fn system_of(worker: &Arc<Obedient>) -> RunningSystem {
    system_with(Mode::OverAConnection, worker)
        .manifest(|manifest| {
            manifest.limits.hello = HELLO;
            manifest.limits.connections = 8;
            manifest.limits.in_flight = 4;
            manifest.limits.frame = FRAME;
            manifest.calls.connections = Some(1);
        })
        .start()
        .await
}

async fn system() -> RunningSystem {
    system_of(&Arc::default()).await
}

async fn socket(system: &RunningSystem) -> Socket {
    let address = system.process_of("worker").address().unwrap();
    connect(address, None, "worker").await.unwrap()
}

fn us(app: &str, process: &str) -> Peer {
    Peer::new(app, process, Bounds::default())
}

/// Ready when the other side has closed the connection, without a word.
async fn closed(socket: &mut Socket) {
    let mut rest = Vec::new();
    // A reset closes as well.
    let _ = soon(socket.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
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

    /// Calls `method` with `text` for its only argument, if there is one.
    async fn call(&mut self, id: u64, method: &str, text: &str) {
        let method = self.number(method);
        self.send(&call(id, method, text)).await;
    }

    async fn send(&mut self, message: &Message) {
        let mut frame = BytesMut::new();
        write(message.clone(), &mut frame);
        self.socket.write_all(&frame).await.unwrap();
    }

    async fn answer(&mut self) -> (u64, Outcome, Payload) {
        loop {
            match Message::read(&mut self.input, FRAME).unwrap() {
                Ok(Message::Answer(id, answer)) => return (id, answer.outcome, answer.payload),
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert_ne!(soon(self.socket.read_buf(&mut self.input)).await.unwrap(), 0),
            }
        }
    }

    /// The next answer is the error of call `id`, of this kind.
    async fn fails(&mut self, id: u64, kind: CallErrorKind) {
        let (answered, outcome, payload) = self.answer().await;
        let refused = matches!(kind, CallErrorKind::Overloaded | CallErrorKind::NotRunning);
        let expected = if refused { Outcome::Refused } else { Outcome::CallError };
        assert_eq!((answered, outcome), (id, expected));
        let error: monolift::CallError = codec::decode(&payload, Bounds::default()).unwrap();
        assert_eq!(error.kind(), kind, "{error}");
    }

    /// The next answer is that of call `id`.
    async fn succeeds(&mut self, id: u64) {
        let (answered, outcome, _) = self.answer().await;
        assert_eq!((answered, outcome), (id, Outcome::Answer));
    }
}

/// Appends the whole frame.
fn write(message: Message, frames: &mut BytesMut) {
    let long = message.write(frames);
    frames.extend(long.into_iter().flatten());
}

fn call(id: u64, method: u32, text: &str) -> Message {
    let mut payload = Vec::new();
    // A method that takes no text is called with none.
    let arguments: BTreeMap<_, _> =
        Some(("text", text)).filter(|_| !text.is_empty()).into_iter().collect();
    codec::encode(&arguments, Bounds::default(), &mut payload).unwrap();
    // Longer than any test, so that what ends sooner was ended by something else.
    let context = within(Duration::from_secs(60));
    Message::Call(id, Envelope { method, context, payload: payload.into(), timed: false })
}

#[tokio::test]
async fn who_says_nothing_is_cut_after_the_time_for_a_hello() {
    let system = system().await;
    let mut silent = socket(&system).await;
    let mut slow = socket(&system).await;
    slow.write_all(b"monolift").await.unwrap();
    closed(&mut silent).await;
    closed(&mut slow).await;
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn who_says_something_else_is_cut() {
    let system = system().await;
    let hello_of_4_gib = b"monolift\xff\xff\xff\xff".as_slice();
    let hello_of_noise = b"monolift\x04\x00\x00\x00\xc1\xc1\xc1\xc1".as_slice();
    for noise in [b"GET / HTTP/1.1\r\n\r\n", hello_of_4_gib, hello_of_noise, &[0; 100]] {
        let mut other = socket(&system).await;
        other.write_all(noise).await.unwrap();
        closed(&mut other).await;
    }
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn another_application_and_another_protocol_are_refused_with_the_reason() {
    let system = system().await;
    for (peer, reason) in [
        (us("bank", "test"), "it is part of `bank`, not of `test`"),
        (
            Peer { protocol: PROTOCOL + 1, oldest: None, ..us("test", "test") },
            "it speaks version 3 of the protocol, and `worker` speaks 2: two releases in a row understand \
             each other, so upgrade one release at a time",
        ),
    ] {
        let mut socket = socket(&system).await;
        match greet(&mut socket, &peer, Duration::from_secs(5)).await {
            Err(HelloError::Refused(why)) => assert_eq!(why, reason),
            other => panic!("{other:?}"),
        }
        closed(&mut socket).await;
    }
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn both_sides_know_why_one_was_refused() {
    let folder = std::env::temp_dir().join(format!("hello-{}", std::process::id()));
    let address = Address::Unix(folder.with_extension("sock"));
    let listener = Listener::bind(&address).await.unwrap();
    let accepting = async {
        let mut socket = listener.accept().await.unwrap();
        receive(&mut socket, &us("shop", "stock"), HELLO, |_| Ok(Interfaces::default())).await
    };
    let greeting = async {
        let mut socket = connect(&address, None, "worker").await.unwrap();
        greet(&mut socket, &us("bank", "tills"), HELLO).await
    };
    let (accepted, greeted) = soon(async { tokio::join!(accepting, greeting) }).await;
    let (accepted, greeted) = (accepted.unwrap_err().to_string(), greeted.unwrap_err().to_string());
    assert_eq!(greeted, "refused: it is part of `bank`, not of `shop`");
    assert!(accepted.contains("refused tills: it is part of `bank`, not of `shop`"), "{accepted}");
}

#[tokio::test]
async fn an_unknown_method_and_bad_arguments_are_errors_of_their_calls() {
    let system = system().await;
    let mut peer = Greeted::new(&system, "test").await;
    peer.send(&call(1, 9_999, "x")).await;
    peer.fails(1, CallErrorKind::UnknownMethod).await;
    peer.send(&call(2, u32::MAX, "x")).await;
    peer.fails(2, CallErrorKind::UnknownMethod).await;
    peer.call(3, "echo_after", "and no millis").await;
    peer.fails(3, CallErrorKind::BadArguments).await;
    peer.call(4, "echo", "well").await;
    peer.succeeds(4).await;
    system.stop().await;
}

#[tokio::test]
async fn a_process_that_declares_no_dependency_is_denied() {
    let worker = Arc::new(Obedient::default());
    let system = system_of(&worker).await;
    // One that the manifest does not know, and the worker itself.
    for process in ["stranger", "worker"] {
        let mut stranger = Greeted::new(&system, process).await;
        stranger.call(1, "echo", "let me in").await;
        stranger.fails(1, CallErrorKind::Denied).await;
    }
    assert!(worker.echoed.lock().unwrap().is_empty());
    still_serves(&system).await;
    system.stop().await;
}

/// To call a module is a right to look at its process, and none to change its durable work.
#[tokio::test]
async fn who_calls_a_module_changes_none_of_its_work() {
    let system = system().await;
    let mut peer = Greeted::new(&system, "test").await;
    peer.call(1, "work", "no question").await;
    peer.fails(1, CallErrorKind::BadArguments).await;
    peer.call(2, "change_work", "no question").await;
    peer.fails(2, CallErrorKind::Denied).await;
    system.stop().await;
}

#[tokio::test]
async fn a_broken_frame_ends_its_connection_and_no_other() {
    let system = system().await;
    let frame = |body: &[u8]| {
        let mut frame = BytesMut::new();
        frame.put_u32_le(body.len() as u32);
        frame.put_slice(body);
        frame
    };
    let id = [7_u8, 0, 0, 0, 0, 0, 0, 0];
    let broken = [
        ("longer than may be", BytesMut::from(&(2 * FRAME as u32).to_le_bytes()[..])),
        ("as long as can be", BytesMut::from(&u32::MAX.to_le_bytes()[..])),
        ("empty", frame(&[])),
        ("of an unknown kind", frame(&[&[9], &id[..]].concat())),
        ("an answer, from a caller", frame(&[&[3], &id[..], &[0]].concat())),
        ("a call without a deadline", frame(&[&[1], &id[..], &[0, 0, 0, 0, 0]].concat())),
        ("a call that is cut off", frame(&[&[1], &id[..], &[0, 0]].concat())),
    ];
    for (what, bytes) in broken {
        let mut peer = Greeted::new(&system, "test").await;
        peer.call(1, "echo", "well").await;
        peer.succeeds(1).await;
        peer.socket.write_all(&bytes).await.unwrap();
        println!("{what}");
        closed(&mut peer.socket).await;
        still_serves(&system).await;
    }
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
async fn one_id_twice_is_one_call() {
    let worker = Arc::new(Obedient::default());
    let system = system_of(&worker).await;
    let mut peer = Greeted::new(&system, "test").await;
    peer.call(1, "hold", "first").await;
    peer.call(1, "hold", "second").await;
    peer.call(2, "echo", "well").await;
    peer.succeeds(2).await;
    worker.work.release();
    peer.succeeds(1).await;
    assert_eq!(worker.work.most(), 1);
    // Once it is answered, the id is free.
    peer.call(1, "echo", "well").await;
    peer.succeeds(1).await;
    system.stop().await;
}

#[tokio::test]
async fn who_cancels_stops_the_work_and_what_is_unknown_harms_nobody() {
    let worker = Arc::new(Obedient::default());
    let system = system_of(&worker).await;
    let mut peer = Greeted::new(&system, "test").await;
    peer.call(1, "for_ever", "").await;
    worker.work.running(1).await;
    peer.send(&Message::Cancel(99)).await;
    peer.send(&Message::Cancel(1)).await;
    peer.send(&Message::Cancel(1)).await;
    worker.work.running(0).await;
    // There is no answer to what was cancelled.
    peer.call(2, "echo", "well").await;
    peer.succeeds(2).await;
    system.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_stops_its_work() {
    let worker = Arc::new(Obedient::default());
    let system = system_of(&worker).await;
    let mut peer = Greeted::new(&system, "test").await;
    for id in 0..4 {
        peer.call(id, "for_ever", "").await;
    }
    worker.work.running(4).await;
    drop(peer);
    worker.work.running(0).await;
    still_serves(&system).await;
    system.stop().await;
}

#[tokio::test]
async fn more_calls_than_there_may_be_are_refused_one_by_one() {
    let worker = Arc::new(Obedient::default());
    let system = system_of(&worker).await;
    let mut peer = Greeted::new(&system, "test").await;
    for id in 0..4 {
        peer.call(id, "hold", "x").await;
    }
    for id in 4..100 {
        peer.call(id, "hold", "x").await;
        peer.fails(id, CallErrorKind::Overloaded).await;
    }
    assert_eq!(worker.work.most(), 4);
    // What is cancelled makes room at once, also when both come in one write.
    let mut frames = BytesMut::new();
    write(Message::Cancel(0), &mut frames);
    write(call(100, peer.number("echo"), "x"), &mut frames);
    peer.socket.write_all(&frames).await.unwrap();
    peer.succeeds(100).await;
    worker.work.release();
    let mut answered = Vec::new();
    for _ in 1..4 {
        answered.push(peer.answer().await.0);
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3]);
    system.stop().await;
}

/// What it sends is not read for ever: it is the one that has to wait.
#[tokio::test]
async fn who_calls_and_reads_no_answers_is_not_read_on() {
    const MOST: u64 = 16 * 1024;
    let system = system().await;
    let mut peer = Greeted::new(&system, "test").await;
    let (echo, text) = (peer.number("echo"), "x".repeat(1024));
    let mut sent = 0;
    loop {
        let mut frame = BytesMut::new();
        write(call(sent, echo, &text), &mut frame);
        // To be cut off in a frame would spoil the rest.
        let mut written = 0;
        let stalled = loop {
            match timeout(Duration::from_millis(100), peer.socket.write(&frame[written..])).await {
                Err(_) => break true,
                Ok(bytes) => written += bytes.unwrap(),
            }
            if written == frame.len() {
                break false;
            }
        };
        if stalled {
            break;
        }
        sent += 1;
        assert!(sent < MOST, "{sent} calls were read, and not one answer");
    }
    still_serves(&system).await;
    // When it reads, it hears of every call that went out whole.
    for _ in 0..sent {
        peer.answer().await;
    }
    drop(peer);
    system.stop().await;
}

#[tokio::test]
async fn more_connections_than_there_may_be_are_refused_and_one_that_ends_makes_room() {
    let system = system().await;
    still_serves(&system).await;
    let greeting = async || {
        let mut socket = socket(&system).await;
        let greeted = greet(&mut socket, &us("test", "test"), Duration::from_secs(5)).await;
        greeted.map(|_| socket)
    };
    // One of the eight is the system's own.
    let mut greeted = Vec::new();
    for _ in 0..7 {
        greeted.push(greeting().await.unwrap());
    }
    for _ in 0..5 {
        assert!(greeting().await.is_err());
    }
    still_serves(&system).await;
    greeted.pop();
    let room = async {
        while greeting().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(room).await;
    system.stop().await;
}

/// Our own loops speak tarpc's messages: its client, over our transport, is answered as ours is.
#[tokio::test]
async fn tarpcs_own_client_is_answered() {
    let system = system().await;
    let Greeted { socket, input, interfaces } = Greeted::new(&system, "test").await;
    let all = interfaces.0.iter().flat_map(|interface| &interface.methods);
    let number = |wanted: &str| all.clone().position(|name| name == wanted).unwrap() as u32;
    let transport = Transport::new(socket, input, FRAME);
    let NewClient { client, dispatch } = tarpc::client::new(Config::default(), transport);
    let running = tokio::spawn(dispatch);
    let envelope = |method: &str, text: &str| {
        let Message::Call(_, envelope) = call(0, number(method), text) else { unreachable!() };
        envelope
    };
    let (short, long) = ("x".repeat(10), "x".repeat(40_000));
    for text in [short, long] {
        let answer = client.call(tarpc::context::current(), envelope("echo", &text)).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Answer);
        assert_eq!(codec::decode::<String>(&answer.payload, Bounds::default()).unwrap(), text);
    }
    // Who is dropped is cancelled, and what it held is free for others.
    for _ in 0..20 {
        let held = client.call(tarpc::context::current(), envelope("hold", "x"));
        timeout(Duration::from_millis(5), held).await.unwrap_err();
    }
    let answer = client.call(tarpc::context::current(), envelope("echo", "y")).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Answer);
    drop(client);
    soon(running).await.unwrap().unwrap();
}
