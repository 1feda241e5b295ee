//! A value that is kept while it is seen which of several schemas it follows.

use super::{
    node::{JsonType, Node},
    violation::{Segment, Violation},
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{cell::Cell, cmp::Ordering, fmt};

/// The most parts of a value that is kept.
pub(super) const MOST_PARTS: usize = 1 << 17;

/// A number, as exactly as it can be had.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        // Rust's `1.0` as a bound is the number 1.
        let exact =
            |float: f64| (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i128);
        whole
            .or_else(|| number.as_f64().and_then(exact))
            .map(Self::Whole)
            .or_else(|| number.as_f64().map(Self::Float))
    }

    fn as_f64(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn is_whole(self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Float(number) => number.fract() == 0.0,
        }
    }

    pub(super) fn is_multiple_of(self, factor: Self) -> bool {
        match (self, factor) {
            (_, Self::Whole(0)) => true,
            (Self::Whole(number), Self::Whole(factor)) => number % factor == 0,
            _ => {
                let times = self.as_f64() / factor.as_f64();
                // 0.3 is a multiple of 0.1, whatever binary fractions say.
                (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0)
            }
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(other)),
            _ => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
        }
    }
}

impl From<u128> for Number {
    fn from(number: u128) -> Self {
        i128::try_from(number).map_or(Self::Float(number as f64), Self::Whole)
    }
}

#[derive(Debug)]
pub(super) enum Held {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// What JSON has no type for.
    Bytes,
    List(Vec<Held>),
    Map(Vec<(String, Held)>),
}

impl Held {
    /// As the key of a map.
    pub(super) fn into_key(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Bool(truth) => truth.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn is_of(&self, kind: JsonType) -> bool {
        match self {
            Self::Null => kind == JsonType::Null,
            Self::Bool(_) => kind == JsonType::Boolean,
            Self::Number(number) => {
                kind == JsonType::Number || kind == JsonType::Integer && number.is_whole()
            }
            Self::Text(_) => kind == JsonType::String,
            // serde_bytes and its like call themselves arrays of numbers.
            Self::Bytes => kind == JsonType::Array || kind == JsonType::String,
            Self::List(_) => kind == JsonType::Array,
            Self::Map(_) => kind == JsonType::Object,
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(one), Value::Bool(other)) => one == other,
            (Self::Number(one), other) => Number::of(other).is_some_and(|other| *one == other),
            (Self::Text(one), Value::String(other)) => one == other,
            (Self::List(ones), Value::Array(others)) => {
                ones.len() == others.len() && ones.iter().zip(others).all(|(a, b)| a.is(b))
            }
            (Self::Map(ones), Value::Object(others)) => {
                let same = |(key, one): &(String, Self)| others.get(key).is_some_and(|b| one.is(b));
                ones.len() == others.len() && ones.iter().all(same)
            }
            _ => false,
        }
    }
}

