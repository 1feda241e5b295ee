//! Without the feature `client`: how a call can end, as an interface's types say it, and nothing that makes a call.

mod chance;
mod error;
mod interface_error;
mod report;

pub use error::{CallError, CallErrorKind, RetryAdvice};
pub use interface_error::{ErrorResponse, InterfaceError};
pub use report::Reference;

/// The transaction of a method's caller. A front end has none.
#[derive(Debug)]
pub struct LocalTx<'a>(std::convert::Infallible, std::marker::PhantomData<&'a mut ()>);

/// No call runs here.
fn current_trace() -> Option<String> {
    None
}
