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

use crate::call::{Context, Origin, Principal, Trace, TraceState, clock, planted};
use crate::carry::{Answer, Outcome, Payload};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::time::Duration;

/// The bytes of a length.
pub(super) const LENGTH: usize = 4;
/// The least that a frame holds: its kind and the call's id.
const LEAST: usize = 9;
/// What a frame may hold beside its payload: the context's entries and everything fixed.
pub(super) const OVERHEAD: usize = 16 * 1024;

/// A payload of so many bytes is long.
const LONG: usize = 32 * 1024;

const CALL: u8 = 1;
const CANCEL: u8 = 2;
const ANSWER: u8 = 3;
const LEAVING: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;

const END: u8 = 0;
const DEADLINE_MICROS: u8 = 1;
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

/// The flags of a trace.
const SAMPLED: u8 = 1;
const RECORDED: u8 = 2;

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
        let start = out.len();
        out.put_u32_le(0);
        let payload = match self {
            Self::Call(id, envelope) => {
                out.put_u8(CALL);
                out.put_u64_le(id);
                out.put_u32_le(envelope.method);
                write_context(&envelope.context, out);
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
                let context = read_context(&mut body)?;
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

fn write_context(context: &Context, out: &mut BytesMut) {
    let entry = |out: &mut BytesMut, tag: u8, bytes: &[u8]| {
        out.put_u8(tag);
        out.put_u32_le(u32::try_from(bytes.len()).expect("a context is refused above 16 KiB"));
        out.put_slice(bytes);
    };
    // The time that is left, not an instant: two machines' clocks need not agree.
    let left = u64::try_from(context.remaining().as_micros()).unwrap_or(u64::MAX);
    entry(out, DEADLINE_MICROS, &left.to_le_bytes());
    let mut trace = [0; 25];
    trace[..16].copy_from_slice(&context.trace().trace_id.to_le_bytes());
    trace[16..24].copy_from_slice(&context.trace().span_id.to_le_bytes());
    trace[24] = if context.trace().sampled { SAMPLED } else { 0 };
    if context.is_recorded() {
        trace[24] |= RECORDED;
    }
    entry(out, TRACE, &trace);
    if let Some(state) = context.trace_state() {
        entry(out, TRACE_STATE, state.as_str().as_bytes());
    }
    match context.principal() {
        Some(principal) => match principal.serving_module() {
            Some(module) => entry(out, SERVICE, module.as_bytes()),
            None => write_user(principal, out, entry),
        },
        None if context.is_own_work() => entry(out, SERVICE, &[]),
        None => {}
    }
    if let Some(key) = context.idempotency_key() {
        entry(out, IDEMPOTENCY_KEY, key.as_bytes());
    }
    if context.is_again() {
        entry(out, AGAIN, &[]);
    }
    let client = context.origin().client;
    if client != 0 {
        entry(out, CLIENT, &client.to_le_bytes());
    }
    out.put_u8(END);
}

fn write_user(principal: &Principal, out: &mut BytesMut, entry: impl Fn(&mut BytesMut, u8, &[u8])) {
    // First who it is: the other entries are about the one before them.
    entry(out, SUBJECT, principal.subject.as_bytes());
    let Principal { tenant, issuer, roles, scopes, claims, .. } = principal;
    let texts = |tag| move |text| (tag, text);
    let lists = roles.iter().map(texts(ROLE)).chain(scopes.iter().map(texts(SCOPE)));
    let ones = tenant.iter().map(texts(TENANT)).chain(issuer.iter().map(texts(ISSUER)));
    for (tag, text) in ones.chain(lists) {
        entry(out, tag, text.as_bytes());
    }
    for (name, value) in claims {
        let length = u16::try_from(name.len()).expect("a context is refused above 8 KiB");
        let claim = [&length.to_le_bytes()[..], name.as_bytes(), value.as_bytes()].concat();
        entry(out, CLAIM, &claim);
    }
}

fn read_claim(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = entry.split_at_checked(2)?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(length.try_into().ok()?)))
}

