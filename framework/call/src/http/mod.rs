//! A call of a routed method as plain data: arguments read from a request's parts, answers written as JSON.
//!
//! Nothing here knows of sockets, headers or a web framework. The gateway takes requests apart and puts
//! responses together.

mod bind;
mod created;
mod entry;
mod problem;
mod protocol;

pub use bind::check;
pub use entry::{Calls, HttpEntry};
pub use http::StatusCode;
pub use problem::{Failure, Problem};
pub use protocol::{Http, HttpAnswer, HttpCall};
