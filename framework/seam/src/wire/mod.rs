//! What stands between two processes: frames, the hello, and the transport that tarpc's messages go over.
//!
//! Nothing here knows which module is meant, or what to do about a peer that is gone.

mod frame;
mod hello;
mod introduced;
mod memory;
mod output;
mod pulse;
mod served;
mod signature;
mod socket;
mod statements;
mod tls;
mod transport;

pub use crate::carry::{
    Answer, Bounds, Carrier, Encoded, Incoming, Outcome, Outgoing, Payload, codec, encode_error,
    overloaded, refuse,
};
pub(crate) use frame::TIMED;
pub use frame::{Envelope, FrameError, Message};
pub use hello::{HelloError, OLDEST, PROTOCOL, Peer, Refusal, greet, receive};
pub use introduced::{Introduced, NUMBERED};
pub use memory::{Account, Charge, DEFAULT_MEMORY, ExpectedAnswer, Memory, MemoryInUse};
pub(crate) use pulse::Pulse;
pub use pulse::PulseThresholds;
pub use served::{EncodedOutline, Interfaces, OUTLINES, Served};
pub use socket::{Accept, Listener, Machine, Network, Socket, Stream, connect};
pub use statements::{
    Doubt, Keys, MayVouch, StatementFiles, StatementFilesError, Statements, Unproven,
};
pub(crate) use tls::{DISTRUSTED, Shown};
pub use tls::{Tls, TlsError, spiffe_id};
pub use transport::Transport;
pub(crate) use transport::{Heard, Long, tarpc_context};
