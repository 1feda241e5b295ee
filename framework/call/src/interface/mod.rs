//! An interface as data: its methods, their schemas, and how a call of a method is decoded.
//!
//! `#[monolift::interface]` generates this data. Nothing here knows how a call is transported.

mod carried;
mod checks;
mod descriptor;
mod example;
mod fingerprint;
mod outline;
mod page;
mod protocol;

pub use carried::{Carried, Received, Returned, Schema, Sent};
pub use checks::{Checks, Part, UnknownPattern, Violation, Walk};
pub use descriptor::{Argument, HttpMethod, InterfaceDescriptor, Method, OwnRoutes, Route};
pub use fingerprint::Fingerprint;
pub use outline::{Difference, Differences, Outline};
pub use page::Page;
pub use protocol::Protocol;
