//! What any call can end with, beside the errors of its interface.

use super::{
    database::{self, Known},
    report::{self, Reference},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, error::Error, fmt, panic::Location, time::Duration};

/// What a call ended with when it did not end with an answer of the module.
///
/// It says what happened in words for the caller, and never what a module wrote into its logs: an
/// internal error crosses a process, or reaches a client, as a reference number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallError {
    kind: CallErrorKind,
    /// The call that ended so, as `module.method`; empty when it never had a name.
    #[serde(default)]
    call: Cow<'static, str>,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<RetryAdvice>,
}

/// What whoever failed asks of those who would try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryAdvice {
    /// It would fail again.
    Never,
    /// Not before so much time has passed.
    After(Duration),
}

/// How a call ended, for a program that decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallErrorKind {
    /// The deadline passed. The module may or may not have done its work.
    DeadlineExceeded,
    /// The module failed in a way that is not its callers' business: a panic, a database error.
    Internal,
    /// The other process could not be reached, or refused: the call was not sent.
    Unreachable,
    /// The connection ended while the call was under way. Its outcome is unknown.
    Interrupted,
    /// The module has more to do than it can; the call was not started.
    Overloaded,
    /// The process that serves the module does not know this method.
    UnknownMethod,
    /// The caller declares no dependency on the module.
    Denied,
    /// The arguments could not be carried to the method, or read by it.
    BadArguments,
    /// The answer could not be carried back, or read. The module has done its work.
    BadAnswer,
    /// The arguments or the answer are longer than a frame may be.
    TooLarge,
    /// The process has not started this module, or has stopped it.
    NotRunning,
    /// A kind that a newer peer knows and this program does not.
    #[serde(other)]
    Other,
}

impl CallErrorKind {
    /// The HTTP status that says the same.
    pub fn status(self) -> u16 {
        match self {
            Self::BadArguments => 400,
            Self::Denied => 403,
            Self::UnknownMethod => 501,
            Self::TooLarge => 413,
            Self::Overloaded | Self::Unreachable | Self::NotRunning => 503,
            Self::DeadlineExceeded => 504,
            Self::Interrupted | Self::BadAnswer => 502,
            Self::Internal | Self::Other => 500,
        }
    }
}

impl CallError {
    /// An error of `kind`; `message` is for the caller to read. Of a long one, only the first few
    /// kilobytes cross between processes.
    pub fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        let (call, message) = (Cow::Borrowed(""), message.into());
        Self { kind, call, message, reference: None, retry: None }
    }

    /// An internal error: `cause` is logged here with its chain, and callers get a reference to it.
    #[track_caller]
    pub fn internal(cause: impl AsRef<dyn Error + 'static>) -> Self {
        let cause = cause.as_ref();
        Self::logged(&report::chain(cause), database::known(cause), Location::caller())
    }

    /// An internal error whose `details` are logged and shown to nobody. One that the data causes
    /// would come again: then nobody is asked to try again, and it is not held against a replica.
    fn logged(details: &str, database: Option<Known>, at: &Location<'_>) -> Self {
        let reference = Reference::random();
        let error = Self::new(CallErrorKind::Internal, "internal error");
        let error = Self { reference: Some(reference), ..error };
        match database {
            Some(Known { details: code, of_the_data: true }) => {
                report::log_refused_data(reference, &format!("{details} ({code})"), at);
                error.with_retry_advice(RetryAdvice::Never)
            }
            Some(Known { details: code, of_the_data: false }) => {
                report::log(reference, &format!("{details} ({code})"), Some(at));
                error
            }
            None => {
                report::log(reference, details, Some(at));
                error
            }
        }
    }

    /// An internal error for a panic that was caught in `call`.
    pub(crate) fn panicked(call: String, text: &str) -> Self {
        let reference = Reference::random();
        report::log(reference, &format!("{call} panicked: {text}"), None);
        Self { reference: Some(reference), ..Self::new(CallErrorKind::Internal, "internal error") }
            .during(call)
    }

    /// The same, which asks nobody to try again, or only later. Callers in other processes heed it, and
    /// clients of the gateway are told.
    #[must_use]
    pub fn with_retry_advice(mut self, advice: RetryAdvice) -> Self {
        self.retry = Some(advice);
        self
    }

    /// The same, after so many attempts.
    #[must_use]
    pub(crate) fn after_attempts(mut self, attempts: u32) -> Self {
        if attempts > 1 {
            self.message.push_str(&format!(" (after {attempts} attempts)"));
        }
        self
    }

    /// Names the call that ended so, unless a call further down has been named already.
    #[must_use]
    pub(crate) fn during(mut self, call: String) -> Self {
        if self.call.is_empty() {
            self.call = Cow::Owned(call);
        }
        self
    }

    /// The same, with no more than `limit` bytes of its text.
    #[must_use]
    pub(crate) fn in_short(mut self, limit: usize) -> Self {
        self.message.truncate(self.message.floor_char_boundary(limit));
        self
    }

    /// How the call ended.
    pub fn kind(&self) -> CallErrorKind {
        self.kind
    }

    /// What is asked of those who would try again, if anything.
    pub fn retry_advice(&self) -> Option<RetryAdvice> {
        self.retry
    }

    /// What happened, for a reader.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The call that ended so, as `module.method`: the deepest one that failed.
    pub fn call(&self) -> &str {
        &self.call
    }

    /// The number under which the cause of an internal error was logged.
    pub fn reference(&self) -> Option<Reference> {
        self.reference
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.call.is_empty() {
            write!(f, "{}: ", self.call)?;
        }
        f.write_str(&self.message)?;
        match self.reference {
            Some(reference) => write!(f, " (reference {reference})"),
            None => Ok(()),
        }
    }
}

impl Error for CallError {}

/// Errors of the libraries that modules stand on become internal ones where `?` meets them.
macro_rules! internal_from {
    ($($(#[$cfg:meta])* $error:ty => $chain:expr, $cause:expr;)*) => {$(
        $(#[$cfg])*
        impl From<$error> for CallError {
            #[track_caller]
            fn from(error: $error) -> Self {
                let chain: fn(&$error) -> String = $chain;
                let cause: fn(&$error) -> &(dyn Error + 'static) = $cause;
                Self::logged(&chain(&error), database::known(cause(&error)), Location::caller())
            }
        }
    )*};
}

internal_from! {
    sqlx::Error => |error| report::chain(error), |error| error;
    sqlx::migrate::MigrateError => |error| report::chain(error), |error| error;
    std::io::Error => |error| report::chain(error), |error| error;
    serde_json::Error => |error| report::chain(error), |error| error;
    tokio::task::JoinError => |error| report::chain(error), |error| error;
    std::fmt::Error => |error| report::chain(error), |error| error;
    Box<dyn Error + Send + Sync> => |error| report::chain(&**error), |error| &**error;
    #[cfg(feature = "anyhow")]
    anyhow::Error => |error| format!("{error:#}"), |error| error.as_ref();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_keeps_its_text_to_itself() {
        let secret = std::io::Error::other("password=hunter2");
        let error = CallError::from(secret);
        assert_eq!(error.kind(), CallErrorKind::Internal);
        assert!(error.reference().is_some());
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_kind_of_a_newer_peer_is_read() {
        let error: CallError =
            serde_json::from_str(r#"{"kind":"moon_phase","message":"m","new":1}"#).unwrap();
        assert_eq!(error.kind(), CallErrorKind::Other);
    }
}