fn read_context(body: &mut Bytes) -> Result<Context, FrameError> {
    const CUT: FrameError = FrameError::Malformed("its context is cut off");
    // The bytes that must be left behind the context: it is no longer than a frame's overhead.
    let end = body.len().saturating_sub(OVERHEAD);
    let text = |bytes: &[u8]| {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| FrameError::Malformed("its context is not text"))
    };
    let mut left = None;
    let mut trace = None;
    let mut principal: Option<Principal> = None;
    let mut service = None;
    let mut key = None;
    let mut state = None;
    let mut again = false;
    let mut recorded = false;
    let mut origin = Origin::OWN;
    loop {
        let tag = body.try_get_u8().map_err(|_| CUT)?;
        if tag == END {
            break;
        }
        let length = body.try_get_u32_le().map_err(|_| CUT)? as usize;
        if length > body.len() {
            return Err(CUT);
        }
        if end + length > body.len() {
            return Err(FrameError::Malformed("its context is longer than any may be"));
        }
        let entry = body.split_to(length);
        match tag {
            DEADLINE_MICROS => left = Some(u64::from_le_bytes(fixed(&entry)?)),
            TRACE => {
                let bytes: [u8; 25] = fixed(&entry)?;
                let (trace_id, rest) = bytes.split_at(16);
                let (span_id, flags) = rest.split_at(8);
                trace = Some(Trace {
                    trace_id: u128::from_le_bytes(fixed(trace_id)?),
                    span_id: u64::from_le_bytes(fixed(span_id)?),
                    sampled: flags[0] & SAMPLED != 0,
                });
                recorded = flags[0] & RECORDED != 0;
            }
            SUBJECT => {
                principal = Some(Principal::user(text(&entry)?));
            }
            ROLE | SCOPE | TENANT | ISSUER | CLAIM => {
                let Some(principal) = &mut principal else {
                    return Err(FrameError::Malformed("a role or a claim of nobody"));
                };
                match tag {
                    ROLE => principal.roles.push(text(&entry)?),
                    SCOPE => principal.scopes.push(text(&entry)?),
                    TENANT => principal.tenant = Some(text(&entry)?),
                    ISSUER => principal.issuer = Some(text(&entry)?),
                    _ => {
                        let (name, value) = read_claim(&entry)
                            .ok_or(FrameError::Malformed("a claim without a name"))?;
                        principal.claims.insert(text(name)?, text(value)?);
                    }
                }
            }
            SERVICE => service = Some(text(&entry)?),
            IDEMPOTENCY_KEY => key = Some(text(&entry)?),
            TRACE_STATE => state = TraceState::parse(&text(&entry)?),
            AGAIN => again = true,
            CLIENT => origin.client = u32::from_le_bytes(fixed(&entry)?),
            _ => {}
        }
    }
    // There is no call without a deadline: a peer that states none is not one of ours.
    let left = left.ok_or(FrameError::Malformed("no deadline"))?;
    let left = if planted!("fresh-deadlines") { 5_000_000 } else { left };
    // Clamped before it is added to the clock: the largest number that can be written is only a day.
    let left = Duration::from_micros(left).min(crate::call::MAX_DEADLINE);
    let trace = trace.unwrap_or_else(Trace::start);
    let mut context = Context::received(clock::now() + left, trace, origin).with_trace_state(state);
    if again {
        context = context.made_again();
    }
    if recorded {
        context = context.recorded_by_caller();
    }
    match (principal, service) {
        (Some(principal), _) => context = context.with_principal(principal),
        (None, Some(module)) if module.is_empty() => context = context.of_own_work(),
        (None, Some(module)) => context = context.with_principal(Principal::service(&module)),
        (None, None) => {}
    }
    if let Some(key) = key {
        context = context.with_idempotency_key(key);
    }
    Ok(context)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], FrameError> {
    bytes.try_into().map_err(|_| FrameError::Malformed("an entry of another length"))
}

#[cfg(test)]
mod tests;
