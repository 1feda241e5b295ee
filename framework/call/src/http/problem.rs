//! What a client reads when its request did not succeed: a problem, as in RFC 9457.

use super::HttpAnswer;
use crate::call::{
    CallError, CallErrorKind, ErrorResponse, InterfaceError, Reference, RetryAdvice,
};
use http::StatusCode;
use serde::Serialize;
use std::{borrow::Cow, num::NonZeroU16};

const CONTENT_TYPE: &str = "application/problem+json";

/// An error as `application/problem+json`. Its `code` is what a client matches on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `urn:monolift:<interface>:<code>` for an error of an interface, else `about:blank`.
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    title: Cow<'static, str>,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    /// In how many seconds to ask again.
    #[serde(skip)]
    retry_after: Option<NonZeroU16>,
    #[serde(skip)]
    failure: Option<Box<Failure>>,
}

/// Why a request failed, for the log of the gateway. It is never sent to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The call that failed, as `module.method`. Empty if the method of the route failed by itself.
    pub call: String,
    /// How it failed, such as `deadline-exceeded`.
    pub code: &'static str,
    /// The number under which an internal error was logged, in the process where it happened.
    pub reference: Option<Reference>,
    /// What happened, with the names of processes and addresses.
    pub text: String,
}

impl Failure {
    /// The failure that `error` is.
    pub fn of(error: &CallError) -> Self {
        Self {
            call: error.call().to_owned(),
            code: ErrorResponse::of(error).code,
            reference: error.reference(),
            text: error.message().to_owned(),
        }
    }
}

impl Problem {
    /// A problem of HTTP itself. `detail` is shown to the client; `code` is in kebab case.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: Cow::Borrowed("about:blank"),
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("Error")),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            reference: None,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(NonZeroU16::MIN),
            failure: None,
        }
    }

    /// What a client hears of an error of a method of `interface`.
    pub fn of<E: InterfaceError>(interface: &str, error: &E) -> Self {
        if let Some(error) = error.call_error() {
            return Self::of_call(error);
        }
        let ErrorResponse { status, code, .. } = error.response();
        let (status, text) = (status_of(status), error.to_string());
        let failure = status.is_server_error().then(|| {
            let (call, text) = (String::new(), text.clone());
            Box::new(Failure { call, code, reference: None, text })
        });
        Self {
            kind: Cow::Owned(format!("urn:monolift:{interface}:{code}")),
            title: Cow::Owned(title(code)),
            failure,
            ..Self::new(status, code, text)
        }
    }

    /// What a client hears of a call that did not end with an answer of its module.
    pub fn of_call(error: &CallError) -> Self {
        let ErrorResponse { status, code, .. } = ErrorResponse::of(error);
        let status = status_of(status);
        let hidden = for_strangers(error.kind());
        let problem = Self::new(status, code, hidden.unwrap_or(error.message()));
        // What is kept from the client has to be in the log.
        let is_logged = hidden.is_some() || status.is_server_error();
        let failure = is_logged.then(|| Box::new(Failure::of(error)));
        let retry_after = match error.retry_advice() {
            None => problem.retry_after,
            Some(RetryAdvice::Never) => None,
            // In whole seconds, and not too soon.
            Some(RetryAdvice::After(pause)) => {
                Some(NonZeroU16::new(pause.as_secs_f64().ceil() as u16).unwrap_or(NonZeroU16::MIN))
            }
        };
        Self { reference: error.reference(), retry_after, failure, ..problem }
    }

    /// The same, with when to ask again, in seconds.
    #[must_use]
    pub fn with_retry_after(self, seconds: NonZeroU16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// What a client matches on.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        status_of(self.status)
    }
}

