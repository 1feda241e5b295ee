//! What tracing systems have to say of a trace: W3C's `tracestate`, which is passed on and never used.

use std::{fmt, sync::Arc};

/// The most members that a list has.
const MOST: usize = 32;
/// The longest list that is passed on, in bytes. The W3C asks for 512 at least.
const LONGEST: usize = 2_048;
/// In a list that is too long, members above this go first.
const LONG: usize = 128;

/// A `tracestate` that is valid: its members, the latest system's first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// The members of all headers, in their order. `None` if there are none, or if anything is not valid: half a list
    /// may mean something else than the whole.
    pub(super) fn combined<'a>(headers: impl Iterator<Item = Option<&'a str>>) -> Option<Self> {
        let mut members: Vec<Member<'_>> = Vec::new();
        for header in headers {
            for text in header?.split(',') {
                let text = text.trim_matches([' ', '\t']);
                if text.is_empty() {
                    continue;
                }
                let member = Member::parse(text)?;
                // A system has one member. The first is the latest.
                if members.iter().any(|known| known.key == member.key) {
                    continue;
                }
                if members.len() == MOST {
                    return None;
                }
                members.push(member);
            }
        }
        cut(&mut members);
        let texts: Vec<&str> = members.iter().map(|member| member.text).collect();
        (!texts.is_empty()).then(|| Self(texts.join(",").into()))
    }

    /// One that arrives from another process.
    pub fn parse(text: &str) -> Option<Self> {
        Self::combined(std::iter::once(Some(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One system's part: `key=value`.
struct Member<'a> {
    key: &'a str,
    text: &'a str,
}

impl<'a> Member<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        (is_key(key) && is_value(value)).then_some(Self { key, text })
    }
}

/// A system's name, or a tenant's at a system: `congo`, `fw529a3039@dt`.
fn is_key(key: &str) -> bool {
    let rest = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
    };
    let is_name = |text: &str, most: usize| {
        text.len() <= most
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && rest(text)
    };
    let is_tenant = |text: &str| {
        let begins = |first: char| first.is_ascii_lowercase() || first.is_ascii_digit();
        text.len() <= 241 && text.starts_with(begins) && rest(text)
    };
    match key.split_once('@') {
        None => is_name(key, 256),
        Some((tenant, system)) => is_tenant(tenant) && is_name(system, 14),
    }
}

/// Printable ASCII without `,` and `=`. Blanks around it were taken away with those around the member.
fn is_value(value: &str) -> bool {
    let may_stand = |byte| matches!(byte, 0x20..=0x7e) && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(may_stand)
}

/// Takes members out of a list that is too long: long ones first, then the oldest.
fn cut(members: &mut Vec<Member<'_>>) {
    let is_too_long = |members: &[Member<'_>]| {
        members.iter().map(|member| member.text.len() + 1).sum::<usize>() > LONGEST + 1
    };
    while is_too_long(members) {
        let long = members.iter().rposition(|member| member.text.len() > LONG);
        members.remove(long.unwrap_or(members.len() - 1));
    }
}
