//! What of a caller's version of an interface, and of a callee's, does not fit together.
//!
//! What is sent is compared with what is read: arguments as the caller has them with those of the callee, and answers
//! the other way round. A part that only the reader has is no difference if it may be missing. A part of an answer that
//! only the sender has is none either, because it is not read. A part of an argument that only the sender has is one:
//! the caller means something by it.

use super::{Outline, Parts, Presence, Type};
use crate::interface::{InterfaceDescriptor, Method};
use std::{collections::HashSet, fmt};

/// The most differences that are found.
const MOST: usize = 8;
/// The most pairs of types that are compared, for each way: an outline comes from a peer.
const PAIRS: usize = 4096;
/// The deepest part that is compared.
const DEPTH: usize = 32;
/// The part of a place that is shown, in characters: it has names of a peer.
const SHOWN: usize = 120;

/// What two versions of an interface disagree about, as far as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    found: Vec<Difference>,
    /// Whether there are more.
    more: bool,
}

/// One disagreement about a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    method: &'static str,
    what: What,
}

/// What is different. Its text is the place: an argument or a part of it, `options.pages`; or a part of what comes back,
/// `answer.title`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The callee does not have the method.
    NoMethod,
    /// The sender may send a part or a variant that the reader does not know.
    Unknown(Way, String),
    /// The reader needs a part that the sender does not have.
    Lacking(Way, String),
    /// The sender may send null, and the reader does not take it.
    Null(Way, String),
    /// The types differ in something else.
    Type(Way, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the caller to the callee.
    There,
    /// From the callee to the caller.
    Back,
}

impl Outline {
    /// Compares a caller's version of an interface with this one, which is the callee's.
    pub fn differences(&self, ours: &'static InterfaceDescriptor) -> Differences {
        let outline = Self::of(ours);
        let mut found = Differences::default();
        let (mut there, mut back) = (HashSet::new(), HashSet::new());
        for method in ours.methods {
            let (Some(own), Some(theirs)) =
                (outline.methods.get(method.name()), self.methods.get(method.name()))
            else {
                found.add(method, What::NoMethod);
                continue;
            };
            let (own_types, their_types) = (&*outline.types, &*self.types);
            let found = &mut found;
            let (way, pairs) = (Way::There, &mut there);
            Walk { way, method, sender: own_types, reader: their_types, pairs, found }
                .compare(&own.takes, &theirs.takes);
            let (way, pairs) = (Way::Back, &mut back);
            Walk { way, method, sender: their_types, reader: own_types, pairs, found }
                .compare(&theirs.gives, &own.gives);
        }
        found
    }
}

/// Compares what goes one way.
struct Walk<'a> {
    way: Way,
    method: &'static Method,
    sender: &'a [Type],
    reader: &'a [Type],
    /// The places of types that were compared, so that each pair of types is told of once.
    pairs: &'a mut HashSet<(usize, usize)>,
    found: &'a mut Differences,
}

impl Walk<'_> {
    fn compare(&mut self, sent: &Parts, read: &Parts) {
        for (name, ..) in sent.all().filter(|(name, ..)| read.get(name).is_none()) {
            let argument = self.method.arguments.iter().find(|argument| argument.name == name);
            if self.way == Way::There && !argument.is_some_and(|known| known.may_be_ignored) {
                self.add(What::Unknown, name);
            }
        }
        self.common("", sent, read, DEPTH);
    }

    /// Compares what the reader takes with what there is of it.
    fn common(&mut self, place: &str, sent: &Parts, read: &Parts, depth: usize) {
        for (name, of, presence) in read.all() {
            match sent.get(name) {
                None if presence == Presence::Required => {
                    self.add(What::Lacking, &within(place, name));
                }
                None => {}
                Some((sent, sends)) => {
                    let place = within(place, name);
                    if sends == Presence::Nullable && presence != Presence::Nullable {
                        self.add(What::Null, &place);
                    }
                    self.types(&place, sent, of, depth);
                }
            }
        }
    }

    fn types(&mut self, place: &str, sent: usize, read: usize, depth: usize) {
        // A hello without room for its types has none.
        let (Some(sends), Some(reads)) = (self.sender.get(sent), self.reader.get(read)) else {
            return;
        };
        let Some(depth) = depth.checked_sub(1) else { return };
        if self.pairs.len() >= PAIRS || !self.pairs.insert((sent, read)) {
            return;
        }
        if sends.own != reads.own || sends.variants.is_empty() != reads.variants.is_empty() {
            return self.add(What::Type, place);
        }
        if self.way == Way::There || reads.closed {
            for (name, ..) in sends.parts.all().filter(|(name, ..)| reads.parts.get(name).is_none())
            {
                self.add(What::Unknown, &within(place, name));
            }
        }
        self.common(place, &sends.parts, &reads.parts, depth);
        for (name, sent) in &sends.variants {
            let place = format!("{place}::{name}");
            match reads.variants.get(name) {
                Some(read) => self.types(&place, *sent, *read, depth),
                None => self.add(What::Unknown, &place),
            }
        }
    }

    fn add(&mut self, what: fn(Way, String) -> What, place: &str) {
        let shown = place.chars().take(SHOWN);
        let shown = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.found.add(self.method, what(self.way, shown));
    }
}

/// The place of a part: `options.pages`, `lines[].sku`.
fn within(place: &str, name: &str) -> String {
    if place.is_empty() || name.starts_with(['[', '{', '&']) {
        format!("{place}{name}")
    } else {
        format!("{place}.{name}")
    }
}

impl Differences {
    /// Whether none was found. Versions may still differ in what no call notices.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn add(&mut self, method: &Method, what: What) {
        if self.found.len() < MOST {
            self.found.push(Difference { method: method.name(), what });
        } else {
            self.more = true;
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, difference) in self.found.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{difference}")?;
        }
        if self.more { f.write_str("; and more") } else { Ok(()) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method;
        match &self.what {
            What::NoMethod => write!(f, "the callee has no method `{method}`"),
            What::Unknown(Way::There, place) => {
                write!(f, "the callee does not know `{place}` of `{method}`")
            }
            What::Unknown(Way::Back, place) => {
                write!(f, "the caller does not know `{place}` of `{method}`")
            }
            What::Lacking(Way::There, place) => {
                write!(f, "the callee requires `{place}` of `{method}`, which the caller lacks")
            }
            What::Lacking(Way::Back, place) => {
                write!(f, "the caller requires `{place}` of `{method}`, which the callee lacks")
            }
            What::Null(Way::There, place) => {
                write!(f, "the callee takes no null for `{place}` of `{method}`")
            }
            What::Null(Way::Back, place) => {
                write!(f, "the caller takes no null for `{place}` of `{method}`")
            }
            What::Type(_, place) => write!(f, "`{place}` of `{method}` has different types"),
        }
    }
}
