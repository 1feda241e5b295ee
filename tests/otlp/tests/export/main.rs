//! What is kept of requests reaches a collector: the same spans in every placement, over gRPC and over HTTP.

#![allow(unreachable_pub, reason = "interfaces are public, also where a test declares one")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test may")]

mod receiver;

use monolift::{
    CallError, Db, InterfaceError, Perform, Piece, Work, async_trait,
    observe::Statements,
    testing::{Mode, RunningSystem, System},
};
use monolift_gateway::{HttpLimits, HttpServer};
use monolift_manifest::{OtlpProtocol, Share};
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use receiver::{Found, Receiver, attributes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error,
    net::SocketAddr,
    sync::{Arc, Once},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ShopError {
    #[error("there is none")]
    #[status(404)]
    None,
    #[error(transparent)]
    Call(CallError),
}

#[monolift::interface(module = "front")]
pub trait Front {
    /// Asks the shelf, well or badly.
    #[http(GET, "/shelves/{how}")]
    async fn look(&self, how: String) -> Result<u32, ShopError>;
}

#[monolift::interface(module = "shelf")]
pub trait Shelf {
    /// How many tables its database has.
    async fn tables(&self) -> Result<u32, ShopError>;
    /// What it does not have.
    async fn none(&self) -> Result<u32, ShopError>;
    /// It panics.
    async fn panics(&self) -> Result<u32, ShopError>;
    /// Has its tables counted afterwards.
    async fn later(&self) -> Result<u32, ShopError>;
}

#[derive(Serialize, Deserialize)]
struct Count;

impl Piece for Count {
    const NAME: &'static str = "count";
}

struct FrontModule(ShelfClient);

#[async_trait]
impl Front for FrontModule {
    async fn look(&self, how: String) -> Result<u32, ShopError> {
        let tables = self.0.tables().await?;
        match how.as_str() {
            "none" => self.0.none().await,
            "panics" => self.0.panics().await,
            "later" => self.0.later().await,
            _ => Ok(tables),
        }
    }
}

#[monolift::module(name = "shelf", provides = Shelf, work = [Count])]
pub struct ShelfModule {
    db: Db,
    work: Work,
}

#[async_trait]
impl Perform<Count> for ShelfModule {
    async fn perform(&self, _: Count) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.tables().await?;
        Ok(())
    }
}

#[async_trait]
impl Shelf for ShelfModule {
    async fn tables(&self) -> Result<u32, ShopError> {
        let mut tx = self.db.write().await?;
        let count: (i64,) = sqlx::query_as("SELECT COUNT(*) FROM sqlite_master WHERE type = $1")
            .bind("c4n4ry-table")
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(u32::try_from(count.0).unwrap())
    }

    async fn none(&self) -> Result<u32, ShopError> {
        Err(ShopError::None)
    }

    async fn panics(&self) -> Result<u32, ShopError> {
        panic!("as it was told")
    }

    async fn later(&self) -> Result<u32, ShopError> {
        let mut tx = self.db.write().await?;
        self.work.enqueue(&mut tx, &Count).await?;
        tx.commit().await?;
        Ok(0)
    }
}

/// A shop that sends to a collector, and its gateway.
struct Shop {
    system: RunningSystem,
    gateway: HttpServer,
    address: SocketAddr,
}

impl Shop {
    async fn start(mode: Mode, grpc: bool, collector: SocketAddr, sample: &'static str) -> Self {
        static LOG: Once = Once::new();
        // A program of one line installs it. It finds the statements.
        LOG.call_once(|| tracing_subscriber::registry().with(Statements::layer()).init());
        let system = System::new(mode)
            .fake_with::<dyn Front>(|app| Arc::new(FrontModule(app.client())))
            .module::<ShelfModule>()
            .manifest(move |manifest| {
                manifest.otlp.endpoint = Some(format!("http://{collector}"));
                manifest.otlp.headers = Some("x-tenant=c4n4ry".to_owned().into());
                manifest.otlp.protocol = match grpc {
                    true => OtlpProtocol::Grpc,
                    false => OtlpProtocol::Http,
                };
                manifest.observe.sample = Share::read(sample).unwrap();
            })
            .start()
            .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = system.own().routes().unwrap();
        let gateway = HttpServer::start(listener, router, HttpLimits::default());
        Self { system, gateway, address }
    }

