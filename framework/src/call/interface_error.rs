//! What the error type of an interface must be able to do.

use super::{CallError, CallErrorKind};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// The error type of a method: derived, beside thiserror's `Error`.
///
/// Any call may one day cross a network, so one variant holds a [`CallError`]. The derive also
/// gives the type `From` for whatever converts into a `CallError`, so that `?` in a module works on
/// `CallError`, `sqlx::Error` and `io::Error`: those become *internal* errors, logged where they
/// happened and shown to callers as a reference number.
///
/// ```
/// use monolift::{CallError, InterfaceError};
/// # use schemars::JsonSchema; use serde::{Deserialize, Serialize}; use thiserror::Error;
///
/// #[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
/// pub enum StockError {
///     #[error("no product {0}")]
///     #[status(404)]
///     UnknownProduct(String),
///     #[error(transparent)]
///     Call(CallError),
/// }
///
/// fn level() -> Result<u32, StockError> {
///     let text = std::fs::read_to_string("/no/such/file")?;
///     Ok(text.len() as u32)
/// }
/// assert!(matches!(level(), Err(StockError::Call(error)) if error.reference().is_some()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of an interface's method",
    label = "this error cannot hold a `CallError`",
    note = "any call may one day cross a network: add `#[derive(monolift::InterfaceError)]` to it, and a variant `#[error(transparent)] Call(CallError)`"
)]
pub trait InterfaceError:
    std::error::Error
    + From<CallError>
    + Serialize
    + DeserializeOwned
    + JsonSchema
    + Send
    + Sync
    + 'static
{
    /// What each variant says over HTTP.
    const RESPONSES: &'static [ErrorResponse];

    /// The `CallError` inside, when the call ended with one.
    fn call_error(&self) -> Option<&CallError>;

    /// What this error says over HTTP. A `CallError` speaks for itself.
    fn response(&self) -> ErrorResponse;
}

/// What an error says over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The status, as `#[status(404)]` gives it; 422 when the variant has none.
    pub status: u16,
    /// The variant's name in kebab case, such as `unknown-product`: what a client can match on.
    pub code: &'static str,
    /// The variant's docs.
    pub docs: &'static str,
}

impl ErrorResponse {
    /// What a [`CallError`] says over HTTP.
    pub fn of(error: &CallError) -> Self {
        let code = match error.kind() {
            CallErrorKind::DeadlineExceeded => "deadline-exceeded",
            CallErrorKind::Internal => "internal",
            CallErrorKind::Unreachable => "unreachable",
            CallErrorKind::Interrupted => "interrupted",
            CallErrorKind::Overloaded => "overloaded",
            CallErrorKind::UnknownMethod => "unknown-method",
            CallErrorKind::Denied => "denied",
            CallErrorKind::BadArguments => "bad-arguments",
            CallErrorKind::BadAnswer => "bad-answer",
            CallErrorKind::TooLarge => "too-large",
            CallErrorKind::NotRunning => "not-running",
            CallErrorKind::Other => "other",
        };
        Self { status: error.kind().status(), code, docs: "" }
    }
}
