//! The way to another process, as a link sees it.

use super::{
    Answer, Bounds, Payload, codec,
    encoded::{ROOM, unwritable},
};
use crate::{
    call::{
        CallError, CallErrorKind, Context,
        stages::{Probe, Stage},
    },
    interface::{Argument, InterfaceDescriptor},
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
        let mut payload = Vec::with_capacity(ROOM);
        self.arguments
            .encode(bounds, &mut payload)
            .map_err(|error| unwritable(CallErrorKind::BadArguments, &error))?;
        probe.end(Stage::Encode);
        Ok(payload.into())
    }

    /// Its arguments, encoded for a module that has none of `unknown`. Those that it can do without are left out: an
    /// argument that has its default, or that may be ignored. The module's side refuses a call with any other.
    pub fn payload_for(&self, unknown: &[&Argument], bounds: Bounds) -> Result<Payload, CallError> {
        let payload = self.payload(bounds)?;
        if unknown.is_empty() {
            return Ok(payload);
        }
        let is_needed = |name: &str, value: &[u8]| {
            let argument = unknown.iter().find(|argument| argument.name == name);
            argument.is_none_or(|known| !known.may_be_ignored && !known.is_default(value))
        };
        let needed = codec::retain(&payload, is_needed);
        needed.map(Payload::from).map_err(|error| unwritable(CallErrorKind::BadArguments, &error))
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
