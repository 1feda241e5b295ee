//! The context of a call in its frame: entries, each with a tag.
//!
//! The entries of a principal stand together, and a gateway's statement about it right behind them: that is signed over
//! those bytes.

use super::{FrameError, OVERHEAD};
use crate::call::{
    Context, Origin, Principal, SignerId, Statement, Trace, TraceState, clock, planted,
};
use crate::wire::Introduced;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::{sync::Arc, time::Duration};

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

/// The flags of a trace.
const SAMPLED: u8 = 1;
const RECORDED: u8 = 2;

pub(super) fn write_context(context: &Context, shown: &mut Introduced, out: &mut BytesMut) {
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
        Some(principal) => match (principal.serving_module(), context.statement()) {
            (Some(module), _) => entry(out, SERVICE, module.as_bytes()),
            (None, Some(statement)) => {
                if let Some(signer) = &statement.signer
                    && shown.introduces(signer)
                {
                    entry(out, SIGNER, &signer.chain);
                }
                out.put_slice(&statement.entries);
            }
            (None, None) => write_user(principal, out),
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

fn entry(out: &mut BytesMut, tag: u8, bytes: &[u8]) {
    out.put_u8(tag);
    out.put_u32_le(u32::try_from(bytes.len()).expect("a context is refused above 16 KiB"));
    out.put_slice(bytes);
}

/// Writes the entries of a user.
pub(in crate::wire) fn write_user(principal: &Principal, out: &mut BytesMut) {
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

pub(super) fn read_context(body: &mut Bytes, seen: &mut Introduced) -> Result<Context, FrameError> {
    const CUT: FrameError = FrameError::Malformed("its context is cut off");
    const TOO_LONG: FrameError = FrameError::Malformed("its context is longer than any may be");
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
    // The frame from the last subject on, and the statement about it.
    let mut from_subject: Option<Bytes> = None;
    let mut statement = None;
    let mut proven = None;
    loop {
        let before = body.len();
        if body.first() == Some(&SUBJECT) {
            if seen.believes()
                && statement.is_none()
                && proven.is_none()
                && let Some(length) = length_with_statement(body)
                && let Some(known) = seen.proven(&body[..length])
            {
                if end + length > before {
                    return Err(TOO_LONG);
                }
                body.advance(length);
                proven = Some(known);
                continue;
            }
            from_subject = Some(body.clone());
        }
        let tag = body.try_get_u8().map_err(|_| CUT)?;
        if tag == END {
            break;
        }
        let length = body.try_get_u32_le().map_err(|_| CUT)? as usize;
        if length > body.len() {
            return Err(CUT);
        }
        if end + length > body.len() {
            return Err(TOO_LONG);
        }
        let entry = body.split_to(length);
        if (statement.is_some() || proven.is_some()) && is_of_a_principal(tag) {
            return Err(FrameError::Malformed("more of a principal behind its statement"));
        }
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
            STATEMENT => {
                let from = from_subject.take();
                let mut from = from.ok_or(FrameError::Malformed("a statement about nobody"))?;
                let (signed, whole) = (from.len() - before, from.len() - body.len());
                from.truncate(whole);
                let (id, expires_ms) = signer_and_end(&entry)
                    .ok_or(FrameError::Malformed("a statement without a signature"))?;
                let signer = seen.find(&id);
                statement = Some(Statement { entries: from, signed, signer, expires_ms });
            }
            SIGNER => seen.learn(&entry),
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
    context = match (proven, principal, service) {
        (Some((principal, statement)), ..) => context.with_proven(principal, statement),
        (None, Some(principal), _) => {
            let context = context.with_principal(principal);
            if let Some(statement) = statement {
                context.keep_statement(Arc::new(statement));
            }
            context
        }
        (None, None, Some(module)) if module.is_empty() => context.of_own_work(),
        (None, None, Some(module)) => context.with_principal(Principal::service(&module)),
        (None, None, None) => context,
    };
    if let Some(key) = key {
        context = context.with_idempotency_key(key);
    }
    Ok(context)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], FrameError> {
    bytes.try_into().map_err(|_| FrameError::Malformed("an entry of another length"))
}

/// The bytes of the entries of a principal with the statement behind them, if one is there.
fn length_with_statement(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (head, _) = body.get(at..)?.split_first_chunk::<5>()?;
        let [tag, length @ ..] = *head;
        at = at.checked_add(5 + usize::try_from(u32::from_le_bytes(length)).ok()?)?;
        match tag {
            STATEMENT => return (at <= body.len()).then_some(at),
            tag if is_of_a_principal(tag) => {}
            _ => return None,
        }
    }
}

fn is_of_a_principal(tag: u8) -> bool {
    matches!(tag, SUBJECT | ROLE | SCOPE | TENANT | ISSUER | CLAIM | STATEMENT)
}

/// Of a statement's own entry: the signer, and until when it holds.
fn signer_and_end(entry: &[u8]) -> Option<(SignerId, u64)> {
    let (id, rest) = entry.split_first_chunk()?;
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let (end, _) = rest.split_first_chunk()?;
    Some((*id, u64::from_le_bytes(*end)))
}
