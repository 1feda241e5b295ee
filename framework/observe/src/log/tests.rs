//! Lines as they are written, in both shapes.

use super::{LogLayer, Service, Shape, log_panics};
use crate::call::{
    CallError, CallSettings, Callee, Context, Meter, Side, Trace, guard, polled::Polled,
};
use monolift_call::InterfaceError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};
use tokio::time::Instant;
use tracing_subscriber::{Registry, layer::SubscriberExt};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

static RESERVE: Callee = Callee {
    module: "stock",
    interface: "Stock",
    method: "reserve",
    deadline: None,
    rule: None,
    meter: Meter::new(),
};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
enum StockError {
    #[error(transparent)]
    Call(CallError),
}

#[derive(Clone, Default)]
pub(super) struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(super) fn layer(&self, shape: Shape) -> LogLayer<impl Fn() -> Page + use<>> {
        let page = self.clone();
        let service = Service::new("shop", "back").with_modules(["stock", "user-profiles"]);
        LogLayer::new(shape, service).with_writer(move || page.clone())
    }
}

/// What `work` logs in this shape.
fn written(shape: Shape, work: impl FnOnce()) -> String {
    let page = Page::default();
    let subscriber = Registry::default().with(page.layer(shape));
    tracing::subscriber::with_default(subscriber, work);
    page.text()
}

pub(super) const TEXT: Shape = Shape::Text { colours: false };

/// The only line that `work` logs, as people read it, without its time.
fn text(work: impl FnOnce()) -> String {
    let written = written(TEXT, work);
    let line = written.strip_suffix('\n').unwrap();
    let (time, rest) = line.split_once("Z ").unwrap();
    assert_eq!(time.len(), "2026-11-26T16:20:33.123".len(), "{line}");
    rest.to_owned()
}

/// The only line that `work` logs, as machines read it, without what differs from run to run.
fn ecs(work: impl FnOnce()) -> Value {
    let written = written(Shape::Ecs, work);
    let line = written.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    fields(line)
}

fn fields(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).unwrap();
    let object = line.as_object_mut().unwrap();
    assert_eq!(object.remove("process.pid"), Some(std::process::id().into()));
    let time = object.remove("@timestamp").unwrap();
    assert_eq!(time.as_str().unwrap().len(), "2026-11-26T16:20:33.123456Z".len());
    for (name, value) in
        [("ecs.version", "9.4.0"), ("service.name", "shop"), ("service.node.name", "back")]
    {
        assert_eq!(object.remove(name), Some(value.into()), "{name}");
    }
    line
}

/// Does `work` as a call of `stock.reserve` in a trace.
fn within_a_call(work: impl FnOnce()) {
    let context = Context::until(Instant::now() + Duration::from_secs(1));
    let context = context.with_trace(Trace::parse(TRACE).unwrap());
    let settings = CallSettings::default();
    let mut work = Some(work);
    let body = poll_fn(|_| {
        work.take().unwrap()();
        Poll::Ready(Ok::<(), StockError>(()))
    });
    // A panic of `work` is the error of the call.
    let _ = poll_once(context.scope(guard(&RESERVE, &settings, Side::Module, body)));
}

fn poll_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_line_in_a_call_names_it_and_its_trace() {
    let line =
        || within_a_call(|| tracing::info!(target: "stock::shelf", sku = "tea", left = 7, "held"));
    assert_eq!(text(line), " INFO stock.reserve: held sku=\"tea\" left=7 trace=4bf92f35");
    assert_eq!(
        ecs(line),
        json!({
            "log.level": "info",
            "message": "held",
            "event.dataset": "shop.log",
            "log.logger": "stock::shelf",
            "trace.id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span.id": "00f067aa0ba902b7",
            "labels.module": "stock",
            "labels.method": "reserve",
            "labels.sku": "tea",
            "labels.left": "7",
        })
    );
    // A line of another crate says which.
    let line = || within_a_call(|| tracing::warn!(target: "sqlx::query", "slow"));
    assert_eq!(text(line), " WARN stock.reserve sqlx::query: slow trace=4bf92f35");
    assert_eq!(ecs(line)["labels.module"], "stock");
}

