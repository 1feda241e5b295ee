//! Reads the context of a call.

use super::*;
use crate::{
    call::{
        Context, MAX_DEADLINE, Origin, Principal, SignerId, Stated, Statement, Trace, TraceState,
        clock, planted,
    },
    wire::{
        frame::{FrameError, LONG, OVERHEAD},
        introduced::{Introduced, News},
        statements::Said,
    },
};
use bytes::{Buf, Bytes};
use std::{sync::Arc, time::Duration};

/// What an entry has before its bytes: its tag and its length.
const ENTRY: usize = 5;

const CUT: FrameError = FrameError::Malformed("its context is cut off");
const TOO_LONG: FrameError = FrameError::Malformed("its context is longer than any may be");

/// What has been read of a context.
#[derive(Default)]
struct Entries {
    left: Option<u64>,
    trace: Option<Trace>,
    state: Option<TraceState>,
    key: Option<String>,
    again: bool,
    recorded: bool,
    client: u32,
    service: Option<String>,
    user: User,
    news: News,
}

/// Who a call is made on behalf of, as far as that has been read.
#[derive(Default)]
enum User {
    #[default]
    Nobody,
    /// The principal, and the frame from its subject on.
    Read(Principal, Bytes),
    /// All of it: what comes behind it is about something else.
    Said(Said),
}

/// Reads the entries of a context, and leaves the payload.
pub(in crate::wire::frame) fn read_context(
    body: &mut Bytes,
    seen: &mut Introduced,
) -> Result<Context, FrameError> {
    // The bytes that must be left behind the context: it is no longer than a frame's overhead.
    let end = body.len().saturating_sub(OVERHEAD);
    let mut entries = Entries::default();
    loop {
        if body.first() == Some(&SUBJECT)
            && let Some(length) = entries.find(body, seen)
        {
            if body.len() - length < end {
                return Err(TOO_LONG);
            }
            body.advance(length);
        } else {
            let tag = *body.first().ok_or(CUT)?;
            if tag == END {
                body.advance(1);
                break;
            }
            let (head, rest) = body.split_first_chunk::<ENTRY>().ok_or(CUT)?;
            let [_, length @ ..] = *head;
            let length = u32::from_le_bytes(length) as usize;
            let (entry, rest) = rest.split_at_checked(length).ok_or(CUT)?;
            if rest.len() < end {
                return Err(TOO_LONG);
            }
            entries.add(tag, entry, body, seen)?;
            body.advance(ENTRY + length);
        }
    }
    entries.context(seen, body.len() >= LONG)
}

impl Entries {
    /// Finds a principal with its statement again that was verified before, and returns how long they are: most of those
    /// that have no number are not decoded.
    fn find(&mut self, body: &[u8], seen: &Introduced) -> Option<usize> {
        if !seen.believes() || matches!(self.user, User::Said(_)) {
            return None;
        }
        let length = length_with_statement(body)?;
        self.user = User::Said(seen.proven(&body[..length])?);
        Some(length)
    }

