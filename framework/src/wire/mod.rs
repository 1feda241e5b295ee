//! What stands between two processes: frames, the hello, the codec, and the transport that tarpc's
//! messages go over.
//!
//! Nothing here knows which module is meant, or what to do about a peer that is gone.

pub mod codec;
mod frame;
mod hello;
mod output;
mod protocol;
mod socket;
mod tls;
mod transport;

pub use codec::Bounds;
pub use frame::{Answer, Envelope, FrameError, Message, Outcome, Payload};
pub(crate) use frame::{TIMED, is_carried};
pub use hello::{HelloError, Interfaces, PROTOCOL, Peer, Refusal, Served, greet, receive};
pub use protocol::{Encoded, Incoming, encode_error};
pub(crate) use protocol::{ROOM, unwritable};
pub use socket::{Listener, Socket, connect};
pub use tls::{Tls, TlsError};
pub use transport::Transport;
pub(crate) use transport::{overloaded, tarpc_context};

use crate::{
    call::{CallError, Context},
    interface::InterfaceDescriptor,
};
use futures_util::future::BoxFuture;

/// A way for an encoded call to reach its module.
pub trait Carrier: Send + Sync + 'static {
    /// What a frame may hold on this way.
    fn bounds(&self) -> Bounds;

    /// Takes the arguments there and brings the answer back, or says by the context's deadline that
    /// it has passed. A call that is `timed` is timed on both sides.
    fn carry(
        &self,
        interface: &'static InterfaceDescriptor,
        method: usize,
        context: Context,
        payload: Payload,
        timed: bool,
    ) -> BoxFuture<'_, Result<Answer, CallError>>;
}
