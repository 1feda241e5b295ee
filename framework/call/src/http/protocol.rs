//! Calls as HTTP: arguments read from a request, answers written as JSON.

use super::{Failure, Problem, bind, created::Created};
use crate::interface::Carried;
use crate::{
    call::{CallError, CallErrorKind, Callee, InterfaceError},
    carry::{Bounds, codec, unwritable},
    interface::{Protocol, Route},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, num::NonZeroU16};

const JSON: &str = "application/json";
/// What an answer is given at first: most are smaller.
const ROOM: usize = 512;

/// The form in which calls come in from outside.
#[derive(Debug)]
pub enum Http {}

/// A request for a method, taken apart.
#[derive(Debug, Clone)]
pub struct HttpCall {
    /// The method that the request is for.
    pub callee: &'static Callee,
    /// Its route.
    pub route: Route,
    /// The arguments in the path, decoded.
    pub path: Vec<(&'static str, String)>,
    /// The query's pairs, decoded. A key may stand there more than once.
    pub query: Vec<(String, String)>,
    /// The body; empty when there is none.
    pub body: Bytes,
    /// Whether the request says that its body is JSON.
    pub json: bool,
    /// What an answer between processes may hold.
    pub frame: Bounds,
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// What the body is, when there is one.
    pub content_type: Option<&'static str>,
    /// Where the thing is that the request made.
    pub location: Option<String>,
    /// The body.
    pub body: Bytes,
    /// In how many seconds to ask again, where that may help.
    pub retry_after: Option<NonZeroU16>,
    /// Why the request failed, if the gateway has to log it. It has the number of an internal error.
    pub failure: Option<Box<Failure>>,
}

impl HttpAnswer {
    fn success(status: u16, content_type: Option<&'static str>, body: Bytes) -> Self {
        Self { status, content_type, location: None, body, retry_after: None, failure: None }
    }
}

impl Protocol for Http {
    type Input = HttpCall;
    type Output = HttpAnswer;

    async fn run<A, F, T, E>(mut input: HttpCall, call: impl FnOnce(A) -> F + Send) -> HttpAnswer
    where
        A: DeserializeOwned + Send,
        F: Future<Output = Result<T, E>> + Send,
        T: Carried,
        E: InterfaceError,
    {
        let (interface, frame) = (input.callee.interface, input.frame);
        let arguments = match bind::read::<A>(&input) {
            Ok(arguments) => arguments,
            Err(problem) => return problem.into(),
        };
        let created = Created::of(&mut input);
        drop(input);
        match call(arguments).await {
            Ok(answer) => {
                let written = write(&answer, frame).and_then(|answer| match created {
                    Some(created) => created.answered(answer),
                    None => Ok(answer),
                });
                written.unwrap_or_else(|error| Problem::of_call(&error).into())
            }
            Err(error) => {
                // A call error is cut to what a frame holds, wherever it comes from.
                let fits = error.call_error().is_some().then_some(Ok(()));
                match fits.unwrap_or_else(|| fits_into(frame, &error, &mut Vec::new())) {
                    Ok(()) => Problem::of(interface, &error).into(),
                    Err(too_large) => Problem::of_call(&too_large).into(),
                }
            }
        }
    }

    fn unknown_method(_: HttpCall) -> HttpAnswer {
        let error = CallError::new(CallErrorKind::UnknownMethod, "no such method here");
        Problem::of_call(&error).into()
    }
}

/// 200 with JSON, or 204 for an answer that says nothing.
fn write<T: Serialize>(answer: &T, frame: Bounds) -> Result<HttpAnswer, CallError> {
    let mut body = Vec::with_capacity(ROOM);
    fits_into(frame, answer, &mut body)?;
    serde_json::to_writer(&mut body, answer).map_err(|error| {
        let text = format!("the answer cannot be written as JSON: {error}");
        CallError::new(CallErrorKind::BadAnswer, text)
    })?;
    // `()` and unit structs hold nothing; a `None` is null too, but that is an answer.
    if size_of::<T>() == 0 && body == b"null" {
        return Ok(HttpAnswer::success(204, None, Bytes::new()));
    }
    Ok(HttpAnswer::success(200, Some(JSON), body.into()))
}

/// What would stop this between processes stops it here too, so that a client sees the same in front
/// of one process and of several. `scratch` is empty, before and after.
fn fits_into<T: Serialize>(
    frame: Bounds,
    value: &T,
    scratch: &mut Vec<u8>,
) -> Result<(), CallError> {
    let encoded = codec::encode(value, frame, scratch);
    scratch.clear();
    encoded.map_err(|error| unwritable(CallErrorKind::BadAnswer, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const FRAME: Bounds = Bounds { bytes: 1000, nesting: 8 };

    #[test]
    fn nothing_is_204_and_none_is_an_answer() {
        assert_eq!(write(&(), FRAME).unwrap().status, 204);
        let none = write(&None::<u32>, FRAME).unwrap();
        assert_eq!((none.status, &*none.body), (200, &b"null"[..]));
        assert_eq!(write(&[1, 2], FRAME).unwrap().body, "[1,2]");
    }

    #[test]
    fn what_a_frame_cannot_hold_is_the_error_that_it_is_between_processes() {
        let most = "x".repeat(FRAME.bytes - 3);
        assert_eq!(write(&most, FRAME).unwrap().status, 200);
        let error = write(&format!("{most}x"), FRAME).unwrap_err();
        assert_eq!(error.kind(), CallErrorKind::TooLarge);
        assert_eq!(error.message(), "the answer is longer than a frame may be (1000 bytes)");
        let deep = (0..9).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        assert_eq!(write(&deep, FRAME).unwrap_err().kind(), CallErrorKind::BadAnswer);
    }

    #[test]
    fn what_json_cannot_carry_is_a_bad_answer() {
        let error = write(&BTreeMap::from([((1, 2), 3)]), FRAME).unwrap_err();
        assert_eq!(error.kind(), CallErrorKind::BadAnswer);
    }
}
