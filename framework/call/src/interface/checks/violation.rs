//! Where a value is outside of its bounds, and how it should be.

use super::Part;
use std::{cell::RefCell, fmt};

/// Where the first violation of a walk is put: a deserializer's own error has no room for it.
pub(super) type Sink = RefCell<Option<Violation>>;

/// The most of a map's key that is shown.
const LONGEST_KEY: usize = 40;

/// A value outside of its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// From the value outwards.
    path: Vec<Segment>,
    what: String,
    answer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Member(String),
    Item(usize),
}

impl Violation {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { path: Vec::new(), what: what.into(), answer: false }
    }

    /// The same, seen from what holds the value.
    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }

    pub(super) fn of(mut self, part: Part<'_>) -> Self {
        match part {
            Part::Arguments => {}
            Part::Argument(name) => self.path.push(Segment::Member(name.to_owned())),
            Part::Answer => self.answer = true,
        }
        self
    }
}

impl fmt::Display for Violation {
    /// ``argument `order`: `lines[3].quantity` is 0, and must be at least 1``
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut outwards = &self.path[..];
        if self.answer {
            f.write_str("the answer")?;
        } else if let Some((Segment::Member(name), rest)) = outwards.split_last() {
            write!(f, "argument `{name}`")?;
            outwards = rest;
        }
        if !outwards.is_empty() {
            f.write_str(": `")?;
            for (at, segment) in outwards.iter().rev().enumerate() {
                match segment {
                    Segment::Item(number) => write!(f, "[{number}]")?,
                    Segment::Member(name) => {
                        let dot = if at == 0 { "" } else { "." };
                        let shown = &name[..name.floor_char_boundary(LONGEST_KEY)];
                        let more = if shown.len() < name.len() { "…" } else { "" };
                        write!(f, "{dot}{}{more}", shown.escape_debug())?;
                    }
                }
            }
            f.write_str("`")?;
        }
        write!(f, " {}", self.what)
    }
}

impl std::error::Error for Violation {}