    /// The status of an answer.
    async fn look(&self, how: &str, headers: &str) -> u16 {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET /shelves/{how} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = socket.read_to_string(&mut answer);
        timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn stop(self) {
        self.gateway.drain(Instant::now()).await;
        self.system.stop().await;
    }
}

/// The name of a request's span.
const REQUEST: &str = "GET /shelves/{how}";

/// Attributes that say where a module runs, and which of its calls are timed there.
const PLACEMENT: [&str; 3] = ["monolift.placement", "monolift.untimed", "server.address"];

/// Each span as the names from the root down to it, with its attributes. A call that crossed a network is two spans of
/// one name; it is here once.
fn tree(spans: &[Found]) -> BTreeSet<String> {
    let by_id: HashMap<&[u8], &Found> =
        spans.iter().map(|found| (&found.span.span_id[..], found)).collect();
    assert_eq!(by_id.len(), spans.len(), "an id twice");
    let crossed = |found: &Found| {
        let above = by_id.get(&found.span.parent_span_id[..]);
        above.is_some_and(|above| above.span.name == found.span.name)
    };
    let path = |found: &Found| {
        let mut names = vec![found.span.name.clone()];
        let mut at = found;
        while let Some(above) = by_id.get(&at.span.parent_span_id[..]) {
            names.push(above.span.name.clone());
            at = above;
        }
        names.reverse();
        names.dedup();
        names.join(" > ")
    };
    let told = spans.iter().filter(|found| !crossed(found)).map(|found| {
        let mut attributes = attributes(&found.span.attributes);
        attributes.retain(|name, _| !PLACEMENT.contains(&name.as_str()));
        let failed = found.span.status.as_ref().map(|status| status.code);
        format!("{}: {attributes:?} {failed:?}", path(found))
    });
    told.collect()
}

fn find<'a>(spans: &'a [Found], name: &str) -> Vec<&'a Found> {
    spans.iter().filter(|found| found.span.name == name).collect()
}

fn kind(found: &Found) -> SpanKind {
    found.span.kind()
}

#[tokio::test]
async fn a_request_has_the_same_spans_in_both_shapes_over_both_protocols() {
    let mut trees = BTreeMap::new();
    for grpc in [true, false] {
        for mode in [Mode::InProcess, Mode::OverAConnection] {
            let collector = Receiver::start(grpc).await;
            let shop = Shop::start(mode, grpc, collector.address, "100%").await;
            assert_eq!(shop.look("well", "").await, 200);
            let spans = collector.received.until(REQUEST).await;
            shop.stop().await;
            // It was sent once.
            assert_eq!(collector.received.spans().len(), spans.len());
            assert_eq!(collector.received.tenants(), ["c4n4ry"]);
            let roots = spans.iter().filter(|found| found.span.parent_span_id.is_empty());
            assert_eq!(roots.count(), 1, "{spans:#?}");
            let processes: BTreeSet<&str> =
                spans.iter().map(|found| found.process.as_str()).collect();
            let expected = match mode {
                Mode::OverAConnection => BTreeSet::from(["test", "front", "shelf"]),
                _ => BTreeSet::from(["test"]),
            };
            assert_eq!(processes, expected);
            for found in &spans {
                assert_eq!(found.resource["service.namespace"], "test");
                assert!(found.span.start_time_unix_nano <= found.span.end_time_unix_nano);
            }
            let call = find(&spans, "shelf.Shelf/tables");
            let kinds: Vec<SpanKind> = call.iter().map(|found| kind(found)).collect();
            match mode {
                Mode::OverAConnection => {
                    assert_eq!(kinds, [SpanKind::Client, SpanKind::Server]);
                    assert_eq!(attributes(&call[0].span.attributes)["server.address"], "shelf");
                }
                _ => assert_eq!(kinds, [SpanKind::Internal]),
            }
            trees.insert((grpc, mode == Mode::InProcess), tree(&spans));
            for expected in [
                ("http.request.method", "GET"),
                ("http.route", "/shelves/{how}"),
                ("url.path", "/shelves/{how}"),
                ("http.response.status_code", "200"),
                ("monolift.kept", "sampled"),
            ] {
                let root = find(&spans, REQUEST)[0];
                assert_eq!(kind(root), SpanKind::Server);
                assert_eq!(attributes(&root.span.attributes)[expected.0], expected.1);
            }
            let statement = find(&spans, "SELECT sqlite_master")[0];
            assert_eq!(kind(statement), SpanKind::Client);
            let said = attributes(&statement.span.attributes);
            assert_eq!(said["db.system.name"], "sqlite");
            assert_eq!(said["db.operation.name"], "SELECT");
            assert_eq!(said["db.collection.name"], "sqlite_master");
            assert!(said["db.query.text"].starts_with("SELECT COUNT(*) FROM sqlite_master"));
            assert!(!format!("{spans:?}").contains("c4n4ry"));
        }
    }
    let first = &trees[&(true, true)];
    let path = "GET /shelves/{how} > front.Front/look > shelf.Shelf/tables > SELECT sqlite_master";
    assert!(first.iter().any(|span| span.starts_with(path)), "{first:#?}");
    assert!(trees.values().all(|tree| tree == first), "{trees:#?}");
}

