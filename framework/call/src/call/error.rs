//! Errors that any call can end with, in addition to those of its interface.

#[cfg(feature = "sqlx")]
use super::database;
use super::report::{self, Known, Reference};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, error::Error, fmt, panic::Location, time::Duration};

/// Why a call ended without an answer of its module.
///
/// The message is for the caller. It never contains what a module wrote into its log: an internal
/// error reaches other processes and clients as a reference number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallError {
    kind: CallErrorKind,
    /// The call that failed, as `module.method`; empty if it has no name.
    #[serde(default)]
    call: Cow<'static, str>,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<RetryAdvice>,
}

/// Advice to callers about another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryAdvice {
    /// Another attempt would fail again.
    Never,
    /// Another attempt makes sense after this time, [`RetryAdvice::LONGEST`] at most. A longer time is
    /// shortened, both where the advice is given and where it arrives from another process.
    After(#[serde(deserialize_with = "at_most_the_longest")] Duration),
}

impl RetryAdvice {
    /// The longest time that callers are asked to wait.
    pub const LONGEST: Duration = Duration::from_secs(60 * 60);

    fn bounded(self) -> Self {
        match self {
            Self::Never => Self::Never,
            Self::After(pause) => Self::After(pause.min(Self::LONGEST)),
        }
    }
}

/// A peer may send any duration, and one that overflows the clock would panic where it is added to it.
fn at_most_the_longest<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    Duration::deserialize(input).map(|pause| pause.min(RetryAdvice::LONGEST))
}

/// How a call ended, for code that decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallErrorKind {
    /// The deadline passed. Whether the work was done is unknown.
    DeadlineExceeded,
    /// The module failed: a panic, a database error. Callers get no details.
    Internal,
    /// The other process could not be reached, or refused the connection. The call was not sent.
    Unreachable,
    /// The connection ended during the call. Whether the work was done is unknown.
    Interrupted,
    /// The process or the module is overloaded. The call was not started.
    Overloaded,
    /// The serving process does not know this method.
    UnknownMethod,
    /// The caller declares no dependency on the module.
    Denied,
    /// The method asks for a user, and the request does not say who makes it.
    Unauthenticated,
    /// The user may not do this.
    Forbidden,
    /// The arguments could not be encoded, or the method could not decode them.
    BadArguments,
    /// The answer could not be encoded or decoded. The module has done the work.
    BadAnswer,
    /// The arguments or the answer exceed the limit of a frame.
    TooLarge,
    /// The process has not started this module, or has stopped it.
    NotRunning,
    /// A kind that this version does not know; a newer peer sent it.
    #[serde(other)]
    Other,
}

impl CallErrorKind {
    /// Its name in problems, logs and metrics, such as `deadline-exceeded`.
    pub fn code(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Internal => "internal",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::Overloaded => "overloaded",
            Self::UnknownMethod => "unknown-method",
            Self::Denied => "denied",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::BadArguments => "bad-arguments",
            Self::BadAnswer => "bad-answer",
            Self::TooLarge => "too-large",
            Self::NotRunning => "not-running",
            Self::Other => "other",
        }
    }

    /// The HTTP status for this kind.
    pub fn status(self) -> u16 {
        match self {
            Self::BadArguments => 400,
            Self::Unauthenticated => 401,
            Self::Denied | Self::Forbidden => 403,
            Self::UnknownMethod => 501,
            Self::TooLarge => 413,
            Self::Overloaded | Self::Unreachable | Self::NotRunning => 503,
            Self::DeadlineExceeded => 504,
            Self::Interrupted | Self::BadAnswer => 502,
            Self::Internal | Self::Other => 500,
        }
    }
}

