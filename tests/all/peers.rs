//! What a caller makes of the process that it calls, whatever that one does: it is played by hand, or
//! goes and comes back.

use crate::support::{Obedient, Worker, WorkerClient, WorkerError, call_error, soon, within};
use bytes::BytesMut;
use futures_util::StreamExt;
use monolift::CallErrorKind;
use monolift_call::link::{Interface, Link};
use monolift_manifest::{Address, Connect, Retries};
use monolift_seam::{
    remote::{Remote, Whereabouts},
    serve::{Directory, Limits, Server},
    wire::{
        Answer, Bounds, Envelope, HelloError, Interfaces, Listener, Machine, Message, Outcome,
        Peer, Served, Socket, Tls, Transport, codec, receive,
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tarpc::server::{BaseChannel, Channel, serve as answer_with};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::Instant,
};

/// How long a client waits for a hello, before it tries again.
const HELLO: Duration = Duration::from_millis(100);
/// How long a process that is played waits for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// An address of this test's own.
pub(crate) fn unix() -> Address {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("peer-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Address::Unix(std::env::temp_dir().join(name))
}

/// A client of the worker at `address`, as any process would make one.
pub(crate) fn client(address: &Address) -> WorkerClient {
    client_with(address, us(), None)
}

/// The test's own process.
pub(crate) fn us() -> Peer {
    Peer::new("test", "test", Bounds::default())
}

/// The same, of a process that says that it is `us`.
pub(crate) fn client_with(address: &Address, us: Peer, tls: Option<Tls>) -> WorkerClient {
    client_to(address.clone().into(), us, tls)
}

/// The same, of workers that are found so.
pub(crate) fn client_to(connect: Connect, us: Peer, tls: Option<Tls>) -> WorkerClient {
    client_of::<dyn Worker>(connect, us, tls)
}

/// The same, of any interface.
pub(crate) fn client_of<I: Interface + ?Sized>(
    connect: Connect,
    us: Peer,
    tls: Option<Tls>,
) -> I::Client {
    let whereabouts = Whereabouts {
        process: "worker".to_owned(),
        connect,
        network: Arc::new(Machine),
        us,
        interfaces: vec![I::descriptor()],
        tls,
        bounds: Bounds::default(),
        hello: HELLO,
        in_flight: 16,
        memory: Arc::default(),
        retries: Retries::default(),
        thresholds: Default::default(),
    };
    let link = Link::unbound(Arc::default());
    link.bind_carrier(Arc::new(Remote::new(whereabouts, 1)));
    I::client(link)
}

/// A real worker at `address`.
pub(crate) async fn serve(address: &Address, worker: &Arc<Obedient>) -> (Server, Address) {
    serve_with(address, worker, None).await
}

pub(crate) async fn serve_with(
    address: &Address,
    worker: &Arc<Obedient>,
    tls: Option<Tls>,
) -> (Server, Address) {
    let worker: Arc<dyn Worker> = Arc::<Obedient>::clone(worker);
    serve_any(address, worker, Limits::default(), tls).await
}

/// A process that serves one interface.
pub(crate) async fn serve_any<I: Interface + ?Sized>(
    address: &Address,
    module: Arc<I>,
    limits: Limits,
    tls: Option<Tls>,
) -> (Server, Address) {
    let listener = Listener::bind(address).await.unwrap();
    let address = listener.address().unwrap();
    let link = Link::to(module);
    let directory = Directory::new(vec![Arc::new(link)], Box::new(|_, _, _| true));
    let us = Peer::new("test", "worker", Bounds::default());
    (Server::start(listener, us, directory, limits, Arc::default(), tls), address)
}

/// A worker that is played by hand: a connection of its caller's.
pub(crate) struct Played {
    pub(crate) socket: Socket,
    pub(crate) input: BytesMut,
}

impl Played {
    async fn accept(listener: &Listener) -> Self {
        Self::greeted(soon(listener.accept()).await.unwrap(), 1 << 20).await.unwrap()
    }

    /// Hears the hello on `socket`, and says that payloads of `limit` bytes are read.
    pub(crate) async fn greeted(mut socket: Socket, limit: usize) -> Result<Self, HelloError> {
        let served = Served::of(<dyn Worker>::descriptor());
        let us = Peer::new("test", "worker", Bounds { bytes: limit, ..Bounds::default() });
        let welcome = |_: &Peer| Ok(Interfaces(vec![served]));
        let (_, input) = receive(&mut socket, &us, PATIENCE, welcome).await?;
        Ok(Self { socket, input })
    }

    /// What the caller says next, but for whether anybody is there.
    async fn hear(&mut self) -> Message {
        loop {
            match Message::read(&mut self.input, 1 << 20).unwrap() {
                Ok(Message::Ping(_)) => {}
                Ok(message) => return message,
                Err(_) => assert_ne!(soon(self.socket.read_buf(&mut self.input)).await.unwrap(), 0),
            }
        }
    }

    /// The id of the call that the caller makes next.
    pub(crate) async fn called(&mut self) -> u64 {
        match self.hear().await {
            Message::Call(id, _) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn answer<T: serde::Serialize>(
        &mut self,
        id: u64,
        outcome: Outcome,
        answer: &T,
    ) {
        let mut payload = Vec::new();
        codec::encode(answer, Bounds::default(), &mut payload).unwrap();
        let mut frame = BytesMut::new();
        let answer = Message::Answer(id, Answer { outcome, payload: payload.into() });
        let long = answer.write(&mut frame);
        frame.extend(long.into_iter().flatten());
        self.socket.write_all(&frame).await.unwrap();
    }
}

fn echo(client: &WorkerClient) -> JoinHandle<Result<String, WorkerError>> {
    let client = client.clone();
    tokio::spawn(async move { client.echo("x".into()).await })
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let client = client(&unix());
    for _ in 0..20 {
        let start = Instant::now();
        let error = call_error(client.echo("x".into()).await);
        assert_eq!((error.kind(), error.call()), (CallErrorKind::Unreachable, "worker.echo"));
        assert!(error.message().contains("the process `worker` cannot be reached at unix:"));
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_listener_that_never_greets_is_not_waited_for() {
    let address = unix();
    let _listener = Listener::bind(&address).await.unwrap();
    let error = call_error(soon(client(&address).echo("x".into())).await);
    assert_eq!(error.kind(), CallErrorKind::Unreachable);
    assert!(error.message().contains("no hello within 100ms"), "{error}");
}

#[tokio::test]
async fn a_process_of_another_application_says_so() {
    let address = unix();
    let listener = Listener::bind(&address).await.unwrap();
    let refusing = tokio::spawn(async move {
        let mut socket = listener.accept().await.unwrap();
        let us = Peer::new("bank", "worker", Bounds::default());
        receive(&mut socket, &us, PATIENCE, |_| Ok(Interfaces::default())).await.unwrap_err()
    });
    let error = call_error(client(&address).echo("x".into()).await);
    assert_eq!(error.kind(), CallErrorKind::Unreachable);
    assert!(error.message().contains("it is part of `test`, not of `bank`"), "{error}");
    soon(refusing).await.unwrap();
}

#[tokio::test]
async fn who_greets_and_never_answers_is_told_when_the_time_is_over() {
    let address = unix();
    let listener = Listener::bind(&address).await.unwrap();
    let client = client(&address);
    let call = tokio::spawn({
        let client = client.clone();
        within(Duration::from_secs(1)).scope(async move { client.echo("x".into()).await })
    });
    let mut played = Played::accept(&listener).await;
    let id = played.called().await;
    let error = call_error(soon(call).await.unwrap());
    assert_eq!((error.kind(), error.call()), (CallErrorKind::DeadlineExceeded, "worker.echo"));
    assert!(matches!(played.hear().await, Message::Cancel(cancelled) if cancelled == id));
    // An answer that comes too late is passed over.
    played.answer(id, Outcome::Answer, &"late").await;
    let call = echo(&client);
    let id = played.called().await;
    played.answer(id, Outcome::Answer, &"in time").await;
    assert_eq!(soon(call).await.unwrap().unwrap(), "in time");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_the_error_of_its_call() {
    let address = unix();
    let listener = Listener::bind(&address).await.unwrap();
    let client = client(&address);
    let beside = echo(&client);
    let mut played = Played::accept(&listener).await;
    let first = played.called().await;
    for outcome in [Outcome::Answer, Outcome::Error, Outcome::CallError] {
        let call = echo(&client);
        let id = played.called().await;
        // Of a call that nobody made, and not what was asked for.
        played.answer(id + 1_000, Outcome::Answer, &"for nobody").await;
        played.answer(id, outcome, &[1, 2, 3]).await;
        let error = call_error(soon(call).await.unwrap());
        assert_eq!((error.kind(), error.call()), (CallErrorKind::BadAnswer, "worker.echo"));
    }
    played.answer(first, Outcome::Answer, &"well").await;
    assert_eq!(soon(beside).await.unwrap().unwrap(), "well");
}

/// The outcome is unknown, so nobody tries again: the module may have done its work.
#[tokio::test]
async fn a_connection_that_ends_interrupts_its_calls_which_are_not_sent_again() {
    let broken_frames = [0_u32.to_le_bytes(), u32::MAX.to_le_bytes()];
    for ending in [None, Some(broken_frames[0]), Some(broken_frames[1])] {
        let address = unix();
        let listener = Listener::bind(&address).await.unwrap();
        let client = client(&address);
        let calls = [1, 2, 3].map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.echo_after("x".into(), 1).await })
        });
        let mut played = Played::accept(&listener).await;
        for _ in &calls {
            played.called().await;
        }
        if let Some(frame) = ending {
            played.socket.write_all(&frame).await.unwrap();
        } else {
            drop(played);
        }
        for call in calls {
            let error = call_error(soon(call).await.unwrap());
            assert_eq!(error.kind(), CallErrorKind::Interrupted, "{error}");
            assert_eq!(error.call(), "worker.echo_after");
            assert!(error.message().contains("whether it was done is unknown"), "{error}");
        }
        // The next connection brings a new call, and none of the old ones.
        let retry = async {
            while client.echo("again".into()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let again = async {
            let mut played = Played::accept(&listener).await;
            let Message::Call(id, envelope) = played.hear().await else { panic!("no call") };
            let echo = <dyn Worker>::descriptor().methods[envelope.method as usize].name();
            assert_eq!(echo, "echo");
            played.answer(id, Outcome::Answer, &"well").await;
            played
        };
        soon(async { tokio::join!(retry, again) }).await;
    }
}

#[tokio::test]
async fn a_process_that_goes_and_comes_back_is_found_again() {
    for address in [unix(), Address::Tcp("127.0.0.1:0".to_owned())] {
        let worker = Arc::new(Obedient::default());
        let (server, address) = serve(&address, &worker).await;
        let client = client(&address);
        assert_eq!(client.echo("one".into()).await.unwrap(), "one");
        let under_way = client.clone();
        let under_way = tokio::spawn(async move { under_way.for_ever().await });
        worker.work.running(1).await;
        drop(server);
        worker.work.running(0).await;
        let error = call_error(soon(under_way).await.unwrap());
        assert_eq!(error.kind(), CallErrorKind::Interrupted, "{error}");

        let (server, _) = serve(&address, &worker).await;
        let found = async {
            while client.echo("two".into()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        soon(found).await;
        server.drain(Instant::now() + Duration::from_secs(5)).await;
    }
}

/// Our own loops speak tarpc's messages: its server, over our transport, is called as ours is.
#[tokio::test]
async fn tarpcs_own_server_is_called() {
    let address = unix();
    let listener = Listener::bind(&address).await.unwrap();
    let serving = tokio::spawn(async move {
        let Played { socket, input } = Played::accept(&listener).await;
        let channel = BaseChannel::with_defaults(Transport::new(socket, input, 1 << 20));
        let echo = |_, envelope: Envelope| async move {
            let arguments: BTreeMap<String, String> =
                codec::decode(&envelope.payload, Bounds::default()).unwrap();
            let mut payload = Vec::new();
            codec::encode(&arguments["text"], Bounds::default(), &mut payload).unwrap();
            Ok(Answer { outcome: Outcome::Answer, payload: payload.into() })
        };
        channel.execute(answer_with(echo)).for_each(|call| call).await;
    });
    let client = client(&address);
    for text in ["x".to_owned(), "x".repeat(100_000)] {
        assert_eq!(client.echo(text.clone()).await.unwrap(), text);
    }
    let calls = (0..16).map(|_| echo(&client));
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(soon(call).await.unwrap().unwrap(), "x");
    }
    serving.abort();
}
