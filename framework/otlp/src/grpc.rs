//! One call of gRPC that has one message each way: a POST over HTTP/2, with a prefix before each message and the outcome
//! in the trailers.

use crate::send::{Collector, Failure, LONGEST_ANSWER};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::{RecvStream, client};
use http::{HeaderMap, Request, StatusCode, header};
use tokio::{net::TcpStream, task::JoinSet};

/// Whether a message is compressed (u8), then its length (u32).
const PREFIX: usize = 5;

/// Sends a batch. The result is the collector's answer.
pub(crate) async fn send(
    collector: &Collector,
    socket: TcpStream,
    batch: Bytes,
) -> Result<Bytes, Failure> {
    let (sender, connection) = client::handshake(socket).await.map_err(Failure::lost)?;
    // It ends with this function.
    let mut connected = JoinSet::new();
    connected.spawn(connection);
    let mut request = Request::post(collector.uri.clone());
    if let Some(headers) = request.headers_mut() {
        headers.extend(collector.headers.clone());
    }
    let request = request
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, concat!("monolift-otlp/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(|error| Failure { again: false, text: error.to_string() })?;
    let mut sender = sender.ready().await.map_err(Failure::lost)?;
    let (answer, mut body) = sender.send_request(request, false).map_err(Failure::lost)?;
    body.send_data(framed(&batch)?, true).map_err(Failure::lost)?;
    let (head, body) = answer.await.map_err(Failure::lost)?.into_parts();
    if head.status != StatusCode::OK {
        let again = head.status.is_server_error();
        return Err(Failure { again, text: format!("the collector answered {}", head.status) });
    }
    // A call that failed at once has no message, and its outcome in the headers.
    if head.headers.contains_key(STATUS) {
        return outcome(&head.headers).map(|()| Bytes::new());
    }
    let (message, trailers) = read(body).await?;
    outcome(&trailers)?;
    Ok(message)
}

fn framed(batch: &Bytes) -> Result<Bytes, Failure> {
    let length = u32::try_from(batch.len())
        .map_err(|_| Failure { again: false, text: "a batch of more than 4 GiB".to_owned() })?;
    let mut message = BytesMut::with_capacity(PREFIX + batch.len());
    message.put_u8(0);
    message.put_u32(length);
    message.put_slice(batch);
    Ok(message.freeze())
}

/// The message of an answer without its prefix, and its trailers.
async fn read(mut body: RecvStream) -> Result<(Bytes, HeaderMap), Failure> {
    let mut message = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(Failure::lost)?;
        body.flow_control().release_capacity(piece.len()).map_err(Failure::lost)?;
        if message.len() + piece.len() > LONGEST_ANSWER {
            return Err(Failure { again: false, text: "an answer that is too long".to_owned() });
        }
        message.put(piece);
    }
    let trailers = body.trailers().await.map_err(Failure::lost)?.unwrap_or_default();
    if message.len() >= PREFIX {
        message.advance(PREFIX);
    }
    Ok((message.freeze(), trailers))
}

const STATUS: &str = "grpc-status";

/// How the call ended. The numbers are gRPC's.
fn outcome(trailers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| trailers.get(name).and_then(|value| value.to_str().ok());
    match text(STATUS) {
        Some("0") => Ok(()),
        Some(status) => {
            // Cancelled, deadline exceeded, resource exhausted, aborted, out of range, unavailable, data loss.
            let again = matches!(status, "1" | "4" | "8" | "10" | "11" | "14" | "15");
            let why = text("grpc-message").unwrap_or_default();
            Err(Failure {
                again,
                text: format!("the collector answered with status {status}: {why}"),
            })
        }
        None => Err(Failure { again: true, text: "an answer without its outcome".to_owned() }),
    }
}
