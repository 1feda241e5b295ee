//! Writes the context of a call.

use super::*;
use crate::{
    call::{Context, Principal, Statement},
    wire::introduced::{Introduced, Name},
};
use bytes::{BufMut, BytesMut};
use std::sync::Arc;

/// Writes the entries of a context. A call that `is_long` may be passed over by its receiver.
pub(in crate::wire::frame) fn write_context(
    context: &Context,
    shown: &mut Introduced,
    is_long: bool,
    out: &mut BytesMut,
) {
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
            (None, Some(statement)) => write_statement(statement, shown, is_long, out),
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

fn write_statement(
    statement: &Arc<Statement>,
    shown: &mut Introduced,
    is_long: bool,
    out: &mut BytesMut,
) {
    let name = shown.name(statement, is_long);
    if let Name::Known(number) = name {
        return entry(out, NUMBERED, &number.to_le_bytes());
    }
    if let Some(signer) = &statement.signer
        && shown.introduces(signer, is_long)
    {
        entry(out, SIGNER, &signer.chain);
    }
    out.put_slice(&statement.entries);
    if let Name::New(number) = name {
        entry(out, NUMBER, &number.to_le_bytes());
    }
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
