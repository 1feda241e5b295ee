//! What stands between two processes: frames, the hello, the codec, and the transport that tarpc's
//! messages go over.
//!
//! Nothing here knows which module is meant, or what to do about a peer that is gone.

pub mod codec;
mod frame;
mod hello;
mod memory;
mod output;
mod protocol;
mod pulse;
mod socket;
mod tls;
mod transport;

pub use codec::Bounds;
pub use frame::{Answer, Envelope, FrameError, Message, Outcome, Payload};
pub(crate) use frame::{TIMED, is_carried};
pub use hello::{HelloError, Interfaces, PROTOCOL, Peer, Refusal, Served, greet, receive};
pub(crate) use memory::{Account, Charge, ExpectedAnswer};
pub use memory::{DEFAULT_MEMORY, Memory, MemoryInUse};
pub use protocol::{Encoded, Incoming, encode_error};
pub(crate) use protocol::{refuse, unwritable};
pub(crate) use pulse::Pulse;
pub use socket::{Accept, Listener, Machine, Network, Socket, Stream, connect};
pub use tls::{Tls, TlsError};
pub use transport::Transport;
pub(crate) use transport::{Heard, Long, overloaded, tarpc_context};

use crate::{
    call::{
        CallError, CallErrorKind, Context,
        stages::{Probe, Stage},
    },
    interface::InterfaceDescriptor,
};
use futures_util::future::BoxFuture;
use serde::Serialize;

/// The arguments of a call on its way out, which can be written more than once.
pub trait Arguments: Sync {
    /// Encodes them.
    fn encode(&self, bounds: Bounds, out: &mut Vec<u8>) -> Result<(), codec::Error>;
}

impl<A: Serialize + Sync> Arguments for A {
    fn encode(&self, bounds: Bounds, out: &mut Vec<u8>) -> Result<(), codec::Error> {
        codec::encode(self, bounds, out)
    }
}

/// A call on its way out.
#[derive(Clone)]
pub struct Outgoing<'a> {
    /// Whose method is called.
    pub interface: &'static InterfaceDescriptor,
    /// Its number there.
    pub method: usize,
    /// The context that the call is made in.
    pub context: Context,
    /// The arguments.
    pub arguments: &'a dyn Arguments,
    /// Whether its stages are timed, on both sides.
    pub timed: bool,
}

impl Outgoing<'_> {
    /// Its arguments, encoded.
    pub fn payload(&self, bounds: Bounds) -> Result<Payload, CallError> {
        let probe = Probe::of(self.timed);
        let mut payload = Vec::with_capacity(protocol::ROOM);
        self.arguments
            .encode(bounds, &mut payload)
            .map_err(|error| unwritable(CallErrorKind::BadArguments, &error))?;
        probe.end(Stage::Encode);
        Ok(payload.into())
    }
}

impl std::fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({})", self.interface.methods[self.method].callee)
    }
}

/// A way for an encoded call to reach its module.
pub trait Carrier: Send + Sync + 'static {
    /// What a frame may hold on this way.
    fn bounds(&self) -> Bounds;

    /// Takes a call there and brings the answer back, or says by the context's deadline that it has
    /// passed.
    fn carry<'a>(&'a self, call: Outgoing<'a>) -> BoxFuture<'a, Result<Answer, CallError>>;
}