/// What is said instead of the error's own text, where that may name processes and addresses: those
/// are for the log, not for whoever is outside.
fn for_strangers(kind: CallErrorKind) -> Option<&'static str> {
    Some(match kind {
        CallErrorKind::Unreachable => "a part of the application cannot be reached",
        CallErrorKind::NotRunning => "a part of the application is not running",
        CallErrorKind::Overloaded => "a part of the application has more to do than it can",
        CallErrorKind::Interrupted => {
            "a connection ended during the request; whether it was done is unknown"
        }
        CallErrorKind::Denied => "a part of the application refused the call",
        CallErrorKind::BadAnswer => "the request was done, but its answer cannot be read",
        CallErrorKind::Other => "a part of the application failed",
        CallErrorKind::DeadlineExceeded
        | CallErrorKind::Internal
        | CallErrorKind::UnknownMethod
        | CallErrorKind::Unauthenticated
        | CallErrorKind::Forbidden
        | CallErrorKind::BadArguments
        | CallErrorKind::TooLarge => return None,
    })
}

/// `unknown-product` to `Unknown product`.
fn title(code: &str) -> String {
    let spaced = code.replace('-', " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A status by number; one that HTTP cannot carry is a mistake of ours.
fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<Problem> for HttpAnswer {
    fn from(problem: Problem) -> Self {
        let body = serde_json::to_vec(&problem).expect("texts and numbers are always JSON");
        let Problem { status, retry_after, failure, .. } = problem;
        let (content_type, location) = (Some(CONTENT_TYPE), None);
        Self { status, content_type, location, body: body.into(), retry_after, failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InterfaceError;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    enum ShelfError {
        #[error("no book {0}")]
        #[status(404)]
        UnknownBook(String),
        #[error(transparent)]
        Call(CallError),
    }

    fn body(problem: Problem) -> Value {
        serde_json::from_slice(&HttpAnswer::from(problem).body).unwrap()
    }

    #[test]
    fn an_error_of_an_interface_says_its_code_and_its_text() {
        let error = ShelfError::UnknownBook("dune".into());
        let expected = json!({
            "type": "urn:monolift:Shelf:unknown-book", "title": "Unknown book", "status": 404,
            "detail": "no book dune", "code": "unknown-book",
        });
        assert_eq!(body(Problem::of("Shelf", &error)), expected);
    }

    #[test]
    fn an_internal_error_is_a_reference() {
        let inner = CallError::from(std::io::Error::other("password=hunter2"));
        let reference = inner.reference().unwrap().to_string();
        let error = ShelfError::Call(inner);
        let expected = json!({
            "type": "about:blank", "title": "Internal Server Error", "status": 500,
            "detail": "internal error", "code": "internal", "reference": reference,
        });
        assert_eq!(body(Problem::of("Shelf", &error)), expected);
    }

    #[test]
    fn no_address_leaves_the_house() {
        let text = "the process `payments` cannot be reached at 10.0.0.7:7104: refused";
        let error = CallError::new(CallErrorKind::Unreachable, text);
        let answer = HttpAnswer::from(Problem::of_call(&error));
        assert_eq!(answer.status, 503);
        let shown = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!shown.contains("10.0.0.7") && !shown.contains("payments"), "{shown}");
        assert_eq!(answer.retry_after, Some(NonZeroU16::MIN));
    }

    #[test]
    fn when_to_ask_again_is_said() {
        let told = |advice: Option<RetryAdvice>| {
            let error = CallError::new(CallErrorKind::Overloaded, "full");
            let error = advice.map_or(error.clone(), |advice| error.with_retry_advice(advice));
            HttpAnswer::from(Problem::of_call(&error)).retry_after
        };
        let after = |millis| Some(RetryAdvice::After(std::time::Duration::from_millis(millis)));
        let secs = |told: Option<NonZeroU16>| told.map(NonZeroU16::get);
        assert_eq!((secs(told(None)), secs(told(Some(RetryAdvice::Never)))), (Some(1), None));
        assert_eq!((secs(told(after(0))), secs(told(after(1_001)))), (Some(1), Some(2)));
    }

    #[test]
    fn a_status_that_is_none_is_an_internal_error() {
        assert_eq!(status_of(7), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