/// What is known of the database's error that `error` is, or comes from.
#[cfg(feature = "sqlx")]
fn known(error: &(dyn Error + 'static)) -> Option<Known> {
    database::known(error)
}

/// Without sqlx there is none.
#[cfg(not(feature = "sqlx"))]
fn known(_: &(dyn Error + 'static)) -> Option<Known> {
    None
}

impl CallError {
    /// An error of `kind`. `message` is for the caller. Between processes it is cut to a few
    /// kilobytes.
    pub fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        let (call, message) = (Cow::Borrowed(""), message.into());
        Self { kind, call, message, reference: None, retry: None }
    }

    /// An internal error. `cause` and its sources are logged here, and callers get a reference to
    /// the log entry.
    #[track_caller]
    pub fn internal(cause: impl AsRef<dyn Error + 'static>) -> Self {
        let cause = cause.as_ref();
        Self::logged(&report::chain(cause), known(cause), Location::caller())
    }

    /// An internal error whose `details` are only logged. If a database refused the data, another
    /// attempt would fail again. Then the error advises against it, and does not count against a
    /// replica.
    fn logged(details: &str, database: Option<Known>, at: &Location<'_>) -> Self {
        let reference = Reference::random();
        let error = Self::new(CallErrorKind::Internal, "internal error");
        let error = Self { reference: Some(reference), ..error };
        match database {
            None => report::log(reference, details, None, Some(at)),
            Some(known) if known.of_the_data => {
                report::log_refused_data(reference, details, &known, at);
                return error.with_retry_advice(RetryAdvice::Never);
            }
            #[cfg(feature = "sqlx")]
            Some(known) if known.conflict && database::note_conflict() => {
                report::log_conflict(reference, details, &known, at);
            }
            Some(known) => report::log(reference, details, Some(&known), Some(at)),
        }
        error
    }

    /// An internal error for a panic that was caught in `call`.
    #[doc(hidden)]
    pub fn panicked(call: String, text: &str) -> Self {
        let reference = Reference::random();
        report::log(reference, &format!("{call} panicked: {text}"), None, None);
        Self { reference: Some(reference), ..Self::new(CallErrorKind::Internal, "internal error") }
            .during(call)
    }

    /// The same, with advice for those who would make the call again. Callers in other processes heed it,
    /// and the gateway passes it on to its clients.
    #[must_use]
    pub fn with_retry_advice(mut self, advice: RetryAdvice) -> Self {
        self.retry = Some(advice.bounded());
        self
    }

    /// Adds the number of attempts to the message.
    #[doc(hidden)]
    #[must_use]
    pub fn after_attempts(mut self, attempts: u32) -> Self {
        if attempts > 1 {
            self.message.push_str(&format!(" (after {attempts} attempts)"));
        }
        self
    }

    /// Names the call that failed, unless a call further down is named already.
    #[doc(hidden)]
    #[must_use]
    pub fn during(mut self, call: String) -> Self {
        if self.call.is_empty() {
            self.call = Cow::Owned(call);
        }
        self
    }

    /// Cuts the message to `limit` bytes.
    #[doc(hidden)]
    #[must_use]
    pub fn in_short(mut self, limit: usize) -> Self {
        self.message.truncate(self.message.floor_char_boundary(limit));
        self
    }

    /// How the call ended.
    pub fn kind(&self) -> CallErrorKind {
        self.kind
    }

    /// The advice for those who would make the call again, if there is any.
    pub fn retry_advice(&self) -> Option<RetryAdvice> {
        self.retry
    }

    /// What happened, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The call that failed, as `module.method`. In a chain of calls it is the deepest one.
    pub fn call(&self) -> &str {
        &self.call
    }

    /// The number under which an internal error was logged.
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

/// Implements `From` for errors of libraries, so that `?` turns them into internal errors.
macro_rules! internal_from {
    ($($(#[$cfg:meta])* $error:ty => $chain:expr, $cause:expr;)*) => {$(
        $(#[$cfg])*
        impl From<$error> for CallError {
            #[track_caller]
            fn from(error: $error) -> Self {
                let chain: fn(&$error) -> String = $chain;
                let cause: fn(&$error) -> &(dyn Error + 'static) = $cause;
                Self::logged(&chain(&error), known(cause(&error)), Location::caller())
            }
        }
    )*};
}

internal_from! {
    #[cfg(feature = "sqlx")]
    sqlx::Error => |error| report::chain(error), |error| error;
    #[cfg(feature = "sqlx")]
    sqlx::migrate::MigrateError => |error| report::chain(error), |error| error;
    std::io::Error => |error| report::chain(error), |error| error;
    serde_json::Error => |error| report::chain(error), |error| error;
    #[cfg(feature = "client")]
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
    fn advice_to_wait_is_bounded_where_it_is_given_and_where_it_arrives() {
        let after = |pause| Some(RetryAdvice::After(pause));
        let error = CallError::new(CallErrorKind::Overloaded, "full");
        let given = error.clone().with_retry_advice(RetryAdvice::After(Duration::MAX));
        assert_eq!(given.retry_advice(), after(RetryAdvice::LONGEST));
        for (secs, bounded) in [(u64::MAX, 3_600), (1 << 40, 3_600), (7, 7)] {
            let sent = format!(
                r#"{{"kind":"overloaded","message":"","retry":{{"after":{{"secs":{secs},"nanos":0}}}}}}"#
            );
            let error: CallError = serde_json::from_str(&sent).unwrap();
            assert_eq!(error.retry_advice(), after(Duration::from_secs(bounded)));
        }
        let never = error.with_retry_advice(RetryAdvice::Never);
        let sent = serde_json::to_string(&never).unwrap();
        assert_eq!(serde_json::from_str::<CallError>(&sent).unwrap(), never);
    }

    #[test]
    fn a_reference_has_one_form() {
        let reference = CallError::from(std::io::Error::other("x")).reference().unwrap();
        let shown = reference.to_string();
        assert_eq!(format!("{reference:?}"), shown);
        assert_eq!(serde_json::to_string(&reference).unwrap(), format!("\"{shown}\""));
    }

    #[test]
    fn a_kind_of_a_newer_peer_is_read() {
        let error: CallError =
            serde_json::from_str(r#"{"kind":"moon_phase","message":"m","new":1}"#).unwrap();
        assert_eq!(error.kind(), CallErrorKind::Other);
    }
}
