use super::*;
use axum::{body::Body, routing::get};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::net::TcpStream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, Semaphore},
    time::timeout,
};

/// What a test does not reach, so that what it sees has another cause.
const NEVER: Duration = Duration::from_secs(600);
const LIMITS: HttpLimits = HttpLimits {
    clients: 2,
    clients_per_address: 2,
    head_time: NEVER,
    stall: NEVER,
    ..HttpLimits::DEFAULT
};
const SHORT: Duration = Duration::from_millis(200);
/// For what should come at once.
const SOON: Duration = Duration::from_secs(5);

async fn start(router: Router, limits: HttpLimits) -> (HttpServer, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (HttpServer::start(listener, router, limits), address)
}

/// What the server says until it closes the connection.
async fn rest(socket: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = timeout(SOON, socket.read_to_end(&mut said)).await;
    // A connection that was refused may also be reset.
    let _ = read.expect("the server closes the connection");
    String::from_utf8(said).unwrap()
}

async fn answer(socket: &mut TcpStream, ends: &str) -> String {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(ends.as_bytes()) {
        let read = timeout(SOON, socket.read(&mut byte)).await.expect("the server answers");
        assert_eq!(read.unwrap(), 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    String::from_utf8(said).unwrap()
}

fn hello() -> Router {
    Router::new().route(
        "/",
        get(async |ConnectInfo(client): ConnectInfo<SocketAddr>| format!("hello {}", client.ip())),
    )
}

#[tokio::test]
async fn requests_follow_each_other_and_an_idle_connection_is_closed() {
    let (_server, address) = start(hello(), HttpLimits { head_time: SHORT, ..LIMITS }).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let said = answer(&mut socket, "hello 127.0.0.1").await;
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    }
    assert_eq!(rest(&mut socket).await, "");
}

#[tokio::test]
async fn slow_headers_are_cut() {
    let (_server, address) = start(hello(), HttpLimits { head_time: SHORT, ..LIMITS }).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let said = rest(&mut socket).await;
    assert!(!said.contains("200"), "{said}");
}

const ASKED: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Says hello, and answers `/hold` when it is told so, after `holding` requests are there.
fn held(holding: &Arc<Semaphore>, go: &watch::Sender<bool>) -> Router {
    let (holding, go) = (Arc::clone(holding), go.clone());
    hello().route(
        "/hold",
        axum::routing::post(async move |body: axum::body::Bytes| {
            holding.add_permits(1);
            let _ = go.subscribe().wait_for(|go| *go).await;
            format!("held {}", body.len())
        }),
    )
}

#[tokio::test]
async fn at_the_limit_of_idle_connections_every_honest_client_is_answered() {
    let limits = HttpLimits { clients: 40, clients_per_address: 30, ..LIMITS };
    let (_server, address) = start(hello(), limits).await;
    let mut all = Vec::new();
    for number in 0..200 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        match number % 3 {
            // One that says nothing, one that begins to, and one that waits after its answer.
            0 => {}
            1 => socket.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap(),
            _ => {
                socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
                answer(&mut socket, "hello 127.0.0.1").await;
            }
        }
        all.push(socket);
        let mut honest = TcpStream::connect(address).await.unwrap();
        honest.write_all(ASKED).await.unwrap();
        let said = rest(&mut honest).await;
        assert!(said.starts_with("HTTP/1.1 200"), "{number}: {said}");
    }
    // The oldest went, and the youngest are there.
    assert_eq!(rest(&mut all[0]).await, "");
    let youngest = all.last_mut().unwrap();
    youngest.write_all(b" x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(youngest).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn who_cannot_be_served_is_told_so_and_who_is_served_stays() {
    let (holding, go) = (Arc::new(Semaphore::new(0)), watch::Sender::new(false));
    let limits = HttpLimits { clients: 8, clients_per_address: 3, ..LIMITS };
    let (_server, address) = start(held(&holding, &go), limits).await;
    let mut busy = Vec::new();
    for _ in 0..limits.clients_per_address {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let asked =
            b"POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nab";
        socket.write_all(asked).await.unwrap();
        busy.push(socket);
    }
    let all = u32::try_from(busy.len()).unwrap();
    timeout(SOON, holding.acquire_many(all)).await.unwrap().unwrap().forget();
    for _ in 0..10 {
        let mut refused = TcpStream::connect(address).await.unwrap();
        refused.write_all(ASKED).await.unwrap();
        let said = rest(&mut refused).await;
        assert!(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{said}");
        assert!(said.contains("content-type: application/problem+json\r\n"), "{said}");
        assert!(said.contains("\r\nretry-after: 1\r\n"), "{said}");
        let body = said.split_once("\r\n\r\n").unwrap().1;
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&503.into(), &"too-many-clients".into())
        );
    }
    go.send_replace(true);
    for socket in &mut busy {
        assert!(rest(socket).await.ends_with("held 2"));
    }
    // The places are free again once the server has seen the others go.
    let again = async {
        loop {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(ASKED).await.unwrap();
            if rest(&mut socket).await.contains("hello") {
                return;
            }
        }
    };
    timeout(SOON, again).await.unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_come_makes_room_after_a_while() {
    let (holding, go) = (Arc::new(Semaphore::new(0)), watch::Sender::new(false));
    let limits = HttpLimits { clients: 1, clients_per_address: 1, ..LIMITS };
    let (_server, address) = start(held(&holding, &go), limits).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let asked = b"POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nab";
    slow.write_all(asked).await.unwrap();
    let served = async {
        loop {
            let mut honest = TcpStream::connect(address).await.unwrap();
            honest.write_all(ASKED).await.unwrap();
            let said = rest(&mut honest).await;
            if said.starts_with("HTTP/1.1 200") {
                return;
            }
            assert!(said.starts_with("HTTP/1.1 503"), "{said}");
            // A byte now and then does not make it fast.
            let _ = slow.write_all(b"c").await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, served).await.unwrap();
    assert_eq!(holding.available_permits(), 0);
}

#[tokio::test]
async fn a_request_says_once_which_host_it_is_for() {
    let (_server, address) = start(hello(), LIMITS).await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\nhost: x\r\n", 200),
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a b\r\n", 400),
        ("GET / HTTP/1.0\r\n", 200),
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let asked = format!("{head}connection: close\r\n\r\n");
        socket.write_all(asked.as_bytes()).await.unwrap();
        let said = rest(&mut socket).await;
        assert!(said[9..].starts_with(&status.to_string()), "{head}: {said}");
        assert_eq!(said.contains("application/problem+json"), status == 400, "{said}");
    }
}

#[tokio::test]
async fn a_drain_ends_idle_connections_and_lets_requests_finish() {
    let (go, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = hello().route("/slow", {
        let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
        get(async move || {
            begun.notify_one();
            go.notified().await;
            "slow"
        })
    });
    let (server, address) = start(router, LIMITS).await;
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut idle, "hello 127.0.0.1").await;
    let draining = tokio::spawn(server.drain(Instant::now() + SOON));
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert!(!draining.is_finished());
    go.notify_one();
    assert!(rest(&mut busy).await.ends_with("slow"));
    timeout(SOON, draining).await.unwrap().unwrap();
}

/// Says so when it is dropped.
struct Work(Arc<AtomicBool>, Arc<Notify>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.notify_one();
    }
}