#[test]
fn a_line_outside_of_calls_names_its_crate() {
    let line = || tracing::error!(target: "user_profiles::sync", "lost");
    assert_eq!(text(line), "ERROR user_profiles::sync: lost");
    let line = ecs(line);
    assert_eq!(line["labels.module"], "user-profiles");
    assert_eq!(line.get("trace.id"), None);
    let line = ecs(|| tracing::error!(target: "stockings", "lost"));
    assert_eq!(line.get("labels.module"), None);
}

#[test]
fn a_line_of_durable_work_names_its_kind() {
    let in_work = |mut polled: Polled| {
        poll_once(polled.follow(async { tracing::info!(target: "stock", "settled") }));
    };
    let work = || in_work(Polled::work("stock", "expire"));
    assert_eq!(text(work), " INFO stock (work expire): settled");
    assert_eq!(ecs(work)["labels.work"], "expire");
    let start = || in_work(Polled::start_of("stock"));
    assert_eq!(text(start), " INFO stock (start): settled");
    assert_eq!(ecs(start)["labels.module"], "stock");
}

/// The gateway's lines have fields of the schema, with its types.
#[test]
fn fields_of_requests_are_those_of_the_schema() {
    let took = Duration::from_nanos(2_103_456);
    let line = || {
        tracing::warn!(
            target: "monolift_gateway::log",
            route = %"GET /orders/{id}",
            status = 500_u16,
            call = "payments.status",
            code = "internal",
            reference = %"1f0c",
            ?took,
            request_id = %"4bf92f3577b34da6a3ce929d0e0e4736",
            why = "internal error",
            "a request failed"
        );
    };
    assert_eq!(
        text(line),
        " WARN monolift_gateway::log: a request failed route=GET /orders/{id} status=500 \
         call=\"payments.status\" code=\"internal\" reference=1f0c took=2.103456ms \
         request_id=4bf92f3577b34da6a3ce929d0e0e4736 why=\"internal error\""
    );
    assert_eq!(
        ecs(line),
        json!({
            "log.level": "warn",
            "message": "a request failed",
            "event.dataset": "shop.log",
            "event.duration": 2_103_456,
            "log.logger": "monolift_gateway::log",
            "trace.id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "http.request.method": "GET",
            "url.path": "/orders/{id}",
            "http.response.status_code": 500,
            "http.request.id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "error.code": "internal",
            "error.id": "1f0c",
            "error.message": "internal error",
            "labels.call": "payments.status",
        })
    );
    let access =
        ecs(|| tracing::info!(target: "monolift::access", route = "GET (no route)", "a request"));
    assert_eq!(access["event.dataset"], "shop.access");
    assert_eq!(access["http.request.method"], "GET");
    assert_eq!(access.get("url.path"), None);
}

#[test]
fn a_line_of_an_internal_error_says_where_it_happened() {
    let line = ecs(|| {
        within_a_call(|| {
            let (reference, at) =
                (tracing::field::display("1f0c"), tracing::field::display("src/lib.rs:12:5"));
            tracing::error!(target: "monolift_call::call::report", reference, at, trace = TRACE, "internal error: gone");
        });
    });
    assert_eq!(line["error.id"], "1f0c");
    assert_eq!(line["error.message"], "internal error: gone");
    assert_eq!(line["log.origin.file.name"], "src/lib.rs");
    assert_eq!(line["log.origin.file.line"], 12);
    assert_eq!(line["trace.id"], TRACE[3..35]);
    assert_eq!(line.get("labels.trace"), None);
}

