//! One batch to a collector, over a connection of its own: batches are rare, and a connection that waits can break.

use crate::{grpc, http1, messages::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use prost::Message;
use std::{fmt, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// How long one attempt may take, from the connection to the answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024;

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// Protobuf in the body of a POST.
    Http,
}

/// Where traces are sent. It shows no header: one may be a key.
#[derive(Clone)]
pub struct Collector {
    pub(crate) uri: Uri,
    pub(crate) authority: String,
    protocol: Protocol,
    pub(crate) headers: HeaderMap,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collector({})", self.uri)
    }
}

/// A collector that cannot be spoken to: its URL or its headers are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfitCollector(&'static str);

impl fmt::Display for UnfitCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for UnfitCollector {}

const TRACES: &str = "v1/traces";
const EXPORT: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";

impl Collector {
    /// The collector at `endpoint`, `http://host:port`. `headers` are `name=value`, separated by commas.
    pub fn new(endpoint: &str, protocol: Protocol, headers: &str) -> Result<Self, UnfitCollector> {
        let path = match protocol {
            Protocol::Grpc => EXPORT,
            Protocol::Http => TRACES,
        };
        let unfit = UnfitCollector("the endpoint is no URL of HTTP");
        let uri: Uri = format!("{}/{path}", endpoint.trim_end_matches('/'))
            .parse()
            .map_err(|_| unfit.clone())?;
        let authority = uri.authority().filter(|authority| authority.port_u16().is_some());
        let authority = authority.ok_or(unfit)?.to_string();
        let named = headers.split(',').map(str::trim).filter(|header| !header.is_empty());
        let header = |header: &str| {
            let (name, value) = header.split_once('=')?;
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.to_ascii_lowercase()).ok()?, value))
        };
        let headers: Option<HeaderMap> = named.map(header).collect();
        let headers = headers.ok_or(UnfitCollector("a header is not `name=value`"))?;
        Ok(Self { uri, authority, protocol, headers })
    }

    /// Sends a batch once. The result is how many spans of it the collector took none of.
    pub(crate) async fn send(&self, batch: Bytes) -> Result<u64, Failure> {
        let sent = timeout(ATTEMPT, async {
            let socket = TcpStream::connect(&self.authority).await.map_err(Failure::lost)?;
            socket.set_nodelay(true).map_err(Failure::lost)?;
            match self.protocol {
                Protocol::Grpc => grpc::send(self, socket, batch).await,
                Protocol::Http => http1::send(self, socket, batch).await,
            }
        });
        let answer = sent.await.unwrap_or_else(|_| {
            Err(Failure { again: true, text: format!("no answer within {ATTEMPT:?}") })
        })?;
        // An answer that cannot be read is still one of a collector that took the batch.
        let partial = Response::decode(answer).ok().and_then(|answer| answer.partial_success);
        let rejected = partial.filter(|partial| partial.rejected_spans > 0).map(|partial| {
            let error = partial.error_message;
            tracing::warn!(
                rejected = partial.rejected_spans,
                error,
                "the collector took a part of a batch"
            );
            partial.rejected_spans.unsigned_abs()
        });
        Ok(rejected.unwrap_or_default())
    }
}

/// Why a batch was not taken.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether another attempt may succeed.
    pub(crate) again: bool,
    pub(crate) text: String,
}

impl Failure {
    /// The collector was not reached, or went away.
    pub(crate) fn lost(error: impl fmt::Display) -> Self {
        Self { again: true, text: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_the_paths_of_the_protocol() {
        let uri =
            |endpoint, protocol| Collector::new(endpoint, protocol, "").unwrap().uri.to_string();
        assert_eq!(uri("http://c:4318", Protocol::Http), "http://c:4318/v1/traces");
        assert_eq!(uri("http://c:4318/a/", Protocol::Http), "http://c:4318/a/v1/traces");
        assert_eq!(uri("http://c:4317/", Protocol::Grpc), format!("http://c:4317/{EXPORT}"));
        assert!(Collector::new("http://c", Protocol::Grpc, "").is_err());
        assert!(Collector::new("http://c:1", Protocol::Grpc, "a").is_err());
    }

    #[test]
    fn headers_are_sent_and_not_shown() {
        let headers = "Authorization=Bearer c4n4ry=, x-tenant=shop";
        let collector = Collector::new("http://c:1", Protocol::Grpc, headers).unwrap();
        assert_eq!(collector.headers["authorization"], "Bearer c4n4ry=");
        assert_eq!(collector.headers["x-tenant"], "shop");
        assert!(!format!("{collector:?} {:?}", collector.headers).contains("c4n4ry"));
    }
}
