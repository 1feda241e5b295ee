//! Protobuf in the body of a POST.

use crate::send::{Collector, Failure, LONGEST_ANSWER};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

/// Sends a batch. The result is the collector's answer.
pub(crate) async fn send(
    collector: &Collector,
    socket: TcpStream,
    batch: Bytes,
) -> Result<Bytes, Failure> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
    let (mut sender, connection) = handshake.await.map_err(Failure::lost)?;
    // It ends with this function.
    let mut connected = JoinSet::new();
    connected.spawn(connection);
    let mut request = Request::post(collector.uri.path());
    if let Some(headers) = request.headers_mut() {
        headers.extend(collector.headers.clone());
    }
    let request = request
        .header(header::HOST, &collector.authority)
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::USER_AGENT, concat!("monolift-otlp/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(batch))
        .map_err(|error| Failure { again: false, text: error.to_string() })?;
    let answer = sender.send_request(request).await.map_err(Failure::lost)?;
    let status = answer.status();
    if !status.is_success() {
        let again = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        return Err(Failure { again, text: format!("the collector answered {status}") });
    }
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
    Ok(body.map(|body| body.to_bytes()).unwrap_or_default())
}