/// The same names in a line of an author mean something else, so they are labels; the types of labels never differ.
#[test]
fn fields_of_authors_are_labels() {
    let line = ecs(|| {
        within_a_call(|| {
            tracing::info!(
                target: "stock",
                status = "paid",
                module = 7,
                "a.b" = true,
                half = 0.5,
                "user.id" = "u-1",
                "http.response.status_code" = "many",
                "event.duration" = 5,
                "paid"
            );
        });
    });
    for (name, value) in [
        ("labels.status", json!("paid")),
        ("labels.module", json!("stock")),
        ("labels.module_", json!("7")),
        ("labels.a_b", json!("true")),
        ("labels.half", json!("0.5")),
        ("user.id", json!("u-1")),
        ("labels.http_response_status_code", json!("many")),
        ("event.duration", json!(5)),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
}

#[test]
fn an_error_has_its_message_and_its_causes() {
    #[derive(Debug)]
    struct Lost(io::Error);
    impl std::fmt::Display for Lost {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the file is lost")
        }
    }
    impl std::error::Error for Lost {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let lost = Lost(io::Error::other("the disk is full"));
    let error: &(dyn std::error::Error + 'static) = &lost;
    let line = || tracing::error!(target: "stock", error, "not written");
    assert_eq!(text(line), "ERROR stock: not written error=the file is lost: the disk is full");
    let line = ecs(line);
    assert_eq!(line["error.message"], "the file is lost");
    assert_eq!(line["error.stack_trace"], "the file is lost\ncaused by: the disk is full");
}

#[test]
fn what_a_client_sends_forges_no_line() {
    let sent = "x\r\n2026-11-26T16:20:33.123Z ERROR stock: forged \x1b[31m\u{9b}31m \u{7f}";
    let line = || tracing::info!(target: "stock", sent, shown = %sent, "{sent}");
    let lines = written(TEXT, line);
    assert!(lines.lines().skip(1).all(|line| line.starts_with("    ")), "{lines}");
    assert!(!lines.contains(['\x1b', '\r', '\u{9b}', '\u{7f}']), "{lines:?}");
    assert_eq!(ecs(line)["message"], sent);
}

#[test]
fn a_long_label_is_cut_and_a_long_message_is_not() {
    let long = "é".repeat(20_000);
    let line = ecs(|| tracing::info!(target: "stock", long, "{long}"));
    assert!(line["labels.long"].as_str().unwrap().len() < 10_000);
    assert_eq!(line["message"], *long);
}

#[test]
fn spans_of_authors_are_shown() {
    let line = || {
        let span = tracing::info_span!(target: "stock", "import", file = "a.csv", rows = tracing::field::Empty);
        span.record("rows", 3);
        span.in_scope(|| tracing::info!(target: "stock", file = "b.csv", "read"));
    };
    assert_eq!(text(line), " INFO stock import{file=\"a.csv\" rows=3}: read file=\"b.csv\"");
    let line = ecs(line);
    assert_eq!(line["labels.span"], "import");
    assert_eq!((&line["labels.file"], &line["labels.file_"]), (&json!("b.csv"), &json!("a.csv")));
    assert_eq!(line["labels.rows"], "3");
}

/// A task that an author spawns with tokio takes no context along, but may take the span of a call that is sampled.
#[test]
fn the_span_of_a_call_stands_for_it() {
    let call = |module, method| tracing::info_span!(target: "monolift_call::call::guard", "call", module, method, trace = %TRACE);
    let line = ecs(|| {
        call("orders", "place").in_scope(|| {
            call("stock", "reserve").in_scope(|| tracing::info!(target: "stock", "later"));
        });
    });
    assert_eq!(
        (&line["labels.module"], &line["labels.method"]),
        (&json!("stock"), &json!("reserve"))
    );
    assert_eq!(line["trace.id"], TRACE[3..35]);
    assert_eq!(line.get("labels.span"), None);
}

#[test]
fn colours_are_for_terminals() {
    let line = || tracing::warn!(target: "stock", sku = 1, "low");
    let coloured = written(Shape::Text { colours: true }, line);
    assert!(coloured.contains("\x1b[33m WARN\x1b[0m"), "{coloured:?}");
    assert!(!written(TEXT, line).contains('\x1b'));
}

#[test]
fn a_record_of_another_logger_has_its_own_target() {
    let line = ecs(|| {
        tracing::info!(target: "log", { "log.target" = "rustls::client", "log.line" = 7 }, "hello");
    });
    assert_eq!(line["log.logger"], "rustls::client");
    assert_eq!(line.as_object().unwrap().len(), 4, "{line}");
}

#[test]
fn a_panic_is_a_line() {
    log_panics();
    let written = written(Shape::Ecs, || within_a_call(|| panic!("out of {}", "tea")));
    let _ = std::panic::take_hook();
    // What the caller gets is logged after it.
    let line = fields(written.lines().next().unwrap());
    assert_eq!(line["message"], "a panic: out of tea");
    assert_eq!(
        (&line["error.message"], &line["error.type"]),
        (&json!("out of tea"), &json!("panic"))
    );
    assert_eq!(line["labels.method"], "reserve");
    assert!(line["log.origin.file.name"].as_str().unwrap().ends_with("log/tests.rs"), "{line}");
    assert!(line["log.origin.file.line"].is_u64(), "{line}");
}
