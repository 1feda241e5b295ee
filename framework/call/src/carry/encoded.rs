//! Calls as envelopes: decodes the arguments, encodes the answer.

use super::{Answer, Outcome, Payload, codec};
use crate::{
    call::{
        CallError, CallErrorKind, InterfaceError,
        stages::{Probe, Stage},
    },
    interface::{Carried, Protocol},
};
use serde::{Serialize, de::DeserializeOwned};
use std::future::Future;

/// The initial capacity for arguments and answers. Most are smaller.
pub(super) const ROOM: usize = 256;

/// The format of calls between processes.
#[derive(Debug)]
pub enum Encoded {}

/// The encoded arguments of a call.
#[derive(Debug)]
pub struct Incoming {
    /// The encoded arguments.
    pub payload: Payload,
    /// The bounds of the answer.
    pub bounds: codec::Bounds,
    /// Whether the stages of this call are timed.
    pub timed: bool,
}

impl Protocol for Encoded {
    type Input = Incoming;
    type Output = Answer;

    async fn run<A, F, T, E>(input: Incoming, call: impl FnOnce(A) -> F + Send) -> Answer
    where
        A: DeserializeOwned + Send,
        F: Future<Output = Result<T, E>> + Send,
        T: Carried,
        E: InterfaceError,
    {
        let arguments = match codec::decode_arguments::<A>(&input.payload, input.bounds) {
            Ok(arguments) => arguments,
            Err(error) => return encode_error(&unreadable(CallErrorKind::BadArguments, &error)),
        };
        drop(input.payload);
        let probe = Probe::of(input.timed);
        let answer = call(arguments).await;
        probe.end(Stage::Module);
        encode_answer(&answer, input.bounds)
            .unwrap_or_else(|error| encode_error(&unwritable(CallErrorKind::BadAnswer, &error)))
    }

    fn unknown_method(_: Incoming) -> Answer {
        encode_error(&CallError::new(CallErrorKind::UnknownMethod, "no such method here"))
    }
}

fn encode_answer<T: Serialize, E: InterfaceError>(
    answer: &Result<T, E>,
    bounds: codec::Bounds,
) -> Result<Answer, codec::Error> {
    let mut out = Vec::with_capacity(ROOM);
    let outcome = match answer {
        Ok(answer) => {
            codec::encode(answer, bounds, &mut out)?;
            Outcome::Answer
        }
        Err(error) => match error.call_error() {
            Some(error) => return Ok(encode_error(error)),
            None => {
                codec::encode(error, bounds, &mut out)?;
                Outcome::Error
            }
        },
    };
    Ok(Answer { outcome, payload: out.into() })
}

/// The bounds of a call error. It fits into every frame in addition to the longest payload, so that
/// a peer with a smaller frame limit can still receive it. Its text is cut to half of this.
pub const ERROR: codec::Bounds = codec::Bounds { bytes: 8 * 1024, nesting: 8 };

/// Encodes a call error as the answer.
pub fn encode_error(error: &CallError) -> Answer {
    let mut out = Vec::new();
    let encoded = codec::encode(error, ERROR, &mut out)
        .or_else(|_| codec::encode(&error.clone().in_short(ERROR.bytes / 2), ERROR, &mut out));
    debug_assert!(encoded.is_ok(), "a call error is short but for its text");
    Answer { outcome: Outcome::CallError, payload: out.into() }
}

/// Encodes a call error as a refusal: the call was not started.
pub fn refuse(error: &CallError) -> Answer {
    Answer { outcome: Outcome::Refused, ..encode_error(error) }
}

impl Answer {
    /// The call error in this answer, if there is one and it can be decoded.
    pub fn call_error(&self) -> Option<CallError> {
        let is_one = matches!(self.outcome, Outcome::CallError | Outcome::Refused);
        is_one.then(|| codec::decode(&self.payload, ERROR).ok()).flatten()
    }

    /// Decodes the answer, on the caller's side.
    pub fn read<T, E>(&self, bounds: codec::Bounds) -> Result<T, E>
    where
        T: DeserializeOwned,
        E: InterfaceError,
    {
        let unreadable =
            |error: codec::Error| E::from(unreadable(CallErrorKind::BadAnswer, &error));
        match self.outcome {
            Outcome::Answer => codec::decode(&self.payload, bounds).map_err(unreadable),
            Outcome::Error => Err(codec::decode(&self.payload, bounds).unwrap_or_else(unreadable)),
            Outcome::CallError | Outcome::Refused => {
                Err(codec::decode::<CallError>(&self.payload, ERROR)
                    .map_or_else(unreadable, E::from))
            }
        }
    }
}

/// The default of an argument, encoded: the value that a caller may leave out. Empty if it cannot be encoded, like no
/// value.
pub fn default_of<T: Carried + Default>() -> Vec<u8> {
    let mut out = Vec::new();
    let encoded = codec::encode(&T::default(), codec::Bounds::default(), &mut out);
    encoded.map_or_else(|_| Vec::new(), |()| out)
}

/// The error if the arguments or the answer cannot be encoded.
pub fn unwritable(kind: CallErrorKind, error: &codec::Error) -> CallError {
    let what = what(kind);
    match error {
        codec::Error::TooLong { limit } => CallError::new(
            CallErrorKind::TooLarge,
            format!("{what} is longer than a frame may be ({limit} bytes)"),
        ),
        error => CallError::new(kind, format!("{what} cannot be encoded: {error}")),
    }
}

fn unreadable(kind: CallErrorKind, error: &codec::Error) -> CallError {
    CallError::new(kind, format!("{} cannot be read: {error}", what(kind)))
}

fn what(kind: CallErrorKind) -> &'static str {
    if kind == CallErrorKind::BadArguments { "what was passed" } else { "the answer" }
}

/// What is said to a call that is too many.
pub fn overloaded(why: &str) -> CallError {
    CallError::new(CallErrorKind::Overloaded, why)
}
