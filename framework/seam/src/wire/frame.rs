//! Frames: how one call, its cancellation and its answer stand in a stream of bytes.
//!
//! A frame is its length (u32, little endian, without itself), its kind (u8), the call's id
//! (u64, little endian) and a body:
//!
//! | kind | body |
//! |---|---|
//! | 1 call | the method's number (u32), the context's entries, 0, the encoded arguments |
//! | 2 cancel | nothing |
//! | 3 answer | how it ended (u8: 0 answer, 1 error of the interface, 2 call error, 3 refused), then that, encoded |
//! | 4 leaving | nothing: calls should go elsewhere, this side is about to go; its id is 0 |
//! | 5 ping | nothing: the other side is to answer with a pong of the same id |
//! | 6 pong | nothing |
//!
//! The highest bit of a call's id says that its stages are timed, on both sides. It is a part of the
//! id in all else.
//!
//! An entry of the context is a tag (u8), a length (u32) and that many bytes. A reader passes over
//! tags that it does not know, so newer peers may add some.

mod entries;

use super::Introduced;
use crate::call::Context;
use crate::carry::{Answer, Outcome, Payload};
use bytes::{Buf, BufMut, Bytes, BytesMut};
pub(super) use entries::{STATEMENT, write_user};
use entries::{read_context, write_context};

/// The bytes of a length.
pub(super) const LENGTH: usize = 4;
/// The least that a frame holds: its kind and the call's id.
const LEAST: usize = 9;
/// What a frame may hold beside its payload: the context's entries and everything fixed.
pub(super) const OVERHEAD: usize = 16 * 1024;

/// The least bytes of a long payload. It is sent without a copy, and a receiver without room for it skips the frame.
pub(super) const LONG: usize = 32 * 1024;

const CALL: u8 = 1;
const CANCEL: u8 = 2;
const ANSWER: u8 = 3;
const LEAVING: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;

/// A call on its way: tarpc's request.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The number that the serving side gave the method in its hello.
    pub method: u32,
    /// The context that the call is made in.
    pub context: Context,
    /// The arguments, encoded.
    pub payload: Payload,
    /// Whether its stages are timed. It stands in the call's id.
    pub timed: bool,
}

/// The bit of a call's id that says that it is timed.
pub(crate) const TIMED: u64 = 1 << 63;

impl tarpc::RequestName for Envelope {
    fn name(&self) -> &str {
        "call"
    }
}

/// One frame, read.
#[derive(Debug, Clone)]
pub enum Message {
    /// Make this call.
    Call(u64, Envelope),
    /// Stop working on it.
    Cancel(u64),
    /// It has ended.
    Answer(u64, Answer),
    /// This side is about to go.
    Leaving,
    /// Is anybody there?
    Ping(u64),
    /// There is.
    Pong(u64),
}

/// The beginning of a frame.
pub(super) struct Prefix {
    /// The bytes of the frame, with its length.
    pub(super) whole: usize,
    /// The call's id.
    pub(super) id: u64,
    /// Whether frames of its kind have a payload.
    pub(super) has_payload: bool,
}

/// Why a stream of frames cannot be read on. The connection ends: where the next frame begins is
/// no longer known, or the peer speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame says that it is longer than any may be.
    #[error("a frame of {length} bytes, where {limit} are allowed")]
    TooLong {
        /// What it says.
        length: usize,
        /// What it may be.
        limit: usize,
    },
    /// A frame's bytes are not what its kind has.
    #[error("a malformed frame: {0}")]
    Malformed(&'static str),
}

impl Message {
    /// Appends the frame to `out`, but for a payload that is long: copying that would cost more than
    /// sending it as it is, so the result is what is to be sent behind `out`.
    #[must_use]
    pub fn write(self, out: &mut BytesMut) -> Option<Bytes> {
        self.write_after(&mut Introduced::default(), out)
    }

