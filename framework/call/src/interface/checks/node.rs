//! One place of a schema: what a value there is held to.

use super::{held::Number, pattern::Pattern, violation::Violation};
use serde_json::Value;
use std::collections::BTreeMap;

/// The types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonType {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl JsonType {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
        })
    }
}

/// What a schema says. Other nodes are named by their place in the list of all.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Whether a bound can be reached from here. What has none is not walked.
    pub(super) bounded: bool,
    pub(super) length: Count,
    pub(super) pattern: Option<Pattern>,
    pub(super) range: Range,
    pub(super) count: Count,
    pub(super) members: Count,

    pub(super) items: Option<usize>,
    pub(super) first_items: Vec<usize>,
    pub(super) properties: BTreeMap<String, usize>,
    pub(super) other_properties: Option<usize>,
    /// All of these hold.
    pub(super) also: Vec<usize>,
    /// One of these holds.
    pub(super) one_of: Vec<usize>,
    /// The only one of `one_of` that is not null: an `Option`.
    pub(super) option_of: Option<usize>,

    /// Empty where the schema does not say.
    pub(super) kinds: Vec<JsonType>,
    pub(super) values: Option<Vec<Value>>,
    pub(super) required: Vec<String>,
    /// No properties but those that are named.
    pub(super) closed: bool,
}

impl Node {
    pub(super) fn is_of(&self, kind: JsonType) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether it states a bound itself.
    pub(super) fn states_bounds(&self) -> bool {
        let counts = [self.length, self.count, self.members];
        counts.iter().any(Count::is_stated) || self.pattern.is_some() || self.range.is_stated()
    }

    pub(super) fn neighbours(&self) -> impl Iterator<Item = usize> {
        let inside = self.items.iter().chain(&self.first_items).chain(&self.other_properties);
        let same = self.also.iter().chain(&self.one_of);
        inside.chain(self.properties.values()).chain(same).copied()
    }

    /// Whether it leaves open which of several schemas applies.
    pub(super) fn has_alternatives(&self) -> bool {
        !self.one_of.is_empty() && self.option_of.is_none()
    }

    pub(super) fn check_text(&self, text: &str) -> Result<(), Violation> {
        if self.length.is_stated() {
            self.length.check(text.chars().count(), "character", "characters")?;
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_in(text) => {
                Err(Violation::new(format!("does not match the pattern `{pattern}`")))
            }
            _ => Ok(()),
        }
    }
}

/// `start`, and all that applies to the same value for certain.
pub(super) fn gather(nodes: &[Node], start: usize) -> Vec<&Node> {
    if !nodes[start].bounded {
        return Vec::new();
    }
    let (mut seen, mut left) = (Vec::new(), vec![start]);
    while let Some(at) = left.pop() {
        if seen.contains(&at) || !nodes[at].bounded {
            continue;
        }
        seen.push(at);
        left.extend(nodes[at].also.iter().copied().chain(nodes[at].option_of));
    }
    seen.into_iter().map(|at| &nodes[at]).collect()
}

/// How many of something there may be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

impl Count {
    pub(super) fn is_stated(&self) -> bool {
        self.least.is_some() || self.most.is_some()
    }

    pub(super) fn check(self, count: usize, one: &str, many: &str) -> Result<(), Violation> {
        let found = if count == 1 { one } else { many };
        let wrong = |bound| Err(Violation::new(format!("has {count} {found}, and {bound}")));
        match self {
            Self { least: Some(least), .. } if (count as u64) < least => {
                wrong(format!("must have at least {least}"))
            }
            Self { most: Some(most), .. } if count as u64 > most => {
                wrong(format!("may have at most {most}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether there are too many already, however many follow.
    pub(super) fn check_so_far(self, count: usize, many: &str) -> Result<(), Violation> {
        match self.most {
            Some(most) if count as u64 > most => {
                Err(Violation::new(format!("has more than {most} {many}")))
            }
            _ => Ok(()),
        }
    }
}

/// Where a number may be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    pub(super) least: Option<Number>,
    pub(super) most: Option<Number>,
    pub(super) above: Option<Number>,
    pub(super) below: Option<Number>,
    pub(super) multiple_of: Option<Number>,
}

impl Range {
    pub(super) fn is_stated(&self) -> bool {
        let all = [self.least, self.most, self.above, self.below, self.multiple_of];
        all.iter().any(Option::is_some)
    }

    pub(super) fn check(self, number: Number) -> Result<(), Violation> {
        let wrong = |bound: &str, limit: Number| {
            Err(Violation::new(format!("is {number}, and must be {bound} {limit}")))
        };
        match self {
            Self { least: Some(least), .. } if number < least => wrong("at least", least),
            Self { most: Some(most), .. } if number > most => wrong("at most", most),
            Self { above: Some(above), .. } if number <= above => wrong("above", above),
            Self { below: Some(below), .. } if number >= below => wrong("below", below),
            Self { multiple_of: Some(factor), .. } if !number.is_multiple_of(factor) => {
                wrong("a multiple of", factor)
            }
            _ => Ok(()),
        }
    }
}
