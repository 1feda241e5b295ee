//! Calls between two processes of [Monolift](https://docs.rs/monolift): what they say on a connection, the side that
//! calls and the side that serves.
//!
//! For the other crates of Monolift; applications use `monolift`. It has no database, no web framework, and it knows
//! modules by their names only.

pub mod remote;
pub mod serve;
pub mod wire;

// The rooms below, by the names that they have there.
pub(crate) use monolift_call::{call, carry, interface, link};
