//! Whole conversations with a peer that says anything, in any order: frames that are valid and make no
//! sense, damaged frames, halves of frames. Nothing panics, every call ends by its deadline, and a peer that
//! comes to its senses is served, or called, as if nothing had been.

use crate::{
    peers::{Played, us},
    support::{Obedient, Worker, WorkerClient, WorkerError, seeds, soon, within},
};
use bytes::BytesMut;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use monolift::CallErrorKind;
use monolift_call::link::{Interface, Link};
use monolift_manifest::{Address, Connect, Retries};
use monolift_seam::{
    remote::{Remote, Whereabouts},
    serve::{Directory, Limits, Server},
    wire::{
        Accept, Answer, Bounds, Envelope, Listener, Machine, Message, Network, Outcome, Peer,
        Socket, Tls, codec, greet,
    },
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde::Serialize;
use std::{
    cell::Cell,
    collections::{BTreeMap, HashSet, VecDeque},
    io,
    panic::{set_hook, take_hook},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// What the peers of these tests read and send.
const LIMIT: usize = 1 << 20;
/// The deadline of each call.
const DEADLINE: Duration = Duration::from_secs(2);

/// What a peer says next.
#[derive(Debug, Clone)]
enum Step {
    /// An answer to one of the calls that it has heard, or to any id.
    Answer(Id, u8, Body),
    /// A frame that is about the connection.
    Leaving,
    Ping(u64),
    Pong(u64),
    Cancel(Id),
    Call(Id, u32, Body),
    /// Bytes that are no frame.
    Garbage(Vec<u8>),
    /// The beginning of an answer, and then what follows.
    Half(Id, usize),
    Wait(u64),
    Close,
}

#[derive(Debug, Clone, Copy)]
enum Id {
    Known(usize),
    Any(u64),
}

#[derive(Debug, Clone)]
enum Body {
    Text(String),
    Bytes(Vec<u8>),
    /// A call error, with advice when to try again.
    Error(&'static str, Option<Advice>),
}

/// What a peer may send for a [`monolift::CallError`].
#[derive(Serialize)]
struct ErrorSent {
    kind: &'static str,
    call: &'static str,
    message: String,
    retry: Option<Advice>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Advice {
    Never,
    After(Duration),
}

impl Body {
    fn bytes(&self) -> Vec<u8> {
        let encoded = |value: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            value(&mut out);
            out
        };
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Text(text) => encoded(&|out| {
                codec::encode(&BTreeMap::from([("text", text)]), Bounds::default(), out).unwrap();
            }),
            &Self::Error(kind, retry) => encoded(&|out| {
                let (call, message) = ("worker.echo", "no".to_owned());
                let error = ErrorSent { kind, call, message, retry };
                codec::encode(&error, Bounds::default(), out).unwrap();
            }),
        }
    }
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![8 => (0..8_usize).prop_map(Id::Known), 1 => any::<u64>().prop_map(Id::Any)]
}

fn body() -> impl Strategy<Value = Body> {
    let after = prop_oneof![
        Just(Duration::MAX),
        Just(Duration::from_secs(u64::MAX / 2)),
        (0..10_000_u64).prop_map(Duration::from_millis),
    ];
    let advice = prop_oneof![Just(Advice::Never), after.prop_map(Advice::After)];
    let kinds = ["internal", "overloaded", "not_running", "deadline_exceeded", "of_a_newer_peer"];
    let kinds = select(kinds.to_vec());
    prop_oneof![
        "[a-z]{0,8}".prop_map(Body::Text),
        vec(any::<u8>(), 0..40).prop_map(Body::Bytes),
        (kinds, proptest::option::of(advice)).prop_map(|(kind, advice)| Body::Error(kind, advice)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (id(), 0..4_u8, body()).prop_map(|(id, outcome, body)| Step::Answer(id, outcome, body)),
        6 => (id(), 0..20_u32, body()).prop_map(|(id, method, body)| Step::Call(id, method, body)),
        2 => id().prop_map(Step::Cancel),
        1 => Just(Step::Leaving),
        2 => any::<u64>().prop_map(Step::Ping),
        1 => any::<u64>().prop_map(Step::Pong),
        1 => vec(any::<u8>(), 1..40).prop_map(Step::Garbage),
        1 => (id(), 0..20_usize).prop_map(|(id, length)| Step::Half(id, length)),
        2 => (0..400_u64).prop_map(Step::Wait),
        1 => Just(Step::Close),
    ]
}

/// What a step is in bytes, to a peer that has heard of these calls.
fn frame_of(step: &Step, known: &[u64]) -> BytesMut {
    let id = |id: &Id| match *id {
        Id::Known(number) if !known.is_empty() => known[number % known.len()],
        Id::Known(number) => number as u64,
        Id::Any(id) => id,
    };
    let frame = |message: Message| {
        let mut frame = BytesMut::new();
        let long = message.write(&mut frame);
        frame.extend(long.into_iter().flatten());
        frame
    };
    let outcomes = [Outcome::Answer, Outcome::Error, Outcome::CallError, Outcome::Refused];
    match step {
        Step::Answer(to, outcome, body) => {
            let (outcome, payload) = (outcomes[usize::from(*outcome)], body.bytes().into());
            frame(Message::Answer(id(to), Answer { outcome, payload }))
        }
        Step::Call(own, method, body) => {
            let (payload, context) = (body.bytes().into(), within(Duration::from_secs(60)));
            let call = Envelope { method: *method, context, payload, timed: false };
            frame(Message::Call(id(own), call))
        }
        Step::Half(to, length) => {
            let whole = frame_of(&Step::Answer(*to, 0, Body::Text("half".into())), known);
            BytesMut::from(&whole[..whole.len().min(*length)])
        }
        Step::Leaving => frame(Message::Leaving),
        Step::Ping(id) => frame(Message::Ping(*id)),
        Step::Pong(id) => frame(Message::Pong(*id)),
        Step::Cancel(of) => frame(Message::Cancel(id(of))),
        Step::Garbage(bytes) => BytesMut::from(&bytes[..]),
        Step::Wait(_) | Step::Close => BytesMut::new(),
    }
}

/// A peer that says what the script has, over as many connections as that takes. Then it answers nothing;
/// or everything, once it has come to its senses.
#[derive(Debug, Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    /// The limits of payloads that its hellos state; `None` for a hello that is none.
    hellos: Mutex<VecDeque<Option<usize>>>,
    sensible: AtomicBool,
}

/// Each connection is one to the peer.
#[derive(Debug)]
struct ToPeer(Arc<Script>);

impl Network for ToPeer {
    fn connect<'a>(
        &'a self,
        _: &'a Address,
        _: Option<&'a Tls>,
        _: &'a str,
    ) -> BoxFuture<'a, io::Result<Socket>> {
        let (ours, theirs) = duplex(4096);
        tokio::spawn(play(theirs, Arc::clone(&self.0)));
        Box::pin(async move { Ok(Socket::Other(Box::new(ours))) })
    }

    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

async fn play(mut socket: DuplexStream, script: Arc<Script>) {
    let hello = script.hellos.lock().unwrap().pop_front().unwrap_or(Some(LIMIT));
    let Some(limit) = hello else {
        let _ = socket.write_all(b"\x10\0\0\0 not a hello at all").await;
        return;
    };
    let socket = Socket::Other(Box::new(socket));
    let Ok(Played { mut socket, mut input }) = Played::greeted(socket, limit).await else { return };
    let (mut known, mut unanswered) = (Vec::new(), Vec::new());
    let mut damaged = false;
    loop {
        while let Ok(Ok(message)) = Message::read(&mut input, LIMIT) {
            if let Message::Call(id, call) = message {
                known.push(id);
                unanswered.push((id, call));
            }
        }
        let step = script.steps.lock().unwrap().pop_front();
        match step {
            Some(Step::Close) => return,
            Some(Step::Wait(millis)) => sleep(Duration::from_millis(millis)).await,
            Some(step) => {
                damaged |= matches!(step, Step::Garbage(_) | Step::Half(..));
                if socket.write_all(&frame_of(&step, &known)).await.is_err() {
                    return;
                }
            }
            // What it says from here on would be read as the rest of another frame.
            None if damaged && script.sensible.load(Relaxed) => return,
            None if script.sensible.load(Relaxed) => {
                for (id, call) in unanswered.drain(..) {
                    let arguments = codec::decode::<BTreeMap<String, serde_json::Value>>(
                        &call.payload,
                        Bounds::default(),
                    );
                    let text = arguments.unwrap()["text"].as_str().unwrap().to_owned();
                    let mut payload = Vec::new();
                    codec::encode(&text, Bounds::default(), &mut payload).unwrap();
                    let answer = Answer { outcome: Outcome::Answer, payload: payload.into() };
                    let mut frame = BytesMut::new();
                    assert!(Message::Answer(id, answer).write(&mut frame).is_none());
                    if socket.write_all(&frame).await.is_err() {
                        return;
                    }
                }
            }
            None => {}
        }
        let read = timeout(Duration::from_millis(10), socket.read_buf(&mut input)).await;
        if let Ok(Ok(0) | Err(_)) = read {
            return;
        }
    }
}

fn client_over(network: Arc<dyn Network>, connect: &str, in_flight: usize) -> WorkerClient {
    let whereabouts = Whereabouts {
        process: "worker".to_owned(),
        connect: connect.parse::<Connect>().unwrap(),
        network,
        us: us(),
        interfaces: vec![<dyn Worker>::descriptor()],
        tls: None,
        bounds: Bounds { bytes: LIMIT, ..Bounds::default() },
        hello: Duration::from_millis(100),
        in_flight,
        memory: Arc::default(),
        retries: Retries::default(),
        thresholds: Default::default(),
    };
    let link = Link::unbound(Arc::default());
    link.bind_carrier(Arc::new(Remote::new(whereabouts, 1)));
    <dyn Worker>::client(link)
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Runs on a clock that stands still while there is something to do; fails when anything on it panics, in
/// whichever task.
fn run<F: Future>(what: F) -> F::Output {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            // A module may panic, and this one does when it is told to.
            if info.location().is_none_or(|at| !at.file().ends_with("support.rs")) {
                PANICS.set(PANICS.get() + 1);
            }
            before(info);
        }));
    });
    let before = PANICS.get();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let output = runtime.block_on(what);
    drop(runtime);
    assert_eq!(PANICS.get(), before, "a task has panicked");
    output
}

