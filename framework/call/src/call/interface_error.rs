//! What the error type of an interface must provide.

use super::CallError;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// The error type of a method. Derive it, together with thiserror's `Error`.
///
/// One variant holds a [`CallError`], because any call may fail on the network one day. The derive
/// also implements `From` for every type that converts into a `CallError`. So `?` in a module works
/// on `CallError`, and on errors of libraries such as `sqlx::Error` and `io::Error`. The latter
/// become *internal* errors: they are logged where they happened, and callers get a reference
/// number.
///
/// ```
/// use monolift_call::{CallError, InterfaceError};
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
    /// The HTTP response of each variant.
    const RESPONSES: &'static [ErrorResponse];

    /// The `CallError` inside this error, if there is one.
    fn call_error(&self) -> Option<&CallError>;

    /// The HTTP response of this error. For a `CallError`, see [`ErrorResponse::of`].
    fn response(&self) -> ErrorResponse;
}

/// For methods that declare no errors of their own: they fail only as any call can.
impl InterfaceError for CallError {
    const RESPONSES: &'static [ErrorResponse] = &[];

    fn call_error(&self) -> Option<&CallError> {
        Some(self)
    }

    fn response(&self) -> ErrorResponse {
        ErrorResponse::of(self)
    }
}

/// The HTTP response of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The status from `#[status(404)]`, or 422.
    pub status: u16,
    /// The variant's name in kebab case, such as `unknown-product`. Clients match on it.
    pub code: &'static str,
    /// The variant's docs.
    pub docs: &'static str,
}

impl ErrorResponse {
    /// The HTTP response of a [`CallError`].
    pub fn of(error: &CallError) -> Self {
        let code = error.kind().code();
        Self { status: error.kind().status(), code, docs: "" }
    }
}
