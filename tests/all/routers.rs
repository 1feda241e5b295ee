//! Routes of a module's own: an upload, events as they come, a WebSocket; the same wherever the
//! module runs.

use crate::nginx::Nginx;
use axum::{
    Router,
    body::Body,
    extract::{Request, State, WebSocketUpgrade, ws::WebSocket},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{any, get, put},
};
use futures_util::StreamExt;
use monolift::{
    CallError, InterfaceError, Routes, State as Own, async_trait,
    testing::{Mode, RunningSystem, System, every_mode},
};
use monolift_gateway::{HttpLimits, HttpServer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum AlbumError {
    #[error(transparent)]
    Call(CallError),
}

/// Pictures, most of them by routes of its own.
#[monolift::interface(module = "album", routes = "/pictures")]
pub trait Album {
    /// How many handlers wait for their client.
    #[http(GET, "/waiting")]
    #[idempotent]
    async fn waiting(&self) -> Result<usize, AlbumError>;
}

#[monolift::module(name = "album", provides = Album, routes)]
pub struct AlbumModule {
    waiting: Own<AtomicUsize>,
}

#[async_trait]
impl Album for AlbumModule {
    async fn waiting(&self) -> Result<usize, AlbumError> {
        Ok(self.waiting.load(Ordering::SeqCst))
    }
}

impl Routes for AlbumModule {
    fn routes(self: Arc<Self>) -> Router {
        Router::new()
            .route("/upload", put(upload))
            .route("/download/{bytes}", get(download))
            .route("/events", get(events))
            .route("/socket", any(socket))
            .route("/headers", get(headers))
            .route("/wait", get(wait))
            .with_state(self)
    }
}

/// How many bytes came, and their sum.
async fn upload(body: Body) -> Response {
    let mut stream = body.into_data_stream();
    let (mut count, mut sum) = (0, 0u64);
    while let Some(chunk) = stream.next().await {
        let Ok(chunk) = chunk else { return "cut off".into_response() };
        count += chunk.len();
        sum = chunk.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
    }
    format!("{count} {sum}").into_response()
}

async fn download(axum::extract::Path(bytes): axum::extract::Path<usize>) -> Body {
    const CHUNK: usize = 64 * 1024;
    let chunks = (0..bytes / CHUNK).map(|_| Ok::<_, Infallible>(vec![7u8; CHUNK]));
    Body::from_stream(futures_util::stream::iter(chunks))
}

/// Three events, a third of a second apart.
async fn events() -> Response {
    let events = futures_util::stream::unfold(0, |number| async move {
        if number == 3 {
            return None;
        }
        if number > 0 {
            sleep(Duration::from_millis(300)).await;
        }
        Some((Ok::<_, Infallible>(format!("data: {number}\n\n")), number + 1))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
}

async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// What the handler sees of who asks.
async fn headers(headers: HeaderMap) -> String {
    let shown = ["host", "x-forwarded-for", "x-forwarded-host", "te", "x-secret", "x-plain"];
    let value = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap());
    shown.map(|name| format!("{name}: {}", value(name))).join("\n")
}

async fn wait(State(album): State<Arc<AlbumModule>>, _: Request) -> String {
    struct Waits(Arc<AlbumModule>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
    album.waiting.fetch_add(1, Ordering::SeqCst);
    let _waits = Waits(album);
    sleep(Duration::from_secs(60)).await;
    String::new()
}

/// The system, and where its gateway listens.
async fn start(mode: Mode) -> (RunningSystem, HttpServer, SocketAddr) {
    let system = System::new(mode).module::<AlbumModule>().start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = system.own().routes().unwrap();
    (system, HttpServer::start(listener, routes, HttpLimits::default()), address)
}

async fn send(address: SocketAddr, head: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let text = format!("{head}\r\nhost: shop.example\r\n\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

async fn answer(mut socket: TcpStream) -> String {
    let mut text = Vec::new();
    let reading = socket.read_to_end(&mut text);
    tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap().unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// The most memory that this process has had, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const MEBIBYTE: usize = 1024 * 1024;

#[every_mode]
async fn a_long_upload_and_a_long_download_are_streamed(mode: Mode) {
    let (system, _http, address) = start(mode).await;
    let before = most_memory();
    let head = format!(
        "PUT /pictures/upload HTTP/1.1\r\nconnection: close\r\ncontent-length: {}",
        100 * MEBIBYTE
    );
    let mut socket = send(address, &head).await;
    let chunk: Vec<u8> = (0..MEBIBYTE).map(|number| (number % 251) as u8).collect();
    for _ in 0..100 {
        socket.write_all(&chunk).await.unwrap();
    }
    let sum: u64 = chunk.iter().map(|byte| u64::from(*byte)).sum();
    let answered = answer(socket).await;
    assert!(answered.ends_with(&format!("{} {}", 100 * MEBIBYTE, 100 * sum)), "{answered}");

    let head = format!("GET /pictures/download/{} HTTP/1.1\r\nconnection: close", 100 * MEBIBYTE);
    let mut socket = send(address, &head).await;
    let (mut count, mut buffer) = (0, vec![0; 256 * 1024]);
    loop {
        let read = socket.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        count += read;
    }
    assert!(count > 100 * MEBIBYTE, "{count}");
    let grown = most_memory() - before;
    assert!(grown < 48 * 1024, "100 MiB took {grown} KiB of memory");
    system.stop().await;
}

#[every_mode]
async fn events_arrive_as_they_come(mode: Mode) {
    let (system, _http, address) = start(mode).await;
    three_events_arrive_apart(address).await;
    system.stop().await;
}

async fn three_events_arrive_apart(address: SocketAddr) {
    let mut socket = send(address, "GET /pictures/events HTTP/1.1\r\nconnection: close").await;
    let begun = Instant::now();
    let mut text = String::new();
    let mut times = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let read = socket.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let seen = text.matches("data: ").count();
        times.resize_with(seen.max(times.len()), || begun.elapsed());
    }
    assert_eq!(times.len(), 3, "{text}");
    // They are sent 600 ms apart. Of an answer that was gathered all come at once.
    assert!(times[2] - times[0] > Duration::from_millis(100), "{times:?}");
}

#[every_mode]
async fn a_websocket_is_joined_with_the_modules(mode: Mode) {
    let (system, _http, address) = start(mode).await;
    a_websocket_echoes(address).await;
    system.stop().await;
}

async fn a_websocket_echoes(address: SocketAddr) {
    let mut socket = send(
        address,
        "GET /pictures/socket HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    .await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    for text in ["hello", "again"] {
        // A text, masked with zeroes.
        let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        frame.extend(text.as_bytes());
        socket.write_all(&frame).await.unwrap();
        let mut echoed = vec![0; 2 + text.len()];
        socket.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed[2..], text.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it runs NGINX: cargo xtask test --long"]
async fn behind_nginx_routes_of_a_module_stream_and_stay_open() {
    let (system, _http, address) = start(Mode::OverAConnection).await;
    let nginx = Nginx::in_front_of(&[address.to_string()]);
    let proxy: SocketAddr = nginx.address.parse().unwrap();
    three_events_arrive_apart(proxy).await;
    a_websocket_echoes(proxy).await;
    system.stop().await;
}

#[every_mode]
async fn who_asks_is_said_by_the_gateway_and_not_by_the_client(mode: Mode) {
    let (system, _http, address) = start(mode).await;
    let socket = send(
        address,
        "GET /pictures/headers HTTP/1.1\r\nx-forwarded-for: 6.6.6.6\r\nx-plain: kept\r\n\
         x-forwarded-host: evil.example\r\nconnection: close",
    )
    .await;
    let answered = answer(socket).await;
    let (_, body) = answered.split_once("\r\n\r\n").unwrap();
    let expected = "host: shop.example\nx-forwarded-for: 127.0.0.1\nx-forwarded-host: shop.example\n\
                    te: -\nx-secret: -\nx-plain: kept";
    assert_eq!(body, expected);
    system.stop().await;
}

#[every_mode]
async fn a_client_that_hangs_up_stops_its_handler(mode: Mode) {
    let (system, _http, address) = start(mode).await;
    let album: AlbumClient = system.client();
    let until = async |count| {
        for _ in 0..1000 {
            if album.waiting().await.unwrap() == count {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("not {count} handlers");
    };
    let socket = send(address, "GET /pictures/wait HTTP/1.1").await;
    until(1).await;
    drop(socket);
    until(0).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_modules_process_there_is_a_problem() {
    let (mut system, _http, address) = start(Mode::OverAConnection).await;
    system.crash("album");
    let socket = send(address, "GET /pictures/headers HTTP/1.1\r\nconnection: close").await;
    let answered = answer(socket).await;
    assert!(answered.starts_with("HTTP/1.1 503 "), "{answered}");
    assert!(answered.contains("application/problem+json"), "{answered}");
    system.stop().await;
}