async fn call_a_peer(steps: Vec<Step>, hellos: Vec<Option<usize>>, replicas: &str, places: usize) {
    let script = Arc::new(Script {
        steps: Mutex::new(steps.into()),
        hellos: Mutex::new(hellos.into()),
        sensible: AtomicBool::new(false),
    });
    let client = client_over(Arc::new(ToPeer(Arc::clone(&script))), replicas, places);
    let began = Instant::now();
    let mut calls = FuturesUnordered::new();
    for number in 0..8_u64 {
        let client = client.clone();
        calls.push(within(DEADLINE).scope(async move {
            sleep(Duration::from_millis(number * 50)).await;
            match number % 4 {
                0 | 1 => client.echo("idempotent".into()).await.map(drop),
                2 => client.echo_after("not".into(), 0).await.map(drop),
                // Its caller goes away.
                _ => {
                    let echo = client.echo("given up".into());
                    timeout(Duration::from_millis(number * 30), echo)
                        .await
                        .map_or(Ok(()), |_| Ok(()))
                }
            }
        }));
    }
    while let Some(ended) = calls.next().await {
        if let Err(error) = ended {
            let error: WorkerError = error;
            drop(error.to_string());
        }
    }
    assert!(began.elapsed() <= DEADLINE + Duration::from_millis(400), "{:?}", began.elapsed());
    script.sensible.store(true, Relaxed);
    script.steps.lock().unwrap().clear();
    script.hellos.lock().unwrap().clear();
    // Its breaker may be open, its connection may have to be made again, and it may have asked for rest.
    let answered = async {
        while client.echo("sensible".into()).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), answered).await.expect("a sensible peer is called");
}

