//! A request's body: read within limits of bytes and time, and charged to `limits.memory` until it is
//! decoded.

use super::Problem;
use crate::wire::{Memory, overloaded};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Reads the body until its end, for `within` at most, however far away the deadline of its call is. It is charged to `memory` for as long as a part of it is kept.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    (deadline, within): (Instant, Duration),
    memory: &Memory,
) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: u64| length > limit as u64)
    {
        return Err(too_large(limit));
    }
    let by = deadline.min(Instant::now() + within);
    timeout_at(by, collect(body, limit, memory)).await.unwrap_or_else(|_| {
        Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow-body",
            "the body did not arrive in time",
        ))
    })
}

async fn collect(body: Body, limit: usize, memory: &Memory) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut charge = memory.clients().charge(0).ok_or_else(no_room)?;
    let mut first = Bytes::new();
    let mut whole: Option<BytesMut> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "broken-body", "the body ended too early")
        })?;
        if whole.as_ref().map_or(first.len(), BytesMut::len) + chunk.len() > limit {
            return Err(too_large(limit));
        }
        if !charge.grow(chunk.len()) {
            return Err(no_room());
        }
        // Most bodies are one chunk, which need not be copied.
        match &mut whole {
            None if first.is_empty() => first = chunk,
            None => {
                let mut both = BytesMut::with_capacity(first.len() + chunk.len());
                both.extend_from_slice(&first);
                both.extend_from_slice(&chunk);
                whole = Some(both);
            }
            Some(whole) => whole.extend_from_slice(&chunk),
        }
    }
    let whole = whole.map_or(first, BytesMut::freeze);
    Ok(if whole.is_empty() { whole } else { charge.holding(whole) })
}

/// What a request is answered with when its body finds no room.
fn no_room() -> Problem {
    let why = "the requests that are in flight hold as many bytes as they may: try again";
    Problem::of_call(&overloaded(why))
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        format!("the body is longer than {limit} bytes"),
    )
}

/// Whether the request says that its body is JSON: `application/json`, or any `…+json`.
///
/// A body without a content type is not: browsers send those across sites without asking first.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.strip_prefix("application/").is_some_and(|subtype| subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::io;

    const WITHIN: Duration = Duration::from_secs(30);

    fn far() -> (Instant, Duration) {
        (Instant::now() + Duration::from_secs(3600), WITHIN)
    }

    fn chunks(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok::<_, io::Error>(*chunk)).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn chunks_are_put_together_up_to_the_limit() {
        let read = |body, limit| async move {
            read(&HeaderMap::new(), body, limit, far(), &Memory::default()).await
        };
        assert_eq!(read(chunks(&["a", "b", "c"]), 3).await.unwrap(), "abc");
        assert_eq!(read(chunks(&[]), 3).await.unwrap(), "");
        let problem = read(chunks(&["a", "b", "cd"]), 3).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_is_charged_until_it_is_dropped_and_refused_without_room() {
        let memory = Memory::new(64);
        let read = |body| async { read(&HeaderMap::new(), body, 100, far(), &memory).await };
        let first = read(chunks(&["12345678", "1234"])).await.unwrap();
        assert_eq!(memory.in_use().others, 12);
        let problem = read(chunks(&["1234", "5678"])).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(memory.in_use().others, 12);
        drop(first);
        assert_eq!(memory.in_use().others, 0);
        assert_eq!(read(chunks(&["1234", "5678"])).await.unwrap(), "12345678");
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_unread() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, 4.into());
        let never = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let problem = read(&headers, never, 3, far(), &Memory::default()).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let began = Instant::now();
        let problem =
            read(&HeaderMap::new(), never, 3, far(), &Memory::default()).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed().as_secs(), WITHIN.as_secs());
    }

    #[test]
    fn json_goes_by_several_names() {
        let says = |text: &'static str| {
            is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, text.parse().unwrap())]))
        };
        for yes in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
            assert!(says(yes), "{yes}");
        }
        for no in ["text/plain", "application/x-www-form-urlencoded", "text/x+json", ""] {
            assert!(!says(no), "{no}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