#[tokio::test]
async fn what_failed_is_sent_and_what_went_well_is_not() {
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let collector = Receiver::start(true).await;
        let shop = Shop::start(mode, true, collector.address, "0%").await;
        assert_eq!(shop.look("well", "").await, 200);
        assert_eq!(shop.look("none", "").await, 404);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-00\r\n");
        assert_eq!(shop.look("panics", &parent).await, 500);
        let spans = collector.received.until(REQUEST).await;
        shop.stop().await;
        assert_eq!(collector.received.spans().len(), spans.len());
        let root = find(&spans, REQUEST)[0];
        assert_eq!(root.span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        for found in &spans {
            assert_eq!(found.span.trace_id, u128::from_str_radix(trace, 16).unwrap().to_be_bytes());
        }
        let failed = |found: &&Found| {
            let status = found.span.status.as_ref();
            assert!(status.is_none_or(|status| status.code() == StatusCode::Error));
            status.map(|_| attributes(&found.span.attributes)["error.type"].clone())
        };
        assert_eq!(failed(&root).as_deref(), Some("500"));
        for found in find(&spans, "shelf.Shelf/panics") {
            assert_eq!(failed(&found).as_deref(), Some("internal"), "{found:?}");
        }
        assert!(find(&spans, "shelf.Shelf/tables").iter().all(|found| failed(found).is_none()));
    }
}

/// Its process sends it, below the call that enqueued it, and once.
#[tokio::test]
async fn durable_work_is_a_part_of_the_trace_that_enqueued_it() {
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let collector = Receiver::start(true).await;
        let shop = Shop::start(mode, true, collector.address, "100%").await;
        assert_eq!(shop.look("later", "").await, 200);
        collector.received.until(REQUEST).await;
        let spans = collector.received.until("shelf.count").await;
        shop.stop().await;
        assert_eq!(collector.received.spans().len(), spans.len());
        let ids: BTreeSet<&[u8]> = spans.iter().map(|found| &found.span.span_id[..]).collect();
        assert_eq!(ids.len(), spans.len(), "a span twice: {spans:#?}");
        let traces: BTreeSet<&[u8]> = spans.iter().map(|found| &found.span.trace_id[..]).collect();
        assert_eq!(traces.len(), 1);
        let work = find(&spans, "shelf.count")[0];
        assert_eq!(kind(work), SpanKind::Consumer);
        let module = if mode == Mode::InProcess { "test" } else { "shelf" };
        assert_eq!(work.process, module);
        let calls = find(&spans, "shelf.Shelf/later");
        let call = calls.iter().find(|call| call.process == module).unwrap();
        assert_eq!(work.span.parent_span_id, call.span.span_id);
        let statement = find(&spans, "SELECT sqlite_master");
        let of_work = |found: &&&Found| found.span.parent_span_id == work.span.span_id;
        let statement = statement.iter().find(of_work).unwrap();
        assert_eq!(attributes(&statement.span.attributes)["db.system.name"], "sqlite");
    }
}

#[tokio::test]
async fn a_collector_that_refuses_for_a_while_is_asked_again() {
    for grpc in [true, false] {
        let collector = Receiver::start(grpc).await;
        collector.received.refuse(2);
        let shop = Shop::start(Mode::InProcess, grpc, collector.address, "100%").await;
        assert_eq!(shop.look("well", "").await, 200);
        collector.received.until(REQUEST).await;
        shop.stop().await;
        assert_eq!(collector.received.tenants().len(), 1);
    }
}

#[tokio::test]
async fn a_stop_sends_what_was_kept() {
    let collector = Receiver::start(true).await;
    let shop = Shop::start(Mode::OverAConnection, true, collector.address, "100%").await;
    for _ in 0..20 {
        assert_eq!(shop.look("well", "").await, 200);
    }
    shop.stop().await;
    let spans = collector.received.spans();
    assert_eq!(find(&spans, REQUEST).len(), 20);
}

/// A collector that takes connections and says nothing, or is not there at all, costs calls nothing.
#[tokio::test]
async fn calls_do_not_notice_a_collector_that_is_down() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), gone] {
        let shop = Shop::start(Mode::InProcess, true, address, "100%").await;
        let looks = async {
            for _ in 0..200 {
                assert_eq!(shop.look("well", "").await, 200);
            }
        };
        // One attempt to send may take as long as this.
        timeout(Duration::from_secs(10), looks).await.unwrap();
        timeout(Duration::from_secs(10), shop.stop()).await.unwrap();
    }
}
