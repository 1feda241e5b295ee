//! What an operator finds in the log when something is wrong: one line for each failed request, and one for each change
//! of a replica.

use crate::{
    peers::{client_to, serve_any, unix, us},
    support::{Obedient, Worker, soon},
};
use monolift::{
    CallError, CallErrorKind, InterfaceError, async_trait,
    testing::{Mode, RunningSystem, System},
};
use monolift_gateway::{HttpLimits, HttpServer};
use monolift_manifest::{Address, Connect};
use monolift_seam::serve::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// What is logged on this thread, from `info` up.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(crate) fn start() -> Self {
        struct Page(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Page {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let page = Arc::clone(&text);
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || Page(Arc::clone(&page)))
            .finish();
        Self { text, _subscriber: tracing::subscriber::set_default(log) }
    }

    /// The lines that hold `what`.
    pub(crate) fn lines(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }

    /// The only line that holds `what`, once there is one.
    pub(crate) async fn line(&self, what: &str) -> String {
        soon(async {
            while self.lines(what).is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let lines = self.lines(what);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.into_iter().next().unwrap()
    }
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum DoorError {
    #[error("the door is stuck")]
    #[status(503)]
    Stuck,
    #[error("no such door")]
    #[status(404)]
    Missing,
    #[error(transparent)]
    Call(CallError),
}

/// A module that calls another one for each request.
#[monolift::interface(module = "door")]
pub trait Door {
    #[http(GET, "/doors/{name}")]
    #[idempotent]
    async fn open(&self, name: String) -> Result<String, DoorError>;
}

/// A module that fails as it is told.
#[monolift::interface(module = "hinge")]
pub trait Hinge {
    #[idempotent]
    #[deadline("50ms")]
    async fn turn(&self, name: String) -> Result<String, DoorError>;
}

struct Wooden(HingeClient);

#[async_trait]
impl Door for Wooden {
    async fn open(&self, name: String) -> Result<String, DoorError> {
        match &*name {
            "stuck" => Err(DoorError::Stuck),
            "missing" => Err(DoorError::Missing),
            _ => self.0.turn(name).await,
        }
    }
}

struct Rusty;

#[async_trait]
impl Hinge for Rusty {
    async fn turn(&self, name: String) -> Result<String, DoorError> {
        match &*name {
            "slow" => std::future::pending().await,
            "broken" => Err(io::Error::other("the password is hunter2"))?,
            "full" => Err(CallError::new(CallErrorKind::Overloaded, "come back on Monday"))?,
            "lost" => Err(CallError::new(CallErrorKind::Interrupted, "lost at 10.0.0.7:7104"))?,
            _ => Ok(name),
        }
    }
}

/// The head of the answer to a GET, in lower case, and its id.
async fn get(system: &RunningSystem, path: &str) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _http = HttpServer::start(listener, system.own().routes().unwrap(), HttpLimits::default());
    let mut socket = TcpStream::connect(address).await.unwrap();
    let asked = format!("GET {path} HTTP/1.1\r\nhost: door\r\nconnection: close\r\n\r\n");
    socket.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    let head = answer.split("\r\n\r\n").next().unwrap().to_owned();
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    (head.clone(), id.unwrap_or_default().to_owned())
}

async fn system(mode: Mode, access_log: bool) -> RunningSystem {
    System::new(mode)
        .fake::<dyn Hinge>(Arc::new(Rusty))
        .fake_with::<dyn Door>(|app| Arc::new(Wooden(app.client())))
        .manifest(move |manifest| manifest.http.access_log = access_log)
        .start()
        .await
}

#[tokio::test]
async fn each_failed_request_is_one_line_at_the_gateway() {
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let system = system(mode, false).await;
        for (name, status, call, code) in [
            ("slow", 504, "door.open", "deadline-exceeded"),
            ("broken", 500, "hinge.turn", "internal"),
            ("full", 503, "hinge.turn", "overloaded"),
            ("lost", 502, "hinge.turn", "interrupted"),
            ("stuck", 503, "door.open", "stuck"),
        ] {
            let log = Log::start();
            let (head, id) = get(&system, &format!("/doors/{name}")).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
            let line = log.line("a request failed").await;
            // Which of the calls of a chain notices a deadline first is chance.
            let call = if name == "slow" { "." } else { call };
            for part in [
                "route=GET /doors/{name}".to_owned(),
                format!("status={status}"),
                call.to_owned(),
                format!("code=\"{code}\""),
                "took=".to_owned(),
                format!("request_id={id}"),
            ] {
                assert!(line.contains(&part), "{mode:?} {name}: no `{part}` in {line}");
            }
            assert!(
                !line.contains(&format!("/doors/{name}")) && !line.contains("hunter2"),
                "{line}"
            );
            if code == "internal" {
                let cause = log.line("internal error: the password").await;
                let (_, reference) = cause.split_once("reference=").unwrap();
                assert!(line.contains(&reference[..16]), "{line}");
                assert!(cause.contains(&id), "{cause}");
            }
        }
        let log = Log::start();
        get(&system, "/doors/missing").await;
        get(&system, "/doors/fine").await;
        assert_eq!(log.lines("request"), [""; 0]);
        system.stop().await;
    }
}

