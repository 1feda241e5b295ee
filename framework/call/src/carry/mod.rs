//! Calls as bytes: the codec, what is encoded with it, and the [`Carrier`] that takes it to another process.
//!
//! Nothing here knows of sockets or frames.

mod carrier;
pub mod codec;
mod encoded;
mod payload;

pub use carrier::{Arguments, Carrier, Outgoing};
pub use codec::Bounds;
pub use encoded::{
    ERROR, Encoded, Incoming, default_of, encode_error, overloaded, refuse, unwritable,
};
pub use payload::{Answer, Outcome, Payload};
