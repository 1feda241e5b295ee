//! A collector for tests: gRPC by tonic, or HTTP by axum, both with OpenTelemetry's own messages.

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_stream::wrappers::TcpListenerStream;

/// What a collector was sent.
#[derive(Debug, Clone, Default)]
pub struct Received {
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    /// The header `x-tenant` of each request.
    tenants: Arc<Mutex<Vec<String>>>,
    /// How many requests are answered with "not now" first.
    refusals: Arc<AtomicUsize>,
}

/// A span, with the process that it is of.
#[derive(Debug, Clone)]
pub struct Found {
    pub process: String,
    pub resource: BTreeMap<String, String>,
    pub span: Span,
}

impl Received {
    fn take(&self, tenant: Option<&str>, request: ExportTraceServiceRequest) -> bool {
        let refused = |left: usize| left.checked_sub(1);
        if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refused).is_ok() {
            return false;
        }
        self.tenants.lock().unwrap().push(tenant.unwrap_or_default().to_owned());
        self.requests.lock().unwrap().push(request);
        true
    }

    /// The next so many requests are answered with "not now".
    pub fn refuse(&self, requests: usize) {
        self.refusals.store(requests, Ordering::SeqCst);
    }

    pub fn tenants(&self) -> Vec<String> {
        self.tenants.lock().unwrap().clone()
    }

    /// All spans, in the order in which they came.
    pub fn spans(&self) -> Vec<Found> {
        let requests = self.requests.lock().unwrap();
        let mut found = Vec::new();
        for one in requests.iter().flat_map(|request| &request.resource_spans) {
            let resource = attributes(&one.resource.as_ref().unwrap().attributes);
            for span in one.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let process = resource["service.name"].clone();
                found.push(Found { process, resource: resource.clone(), span: span.clone() });
            }
        }
        found
    }

    /// Waits until there is a span of this name.
    pub async fn until(&self, name: &str) -> Vec<Found> {
        for _ in 0..1_000 {
            let spans = self.spans();
            if spans.iter().any(|found| found.span.name == name) {
                return spans;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("`{name}` was not received: {:#?}", self.spans());
    }
}

/// Attributes as text, by name.
pub fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("an attribute of another type: {other:?}"),
    };
    let each = all.iter();
    each.map(|one| (one.key.clone(), text(one.value.as_ref().unwrap().value.as_ref().unwrap())))
        .collect()
}

struct Grpc(Received);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let tenant = request.metadata().get("x-tenant").and_then(|value| value.to_str().ok());
        let tenant = tenant.map(str::to_owned);
        match self.0.take(tenant.as_deref(), request.into_inner()) {
            true => Ok(tonic::Response::new(ExportTraceServiceResponse::default())),
            false => Err(tonic::Status::unavailable("not now")),
        }
    }
}

async fn over_http(
    State(received): State<Received>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let tenant = headers.get("x-tenant").and_then(|value| value.to_str().ok());
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    match received.take(tenant, request) {
        true => (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec()),
        false => (StatusCode::SERVICE_UNAVAILABLE, Vec::new()),
    }
}

/// A collector that listens.
pub struct Receiver {
    pub received: Received,
    pub address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Receiver {
    pub async fn start(grpc: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Received::default();
        let mut serving = JoinSet::new();
        if grpc {
            let service = TraceServiceServer::new(Grpc(received.clone()));
            let server = tonic::transport::Server::builder().add_service(service);
            serving.spawn(async move {
                server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
            });
        } else {
            let router =
                Router::new().route("/v1/traces", post(over_http)).with_state(received.clone());
            serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        }
        Self { received, address, _serving: serving }
    }
}