#[tokio::test]
async fn an_access_log_has_a_line_for_each_request() {
    let system = system(Mode::InProcess, true).await;
    let log = Log::start();
    let (_, id) = get(&system, "/doors/fine?secret=hunter2").await;
    let line = log.line("a request").await;
    assert!(line.contains("route=GET /doors/{name} status=200 took="), "{line}");
    assert!(line.contains(&id) && !line.contains("hunter2"), "{line}");
    get(&system, "/nowhere").await;
    assert!(log.line("(no route)").await.contains("status=404"));
    system.stop().await;
}

#[tokio::test]
async fn callers_say_once_that_a_replica_is_down_and_that_it_is_up_again() {
    let (first, second) = (unix(), unix());
    let start = async |address: Address| {
        let worker: Arc<dyn Worker> = Arc::<Obedient>::default();
        serve_any(&address, worker, Limits::default(), None).await.0
    };
    let _staying = start(first.clone()).await;
    let going = start(second.clone()).await;
    let log = Log::start();
    let client = client_to(Connect::Addresses(vec![first, second.clone()]), us(), None);
    for _ in 0..50 {
        client.echo("x".into()).await.unwrap();
    }
    assert_eq!(log.lines("a replica is"), [""; 0]);
    drop(going);
    let down = log.line("a replica is down").await;
    assert!(down.contains(&second.to_string()) && down.contains("process=\"worker\""), "{down}");
    // Several attempts fail meanwhile, which is no change.
    sleep(Duration::from_millis(500)).await;
    log.line("a replica is down").await;
    let _back = start(second.clone()).await;
    let up = log.line("a replica is up again").await;
    assert!(up.contains(&second.to_string()), "{up}");
    log.line("a replica is down").await;
}

/// Processes start one after another, so some are missing at first.
#[tokio::test(start_paused = true)]
async fn a_replica_that_was_never_there_is_told_once_and_not_while_it_may_be_starting() {
    let address = unix();
    let client = client_to(address.clone().into(), us(), None);
    let log = Log::start();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        client.echo("x".into()).await.unwrap_err();
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(log.lines("replica"), [""; 0]);
    let told = log.line("a replica is not reached").await;
    assert!(told.contains("WARN") && told.contains(&address.to_string()), "{told}");
    assert!(told.contains("process=\"worker\" ") && told.contains("why="), "{told}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(log.lines("replica").len(), 1);

    tokio::time::resume();
    let worker: Arc<dyn Worker> = Arc::<Obedient>::default();
    let _server = serve_any(&address, worker, Limits::default(), None).await;
    let reached = log.line("a replica is reached").await;
    assert!(reached.contains("INFO") && reached.contains(&address.to_string()), "{reached}");
    assert_eq!(log.lines("replica").len(), 2);
}

#[tokio::test]
async fn callers_say_that_a_replica_is_ejected_tried_and_taken_back() {
    let mut all = Vec::new();
    for _ in 0..2 {
        let (address, worker) = (unix(), Arc::<Obedient>::default());
        let fails: Arc<dyn Worker> = Arc::<Obedient>::clone(&worker);
        let server = serve_any(&address, fails, Limits::default(), None).await.0;
        all.push((address, worker, server));
    }
    let addresses = all.iter().map(|(address, ..)| address.clone()).collect();
    let client = client_to(Connect::Addresses(addresses), us(), None);
    let log = Log::start();
    client.echo("x".into()).await.unwrap();
    // One replica panics, whichever it is: calls that fail are not made again elsewhere.
    soon(async {
        while log.lines("is ejected").is_empty() {
            let _ = client.panic("again".into(), false).await;
        }
    })
    .await;
    soon(async {
        while log.lines("answers again").is_empty() {
            client.echo("x".into()).await.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(log.lines("is ejected").len(), 1);
    assert_eq!(log.lines("is half-open").len(), 1);
    assert_eq!(log.lines("answers again").len(), 1);
}