#[derive(Debug)]
struct Door(tokio::sync::Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl Accept for Door {
    fn accept(&self) -> BoxFuture<'_, io::Result<Socket>> {
        Box::pin(async {
            match self.0.lock().await.recv().await {
                Some(socket) => Ok(Socket::Other(Box::new(socket))),
                None => std::future::pending().await,
            }
        })
    }

    fn address(&self) -> io::Result<Address> {
        Ok(Address::Tcp("worker:1".to_owned()))
    }
}

/// A real server, and what makes a connection to it.
fn server(limits: Limits) -> (Server, mpsc::UnboundedSender<DuplexStream>) {
    let (connecting, connections) = mpsc::unbounded_channel();
    let worker: Arc<dyn Worker> = Arc::new(Obedient::default());
    let link = Link::<dyn Worker>::to(worker);
    let server = Server::start(
        Listener::Other(Box::new(Door(tokio::sync::Mutex::new(connections)))),
        Peer::new("test", "worker", Bounds { bytes: LIMIT, ..Bounds::default() }),
        Directory::new(vec![Arc::new(link)], Box::new(|_, _, _| true)),
        limits,
        Arc::default(),
        None,
    );
    (server, connecting)
}

/// A connection to the server, what was read beyond its hello, and the number of `echo`.
async fn connect(to: &mpsc::UnboundedSender<DuplexStream>) -> (Socket, BytesMut, u32) {
    let (ours, theirs) = duplex(4096);
    to.send(theirs).unwrap();
    let mut socket = Socket::Other(Box::new(ours));
    let (_, interfaces, input) = greet(&mut socket, &us(), DEADLINE).await.unwrap();
    let mut methods = interfaces.0[0].methods.iter();
    let echo = methods.position(|name| name == "echo").unwrap() as u32;
    (socket, input, echo)
}

