//! What an interface is, as facts: its methods, their schema, and how a call of one is read.
//!
//! `#[monolift::interface]` fills these in; nothing here knows how a call travels.

mod descriptor;
mod fingerprint;
mod protocol;

pub use descriptor::{
    Argument, Carried, HttpMethod, InterfaceDescriptor, Method, Returned, Route, Schema,
};
pub use fingerprint::Fingerprint;
pub use protocol::Protocol;
