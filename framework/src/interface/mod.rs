//! What an interface is, as facts: its methods, their schema, and how a call of one is read.
//!
//! `#[monolift::interface]` fills these in; nothing here knows how a call travels.

mod carried;
mod checks;
mod descriptor;
mod fingerprint;
mod page;
mod protocol;

pub use carried::{Carried, Received, Returned, Schema, Sent};
pub(crate) use checks::{Checks, Part, UnknownPattern, Violation, Walk};
pub use descriptor::{Argument, HttpMethod, InterfaceDescriptor, Method, Route};
pub use fingerprint::Fingerprint;
pub use page::Page;
pub use protocol::Protocol;