/// Says `steps` to a real server, over as many connections as that takes, and reads what it says. On a
/// connection that is not broken, each call is answered that is not taken back.
async fn call_a_server(steps: Vec<Step>) {
    let limits = Limits { in_flight: 4, running: 6, waiting: 2, ..Limits::default() };
    let (server, connecting) = server(limits);
    let connect = || connect(&connecting);
    let mut connection = connect().await;
    for step in &steps {
        let (socket, input, _) = &mut connection;
        match step {
            Step::Close => {
                connection = connect().await;
                continue;
            }
            Step::Wait(millis) => sleep(Duration::from_millis(*millis)).await,
            step => {
                // Reading meanwhile, or neither side would go on.
                let frame = frame_of(step, &[1, 2, 3]);
                if timeout(DEADLINE, socket.write_all(&frame)).await.is_ok_and(|it| it.is_err()) {
                    connection = connect().await;
                    continue;
                }
            }
        }
        let mut broken = false;
        while let Ok(read) = timeout(Duration::from_millis(1), socket.read_buf(input)).await {
            if !matches!(read, Ok(1..)) {
                broken = true;
                break;
            }
            while let Ok(message) = Message::read(input, LIMIT).expect("it says frames") {
                drop(message);
            }
        }
        if broken {
            connection = connect().await;
        }
    }
    // Who is sensible is served, also while the others' calls go on.
    let (mut socket, mut input, echo) = connect().await;
    let ids: HashSet<u64> = (100..110).collect();
    for id in &ids {
        let call = Step::Call(Id::Any(*id), echo, Body::Text("well".into()));
        socket.write_all(&frame_of(&call, &[])).await.unwrap();
    }
    let mut left = ids;
    while !left.is_empty() {
        match Message::read(&mut input, LIMIT).unwrap() {
            Ok(Message::Answer(id, answer)) => {
                assert!(left.remove(&id), "{id} is answered twice");
                assert!(matches!(answer.outcome, Outcome::Answer | Outcome::Refused));
            }
            Ok(Message::Ping(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(_) => assert_ne!(socket.read_buf(&mut input).await.unwrap(), 0),
        }
    }
    drop((socket, connection));
    server.drain(Instant::now() + DEADLINE).await;
}

fn conversations() -> u32 {
    u32::try_from(seeds(40)).unwrap_or(u32::MAX)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(conversations()))]

    #[test]
    fn a_peer_may_say_anything_and_every_call_ends(
        steps in vec(step(), 0..40),
        hellos in vec(select(vec![Some(LIMIT), Some(LIMIT), Some(0), Some(usize::MAX), None]), 0..4),
        replicas in select(vec!["10.0.0.1:1", "10.0.0.1:1, 10.0.0.2:1"]),
        places in 1..4_usize,
    ) {
        run(call_a_peer(steps, hellos, replicas, places));
    }

    #[test]
    fn a_caller_may_say_anything_and_others_are_served(steps in vec(step(), 0..60)) {
        run(call_a_server(steps));
    }
}