/// Reads a value to be kept, as long as there are parts left.
#[derive(Clone, Copy)]
pub(super) struct Hold<'a>(pub(super) &'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Hold<'_> {
    type Value = Held;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Held, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else {
            return Err(D::Error::custom("the value has too many parts"));
        };
        self.0.set(left);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Hold<'_> {
    type Value = Held;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Held, E> {
        Ok(Held::Null)
    }

    fn visit_none<E>(self) -> Result<Held, E> {
        Ok(Held::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Held, E> {
        Ok(Held::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Held, E> {
        Ok(Held::Number(Number::Whole(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Held, E> {
        Ok(Held::Number(Number::Whole(number.into())))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Held, E> {
        Ok(Held::Number(Number::Whole(number)))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Held, E> {
        Ok(Held::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Held, E> {
        Ok(Held::Number(Number::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Held, E> {
        Ok(Held::Text(text.to_owned()))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Held, E> {
        Ok(Held::Bytes)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Held, D::Error> {
        self.deserialize(from)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Held, D::Error> {
        self.deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Held, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Held::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Held, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key_seed(self)? {
            map.push((key.into_key(), entries.next_value_seed(self)?));
        }
        Ok(Held::Map(map))
    }
}

/// Whether types count, or bounds only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strict {
    Yes,
    No,
}

/// Why a value does not follow a schema.
pub(super) enum Fault {
    /// It is another type, so the schema is not meant for it.
    Shape,
    /// It is the right type, and outside of its bounds.
    Bound(Violation),
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Bound(violation)
    }
}

/// Whether `held` follows the schema of `node`. A wrong type counts more than a bound.
pub(super) fn judge(nodes: &[Node], node: &Node, held: &Held, strict: Strict) -> Result<(), Fault> {
    if strict == Strict::No && !node.bounded {
        return Ok(());
    }
    let mut bound = None;
    let mut keep = |result: Result<(), Fault>| match result {
        Err(Fault::Bound(violation)) => {
            bound.get_or_insert(violation);
            Ok(())
        }
        other => other,
    };
    if strict == Strict::Yes {
        let of_kind = node.kinds.is_empty() || node.kinds.iter().any(|kind| held.is_of(*kind));
        let of_values = node.values.as_ref().is_none_or(|all| all.iter().any(|one| held.is(one)));
        if !of_kind || !of_values {
            return Err(Fault::Shape);
        }
    }
    for also in &node.also {
        keep(judge(nodes, &nodes[*also], held, strict))?;
    }
    keep(alternatives(nodes, node, held, strict))?;
    match held {
        Held::Null | Held::Bool(_) | Held::Bytes => {}
        Held::Number(number) => keep(node.range.check(*number).map_err(Fault::from))?,
        Held::Text(text) => keep(node.check_text(text).map_err(Fault::from))?,
        Held::List(items) => {
            keep(node.count.check(items.len(), "item", "items").map_err(Fault::from))?;
            for (number, item) in items.iter().enumerate() {
                if let Some(inner) = node.first_items.get(number).copied().or(node.items) {
                    keep(within(judge(nodes, &nodes[inner], item, strict), || {
                        Segment::Item(number)
                    }))?;
                }
            }
        }
        Held::Map(entries) => {
            let has = |name: &String| entries.iter().any(|(key, _)| key == name);
            if strict == Strict::Yes && !node.required.iter().all(has) {
                return Err(Fault::Shape);
            }
            keep(node.members.check(entries.len(), "member", "members").map_err(Fault::from))?;
            for (key, value) in entries {
                match node.properties.get(key).copied().or(node.other_properties) {
                    Some(inner) => {
                        let judged = judge(nodes, &nodes[inner], value, strict);
                        keep(within(judged, || Segment::Member(key.clone())))?;
                    }
                    None if node.closed && strict == Strict::Yes => return Err(Fault::Shape),
                    None => {}
                }
            }
        }
    }
    bound.map_or(Ok(()), |violation| Err(Fault::Bound(violation)))
}

/// One of them has to hold. Where a value has the shape of one and is outside of its bounds, that is
/// the fault; where it has the shape of none, it is for its reader to say so.
fn alternatives(nodes: &[Node], node: &Node, held: &Held, strict: Strict) -> Result<(), Fault> {
    let mut found = if node.one_of.is_empty() { Ok(()) } else { Err(Fault::Shape) };
    for alternative in &node.one_of {
        match judge(nodes, &nodes[*alternative], held, Strict::Yes) {
            Ok(()) => return Ok(()),
            Err(Fault::Bound(violation)) if matches!(found, Err(Fault::Shape)) => {
                found = Err(Fault::Bound(violation));
            }
            Err(_) => {}
        }
    }
    match found {
        Err(Fault::Shape) if strict == Strict::No => Ok(()),
        found => found,
    }
}

fn within(judged: Result<(), Fault>, segment: impl FnOnce() -> Segment) -> Result<(), Fault> {
    judged.map_err(|fault| match fault {
        Fault::Shape => Fault::Shape,
        Fault::Bound(violation) => Fault::Bound(violation.within(segment())),
    })
}