#[tokio::test]
async fn work_stops_when_its_client_hangs_up_and_when_a_drain_is_over() {
    let (begun, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let dropped = Arc::new(AtomicBool::new(false));
    let router = Router::new().route("/", {
        let (begun, ended, dropped) =
            (Arc::clone(&begun), Arc::clone(&ended), Arc::clone(&dropped));
        get(async move || {
            let _work = Work(dropped, ended);
            begun.notify_one();
            std::future::pending::<()>().await;
        })
    });
    let (server, address) = start(router, LIMITS).await;
    for hang_up in [true, false] {
        dropped.store(false, Ordering::SeqCst);
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        begun.notified().await;
        if hang_up {
            drop(socket);
            timeout(SOON, ended.notified()).await.unwrap();
            assert!(dropped.load(Ordering::SeqCst));
        } else {
            server.drain(Instant::now() + Duration::from_millis(50)).await;
            timeout(SOON, ended.notified()).await.unwrap();
            break;
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_let_go() {
    let (taken, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let router = Router::new().route("/", {
        let (taken, ended) = (Arc::clone(&taken), Arc::clone(&ended));
        get(async move || {
            let work = Work(taken, ended);
            let endless = futures_util::stream::repeat_with(move || {
                let _ = &work;
                Ok::<_, std::io::Error>(vec![0u8; 64 * 1024])
            });
            Body::from_stream(endless)
        })
    });
    let (_server, address) = start(router, HttpLimits { stall: SHORT, ..LIMITS }).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    timeout(SOON, ended.notified()).await.expect("the answer is dropped");
    assert!(taken.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_connection_may_become_something_else() {
    let router = Router::new().route(
        "/",
        get(async |request: axum::extract::Request| {
            tokio::spawn(async move {
                let upgraded = hyper::upgrade::on(request).await.unwrap();
                TokioIo::new(upgraded).write_all(b"something else").await.unwrap();
            });
            let headers = [("connection", "upgrade"), ("upgrade", "else")];
            (axum::http::StatusCode::SWITCHING_PROTOCOLS, headers)
        }),
    );
    let (_server, address) = start(router, LIMITS).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let asked = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: else\r\n\r\n";
    socket.write_all(asked).await.unwrap();
    assert!(rest(&mut socket).await.ends_with("something else"));
}

/// What is told of a head that is refused: its status and its code.
async fn refused(address: SocketAddr, asked: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(asked.as_bytes()).await;
    let said = rest(&mut socket).await;
    assert!(said.contains("content-type: application/problem+json\r\n"), "{said}");
    assert!(said.contains("x-content-type-options: nosniff\r\n"), "{said}");
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    let status: u16 = head[9..12].parse().unwrap();
    assert_eq!(problem["status"], status);
    (status, problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_head_beyond_its_limits_is_refused_with_a_problem() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = HttpLimits { head: 8 * 1024, target: 1024, headers: 20, ..LIMITS };
    let front = Arc::new(Front::default());
    let _server = HttpServer::start_with(listener, hello(), limits, Arc::clone(&front));
    let asked = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
    };
    let long = "a".repeat(9 * 1024);
    let many = |count| (0..count).map(|at| format!("x-{at}: y\r\n")).collect::<String>();
    for (text, status, code) in [
        (asked(&format!("/?{}", &long[..1100]), ""), 414, "target-too-long"),
        (asked("/", &format!("x: {long}\r\n")), 431, "head-too-large"),
        (asked("/", &many(19)), 431, "head-too-large"),
        ("nonsense\r\n\r\n".to_owned(), 400, "bad-request"),
        ("GET / HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n".to_owned(), 400, "bad-request"),
    ] {
        assert_eq!(refused(address, &text).await, (status, code.to_owned()), "{status}");
    }
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(asked("/", &many(18)).as_bytes()).await.unwrap();
    assert!(rest(&mut socket).await.starts_with("HTTP/1.1 200"));
    let counted: Vec<_> = front.refused.all().into_iter().map(|(one, n)| (one.limit, n)).collect();
    assert_eq!(counted, [("head", 2), ("target", 1)]);
}

#[tokio::test]
async fn a_body_of_a_refusal_may_hold_what_an_application_says_with_a_bare_head() {
    // A handler that answers as the library would is not taken for it.
    let router = Router::new().route("/", get(async || axum::http::StatusCode::BAD_REQUEST));
    let (_server, address) = start(router, LIMITS).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(ASKED).await.unwrap();
    let said = rest(&mut socket).await;
    assert!(said.starts_with("HTTP/1.1 400") && !said.contains("problem"), "{said}");
}

#[tokio::test]
async fn more_requests_than_may_be_answered_at_once_are_refused() {
    let (holding, go) = (Arc::new(Semaphore::new(0)), watch::Sender::new(false));
    let limits = HttpLimits { clients: 8, clients_per_address: 8, requests: 2, ..LIMITS };
    let (_server, address) = start(held(&holding, &go), limits).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let asked =
            b"POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nab";
        socket.write_all(asked).await.unwrap();
        busy.push(socket);
    }
    timeout(SOON, holding.acquire_many(2)).await.unwrap().unwrap().forget();
    let text = String::from_utf8(ASKED.to_vec()).unwrap();
    assert_eq!(refused(address, &text).await, (503, "overloaded".to_owned()));
    go.send_replace(true);
    for socket in &mut busy {
        assert!(rest(socket).await.ends_with("held 2"));
    }
    let again = async {
        loop {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(ASKED).await.unwrap();
            if rest(&mut socket).await.contains("hello") {
                return;
            }
        }
    };
    timeout(SOON, again).await.unwrap();
}

#[tokio::test]
async fn a_trusted_proxy_says_who_its_client_is_and_no_one_else() {
    for (trusted, expected) in [("127.0.0.1", "hello 192.0.2.1"), ("10.0.0.0/8", "hello 127.0.0.1")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let networks = monolift_manifest::Networks::read(trusted).unwrap();
        let proxies = crate::Proxies::new(networks, monolift_manifest::ProxyHeader::XForwardedFor);
        let front = Arc::new(Front { proxies, ..Front::default() });
        let _server = HttpServer::start_with(listener, hello(), LIMITS, front);
        let mut socket = TcpStream::connect(address).await.unwrap();
        let asked = b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 8.8.8.8, 192.0.2.1\r\n\
                      connection: close\r\n\r\n";
        socket.write_all(asked).await.unwrap();
        let said = rest(&mut socket).await;
        assert!(said.ends_with(expected), "{said}");
    }
}