/// The calls before a broken frame were whole, and they have been done: their callers hear so.
#[test]
fn calls_before_a_broken_frame_are_answered() {
    run(async {
        let (server, connecting) = server(Limits::default());
        let (mut socket, mut input, echo) = connect(&connecting).await;
        let mut said = BytesMut::new();
        for id in 1..=3 {
            let call = Step::Call(Id::Any(id), echo, Body::Text("well".into()));
            said.extend_from_slice(&frame_of(&call, &[]));
        }
        said.extend_from_slice(&u32::MAX.to_le_bytes());
        socket.write_all(&said).await.unwrap();
        while socket.read_buf(&mut input).await.unwrap() != 0 {}
        let mut answered = Vec::new();
        while let Ok(Message::Answer(id, answer)) = Message::read(&mut input, LIMIT).unwrap() {
            assert_eq!(answer.outcome, Outcome::Answer);
            answered.push(id);
        }
        assert_eq!(answered, [1, 2, 3]);
        server.drain(Instant::now() + DEADLINE).await;
    });
}

/// It may come from a bug as well: a peer's word for "never" is not to stop its caller.
#[test]
fn advice_to_wait_for_ever_is_no_more_than_advice() {
    for after in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)] {
        for replicas in ["10.0.0.1:1", "10.0.0.1:1, 10.0.0.2:1"] {
            let error = Body::Error("overloaded", Some(Advice::After(after)));
            let steps = (0..32).map(|number| Step::Answer(Id::Known(number), 3, error.clone()));
            run(call_a_peer(steps.collect(), Vec::new(), replicas, 8));
        }
    }
}

/// The answer is there, and so is the reset: both are read at once.
#[tokio::test]
async fn an_answer_is_heard_though_the_connection_is_reset_behind_it() {
    for _ in 0..20 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let client = client_over(Arc::new(Machine), &address, 8);
        let call = tokio::spawn(async move { client.echo_after("x".into(), 0).await });
        let socket = soon(listener.accept()).await.unwrap().0;
        let mut played = Played::greeted(Socket::Tcp(socket), LIMIT).await.unwrap();
        let id = played.called().await;
        played.answer(id, Outcome::Answer, &"well").await;
        let Socket::Tcp(socket) = played.socket else { panic!("it was one") };
        socket.set_zero_linger().unwrap();
        drop(socket);
        match soon(call).await.unwrap() {
            Ok(answer) => assert_eq!(answer, "well"),
            Err(WorkerError::Call(error)) if error.kind() == CallErrorKind::Interrupted => {
                panic!("the answer was thrown away: {error}")
            }
            Err(error) => panic!("{error}"),
        }
    }
}