    /// The same, behind frames in which `shown` was introduced.
    #[must_use]
    pub fn write_after(self, shown: &mut Introduced, out: &mut BytesMut) -> Option<Bytes> {
        let start = out.len();
        out.put_u32_le(0);
        let payload = match self {
            Self::Call(id, envelope) => {
                out.put_u8(CALL);
                out.put_u64_le(id);
                out.put_u32_le(envelope.method);
                let is_long = envelope.payload.len() >= LONG;
                write_context(&envelope.context, shown, is_long, out);
                envelope.payload
            }
            Self::Cancel(id) => bare(out, CANCEL, id),
            Self::Leaving => bare(out, LEAVING, 0),
            Self::Ping(id) => bare(out, PING, id),
            Self::Pong(id) => bare(out, PONG, id),
            Self::Answer(id, answer) => {
                out.put_u8(ANSWER);
                out.put_u64_le(id);
                out.put_u8(answer.outcome as u8);
                answer.payload
            }
        };
        let length = u32::try_from(out.len() - start - LENGTH + payload.len())
            .expect("payloads are bounded by a limit that is far below 4 GiB");
        out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
        if payload.len() >= LONG {
            return Some(payload.into());
        }
        out.put_slice(&payload);
        None
    }

    /// What is known of the frame at the beginning of `input` before all of it is there.
    pub(super) fn peek(input: &[u8]) -> Option<Prefix> {
        let header = input.first_chunk::<{ LENGTH + LEAST }>()?;
        let (length, rest) = header.split_at(LENGTH);
        let (kind, id) = rest.split_at(1);
        Some(Prefix {
            whole: LENGTH + u32::from_le_bytes(length.try_into().ok()?) as usize,
            id: u64::from_le_bytes(id.try_into().ok()?),
            has_payload: matches!(kind[0], CALL | ANSWER),
        })
    }

    /// Takes the next frame out of `input`, or says how many bytes it still wants.
    /// `payload_limit` is what a payload may hold.
    pub fn read(
        input: &mut BytesMut,
        payload_limit: usize,
    ) -> Result<Result<Self, usize>, FrameError> {
        Self::read_after(&mut Introduced::default(), input, payload_limit)
    }

    /// The same, behind frames in which `seen` was introduced.
    pub fn read_after(
        seen: &mut Introduced,
        input: &mut BytesMut,
        payload_limit: usize,
    ) -> Result<Result<Self, usize>, FrameError> {
        let Some(header) = input.first_chunk::<LENGTH>() else {
            return Ok(Err(LENGTH - input.len()));
        };
        let length = u32::from_le_bytes(*header) as usize;
        let limit = payload_limit.saturating_add(OVERHEAD);
        if length > limit {
            return Err(FrameError::TooLong { length, limit });
        }
        if length < LEAST {
            return Err(FrameError::Malformed("too short"));
        }
        let whole = LENGTH + length;
        if input.len() < whole {
            return Ok(Err(whole - input.len()));
        }
        let mut body = input.split_to(whole).freeze();
        body.advance(LENGTH);
        let kind = body.get_u8();
        let id = body.get_u64_le();
        match kind {
            CALL => {
                let method =
                    body.try_get_u32_le().map_err(|_| FrameError::Malformed("no method"))?;
                let context = read_context(&mut body, seen)?;
                let (payload, timed) = (Payload::Read(body), id & TIMED != 0);
                Ok(Ok(Self::Call(id, Envelope { method, context, payload, timed })))
            }
            CANCEL => Ok(Ok(Self::Cancel(id))),
            ANSWER => {
                let outcome = match body.try_get_u8() {
                    Ok(0) => Outcome::Answer,
                    Ok(1) => Outcome::Error,
                    Ok(2) => Outcome::CallError,
                    Ok(3) => Outcome::Refused,
                    _ => return Err(FrameError::Malformed("no outcome")),
                };
                Ok(Ok(Self::Answer(id, Answer { outcome, payload: Payload::Read(body) })))
            }
            LEAVING => Ok(Ok(Self::Leaving)),
            PING => Ok(Ok(Self::Ping(id))),
            PONG => Ok(Ok(Self::Pong(id))),
            _ => Err(FrameError::Malformed("an unknown kind")),
        }
    }
}

/// Writes a frame of nothing but its kind and its id. The result is its payload.
fn bare(out: &mut BytesMut, kind: u8, id: u64) -> Payload {
    out.put_u8(kind);
    out.put_u64_le(id);
    Payload::Written(Vec::new())
}

#[cfg(test)]
mod tests;
