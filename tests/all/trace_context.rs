//! W3C's trace context, from a client through the gateway and two modules, and on to a service that a module asks.

use crate::support::soon;
use monolift::{
    CallError, Context, InterfaceError, async_trait,
    testing::{Mode, RunningSystem, System},
    trace_headers,
};
use monolift_gateway::{HttpLimits, HttpServer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum RelayError {
    #[error(transparent)]
    Call(CallError),
}

/// What a method would send to a service outside: the headers, by name.
pub type Sent = BTreeMap<String, String>;

fn sent() -> Sent {
    trace_headers().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[monolift::interface(module = "near")]
pub trait Near {
    /// What it would send, and what the module behind it would.
    #[http(GET, "/relay")]
    async fn relay(&self) -> Result<Vec<Sent>, RelayError>;
}

#[monolift::interface(module = "far")]
pub trait Far {
    /// What it would send.
    async fn relay(&self) -> Result<Sent, RelayError>;
}

struct NearModule(FarClient);

#[async_trait]
impl Near for NearModule {
    async fn relay(&self) -> Result<Vec<Sent>, RelayError> {
        let before = sent();
        let behind = self.0.relay().await?;
        // A task that it spawns is a part of the call.
        let spawned = monolift::spawn(async { sent() }).await.unwrap();
        assert_eq!(before, spawned);
        Ok(vec![before, behind])
    }
}

struct FarModule;

#[async_trait]
impl Far for FarModule {
    async fn relay(&self) -> Result<Sent, RelayError> {
        assert!(Context::current().is_some());
        Ok(sent())
    }
}

struct Relay {
    system: RunningSystem,
    gateway: HttpServer,
    address: SocketAddr,
}

impl Relay {
    async fn start(mode: Mode, sampled: &'static str) -> Self {
        let system = System::new(mode)
            .fake_with::<dyn Near>(|app| std::sync::Arc::new(NearModule(app.client())))
            .fake::<dyn Far>(std::sync::Arc::new(FarModule))
            .manifest(move |manifest| {
                manifest.processes.entry("test".to_owned()).or_default().admin =
                    Some("127.0.0.1:0".to_owned());
                manifest.observe.sample = monolift_manifest::Share::read(sampled).unwrap();
            })
            .start()
            .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = system.own().routes().unwrap();
        let gateway = HttpServer::start(listener, router, HttpLimits::default());
        Self { system, gateway, address }
    }

    /// What both modules would send, in answer to a request with these headers.
    async fn relay(&self, headers: &[(&str, &str)]) -> Vec<Sent> {
        serde_json::from_str(&get(self.address, "/relay", headers).await).unwrap()
    }

    /// What was recorded of a trace.
    async fn recorded(&self, trace: &str) -> Value {
        let admin = self.system.own().admin_address().unwrap();
        serde_json::from_str(&get(admin, &format!("/api/traces/{trace}"), &[]).await).unwrap()
    }

    async fn stop(self) {
        self.gateway.drain(tokio::time::Instant::now()).await;
        self.system.stop().await;
    }
}

/// The body of the answer.
async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Trace, parent and flags of a `traceparent`.
fn parts(sent: &Sent) -> (&str, &str, &str) {
    let parent = &sent["traceparent"];
    let parts: Vec<&str> = parent.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{parent}");
    (parts[1], parts[2], parts[3])
}

/// The spans of all calls of a trace where their modules ran: method to span and parent. What crossed a network is below
/// the call that made it.
fn spans(trace: &Value) -> BTreeMap<String, (String, String)> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let parts = trace["parts"].as_array().unwrap();
    let calls: Vec<&Value> =
        parts.iter().flat_map(|part| part["calls"].as_array().unwrap()).collect();
    let above = |call: &Value| {
        let parent = text(call, "parent");
        let remote =
            calls.iter().find(|other| other["remote"] == true && text(other, "span") == parent);
        remote.map_or(parent.clone(), |remote| text(remote, "parent"))
    };
    let local = calls.iter().filter(|call| call["remote"] == false);
    local.map(|call| (text(call, "module"), (text(call, "span"), above(call)))).collect()
}

#[tokio::test]
async fn all_that_a_request_does_is_in_its_client_s_trace() {
    for mode in [Mode::InProcess, Mode::Encoded, Mode::OverAConnection] {
        let relay = Relay::start(mode, "0%").await;
        let parent = format!("00-{TRACE}-{CLIENT}-01");
        let headers =
            [("traceparent", parent.as_str()), ("tracestate", "a=1,b=2"), ("tracestate", "c=3")];
        let sent = relay.relay(&headers).await;
        let recorded = relay.recorded(TRACE).await;
        let spans = spans(&recorded);
        let request = &recorded["parts"][0];
        assert_eq!(request["parent"], CLIENT, "{mode:?}: {recorded:#}");
        // The request, the near module below it, the far one below that; each sends its own span on.
        let (near, above_near) = &spans["near"];
        let (far, above_far) = &spans["far"];
        assert_eq!((above_near, above_far), (&request["span"].as_str().unwrap().to_owned(), near));
        assert_eq!(parts(&sent[0]), (TRACE, near.as_str(), "01"), "{mode:?}");
        assert_eq!(parts(&sent[1]), (TRACE, far.as_str(), "01"), "{mode:?}");
        for sent in &sent {
            assert_eq!(sent["tracestate"], "a=1,b=2,c=3", "{mode:?}");
        }
        relay.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_used_starts_a_new_trace_for_all() {
    let relay = Relay::start(Mode::OverAConnection, "0%").await;
    let parent = format!("00-{TRACE}-{CLIENT}-01");
    let upper = parent.to_uppercase();
    for headers in [
        &[
            ("traceparent", parent.as_str()),
            ("traceparent", parent.as_str()),
            ("tracestate", "a=1"),
        ][..],
        &[("traceparent", upper.as_str()), ("tracestate", "a=1")],
        &[("tracestate", "a=1")],
    ] {
        let sent = relay.relay(headers).await;
        let (trace, _, flags) = parts(&sent[0]);
        assert_ne!(trace, TRACE);
        assert_eq!((parts(&sent[1]).0, flags), (trace, "00"));
        assert!(sent.iter().all(|sent| !sent.contains_key("tracestate")), "{sent:?}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn the_edge_samples_what_begins_there_and_nothing_else() {
    let relay = Relay::start(Mode::OverAConnection, "100%").await;
    let new = relay.relay(&[]).await;
    assert_eq!(new.iter().map(|sent| parts(sent).2).collect::<Vec<_>>(), ["01", "01"]);
    let trace = parts(&new[0]).0;
    // It is kept whatever became of it.
    let admin = relay.system.own().admin_address().unwrap();
    let kept = async {
        loop {
            let kept = get(admin, "/api/traces?because=sampled", &[]).await;
            if kept.contains(trace) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(kept).await;
    let parent = format!("00-{TRACE}-{CLIENT}-00");
    let continued = relay.relay(&[("traceparent", &parent)]).await;
    assert_eq!(continued.iter().map(|sent| parts(sent).2).collect::<Vec<_>>(), ["00", "00"]);
    relay.stop().await;
}
