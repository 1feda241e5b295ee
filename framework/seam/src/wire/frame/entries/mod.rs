//! The context of a call in its frame: entries, each with a tag.
//!
//! The entries of a principal stand together, and a gateway's statement about it right behind them: that is signed over
//! those bytes. Where both sides can, a call that shows a statement gives it a number, and later ones have that alone.

mod read;
mod write;

pub(super) use read::read_context;
pub(super) use write::write_context;
pub(in crate::wire) use write::write_user;

pub(super) const END: u8 = 0;
pub(super) const DEADLINE_MICROS: u8 = 1;
const TRACE: u8 = 2;
const SUBJECT: u8 = 3;
const ROLE: u8 = 4;
const IDEMPOTENCY_KEY: u8 = 5;
const AGAIN: u8 = 6;
/// The client of the caller's gateway that a call is made for, as a number of the caller's own.
const CLIENT: u8 = 7;
/// What other tracing systems said of the trace. A release that does not know it passes nothing on.
const TRACE_STATE: u8 = 8;
const TENANT: u8 = 9;
const ISSUER: u8 = 10;
const SCOPE: u8 = 11;
/// The length of a claim's name (u16, little endian), the name, and its value.
const CLAIM: u8 = 12;
/// Work that no request has caused, and the module that does it; empty where that is not known. A reader that does not
/// know it takes the call for one on behalf of no one.
const SERVICE: u8 = 13;
/// A gateway's word for the principal whose entries stand before it: the signer's id, when it was made, until when it holds
/// (u64 each, little endian, milliseconds since 1970), the scheme (u16, little endian) and the signature.
pub(in crate::wire) const STATEMENT: u8 = 14;
/// The certificates of a signer, once on a connection, before the first statement that they are for.
const SIGNER: u8 = 15;
/// The number (u64, little endian) that the statement before it has on this connection from now on.
const NUMBER: u8 = 16;
/// The number of a statement that was shown on this connection, instead of that.
const NUMBERED: u8 = 17;

/// The flags of a trace.
const SAMPLED: u8 = 1;
const RECORDED: u8 = 2;