    /// Adds an entry, with which the frame goes on at `from`.
    fn add(
        &mut self,
        tag: u8,
        entry: &[u8],
        from: &Bytes,
        seen: &mut Introduced,
    ) -> Result<(), FrameError> {
        match tag {
            DEADLINE_MICROS => self.left = Some(u64::from_le_bytes(fixed(entry)?)),
            TRACE => self.add_trace(entry)?,
            // Not within a principal: that is passed on as it is, and these two are about this connection.
            SIGNER if matches!(self.user, User::Nobody) => seen.is_shown(entry, &mut self.news),
            NUMBER if matches!(self.user, User::Said(_)) => {
                self.news.number = Some(u64::from_le_bytes(fixed(entry)?));
            }
            SIGNER | NUMBER => {
                return Err(FrameError::Malformed("a signer or a number within a principal"));
            }
            SERVICE => self.service = Some(text(entry)?),
            IDEMPOTENCY_KEY => self.key = Some(text(entry)?),
            TRACE_STATE => self.state = TraceState::parse(&text(entry)?),
            AGAIN => self.again = true,
            CLIENT => self.client = u32::from_le_bytes(fixed(entry)?),
            _ if is_of_a_principal(tag) => {
                let user = std::mem::take(&mut self.user);
                self.user = user.with(tag, entry, from, seen, &self.news)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn add_trace(&mut self, entry: &[u8]) -> Result<(), FrameError> {
        let bytes: [u8; 25] = fixed(entry)?;
        let (trace_id, rest) = bytes.split_at(16);
        let (span_id, flags) = rest.split_at(8);
        self.trace = Some(Trace {
            trace_id: u128::from_le_bytes(fixed(trace_id)?),
            span_id: u64::from_le_bytes(fixed(span_id)?),
            sampled: flags[0] & SAMPLED != 0,
        });
        self.recorded = flags[0] & RECORDED != 0;
        Ok(())
    }

    /// The context that they make. A call that `is_long` shows things for itself alone.
    fn context(self, seen: &mut Introduced, is_long: bool) -> Result<Context, FrameError> {
        // There is no call without a deadline: a peer that states none is not one of ours.
        let left = self.left.ok_or(FrameError::Malformed("no deadline"))?;
        let left = if planted!("fresh-deadlines") { 5_000_000 } else { left };
        // Clamped before it is added to the clock: the largest number that can be written is only a day.
        let left = Duration::from_micros(left).min(MAX_DEADLINE);
        let trace = self.trace.unwrap_or_else(Trace::start);
        let origin = Origin { client: self.client, ..Origin::OWN };
        let context = Context::received(clock::now() + left, trace, origin);
        let mut context = context.with_trace_state(self.state);
        if self.again {
            context = context.made_again();
        }
        if self.recorded {
            context = context.recorded_by_caller();
        }
        let said = if let User::Said(said) = &self.user { Some(said) } else { None };
        if !seen.learn(self.news, said, is_long) {
            return Err(FrameError::Malformed(
                "a number without a statement, or for one that must have none",
            ));
        }
        context = match (self.user, self.service) {
            (User::Said(said), _) => context.with_stated(said.user),
            (User::Read(principal, _), _) => context.with_principal(principal),
            (User::Nobody, Some(module)) if module.is_empty() => context.of_own_work(),
            (User::Nobody, Some(module)) => context.with_principal(Principal::service(&module)),
            (User::Nobody, None) => context,
        };
        if let Some(key) = self.key {
            context = context.with_idempotency_key(key);
        }
        Ok(context)
    }
}

impl User {
    /// The same, with an entry that is about it.
    fn with(
        self,
        tag: u8,
        entry: &[u8],
        from: &Bytes,
        seen: &mut Introduced,
        news: &News,
    ) -> Result<Self, FrameError> {
        match (self, tag) {
            (Self::Said(_), _) => {
                Err(FrameError::Malformed("more of a principal behind its statement"))
            }
            (_, SUBJECT) => Ok(Self::Read(Principal::user(text(entry)?), from.clone())),
            (Self::Read(principal, mut all), STATEMENT) => {
                let signed = all.len() - from.len();
                all.truncate(signed + ENTRY + entry.len());
                let (id, expires_ms) = signer_and_end(entry)
                    .ok_or(FrameError::Malformed("a statement without a signature"))?;
                let signer = seen.signer(&id, news);
                // Copied: these bytes are part of all that was read from the connection at once.
                let entries = Bytes::copy_from_slice(&all);
                let statement = Statement { entries, signed, signer, expires_ms };
                let user = Stated::new(Arc::new(principal), Arc::new(statement), false);
                Ok(Self::Said(Said { user, since: None }))
            }
            (Self::Nobody, NUMBERED) => {
                let said = seen.find(u64::from_le_bytes(fixed(entry)?));
                said.map(Self::Said)
                    .ok_or(FrameError::Malformed("an unknown number of a statement"))
            }
            (Self::Read(principal, all), _) => {
                Ok(Self::Read(with_entry(principal, tag, entry)?, all))
            }
            (Self::Nobody, STATEMENT) => {
                Err(FrameError::Malformed("a statement without a principal"))
            }
            (Self::Nobody, _) => {
                Err(FrameError::Malformed("a role or a claim without a principal"))
            }
        }
    }
}

fn with_entry(mut principal: Principal, tag: u8, entry: &[u8]) -> Result<Principal, FrameError> {
    match tag {
        ROLE => principal.roles.push(text(entry)?),
        SCOPE => principal.scopes.push(text(entry)?),
        TENANT => principal.tenant = Some(text(entry)?),
        ISSUER => principal.issuer = Some(text(entry)?),
        CLAIM => {
            let claim = read_claim(entry);
            let (name, value) = claim.ok_or(FrameError::Malformed("a claim without a name"))?;
            principal.claims.insert(text(name)?, text(value)?);
        }
        _ => return Err(FrameError::Malformed("two users")),
    }
    Ok(principal)
}

fn read_claim(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = entry.split_at_checked(2)?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(length.try_into().ok()?)))
}

/// The bytes of the entries of a principal with the statement behind them, if one is there.
fn length_with_statement(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (head, _) = body.get(at..)?.split_first_chunk::<ENTRY>()?;
        let [tag, length @ ..] = *head;
        at = at.checked_add(ENTRY + usize::try_from(u32::from_le_bytes(length)).ok()?)?;
        match tag {
            STATEMENT => return (at <= body.len()).then_some(at),
            tag if is_of_a_principal(tag) => {}
            _ => return None,
        }
    }
}

fn is_of_a_principal(tag: u8) -> bool {
    matches!(tag, SUBJECT | ROLE | SCOPE | TENANT | ISSUER | CLAIM | STATEMENT | NUMBERED)
}

/// Of a statement's own entry: the signer, and until when it holds.
fn signer_and_end(entry: &[u8]) -> Option<(SignerId, u64)> {
    let (id, rest) = entry.split_first_chunk()?;
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let (end, _) = rest.split_first_chunk()?;
    Some((*id, u64::from_le_bytes(*end)))
}

fn text(bytes: &[u8]) -> Result<String, FrameError> {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| FrameError::Malformed("its context is not text"))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], FrameError> {
    bytes.try_into().map_err(|_| FrameError::Malformed("an entry of another length"))
}
