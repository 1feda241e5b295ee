//! Plain answers and problems as responses.

use crate::{
    HttpAnswer, Problem,
    wire::{Memory, overloaded},
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

/// What a request is answered with, as a response. That of an internal error has its [`Reference`](crate::call::Reference)
/// as an extension.
pub(crate) fn response(answer: impl Into<HttpAnswer>) -> Response {
    let answer = answer.into();
    let mut response = Response::new(Body::from(answer.body));
    let status = StatusCode::from_u16(answer.status);
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = answer.content_type {
        let value = HeaderValue::from_static(content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    // A path with what it names percent-encoded: it stands in any header.
    if let Some(place) = answer.location.and_then(|place| HeaderValue::try_from(place).ok()) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    if let Some(seconds) = answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.get().into());
    }
    if let Some(reference) = answer.failure.and_then(|failure| failure.reference) {
        response.extensions_mut().insert(reference);
    }
    response
}

/// Charges an answer's body until it has been sent. If there is no room, its client is told so.
pub(crate) fn charged(answer: HttpAnswer, memory: &Memory) -> HttpAnswer {
    if answer.body.is_empty() {
        return answer;
    }
    match memory.clients().charge(answer.body.len()) {
        Some(charge) => HttpAnswer { body: charge.holding(answer.body), ..answer },
        None => {
            let why = "the request was done, but the answers that wait to be sent hold as many \
                       bytes as they may";
            Problem::of_call(&overloaded(why)).into()
        }
    }
}
