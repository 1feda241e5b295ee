//! Data walked as it is read, without keeping it.

use super::{
    held::{self, Fault, Held, Hold, MOST_PARTS, Number, Strict},
    node::{self, Count, Node},
    violation::{Segment, Sink, Violation},
};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::{cell::Cell, fmt, rc::Rc};

/// Follows one value. What no bound can be reached from is passed over.
pub struct Walk<'a> {
    nodes: &'a [Node],
    /// All that applies to the value. The items of a list share it.
    here: Option<Rc<[&'a Node]>>,
    sink: &'a Sink,
}

impl<'a> Walk<'a> {
    pub(super) fn new(nodes: &'a [Node], at: usize, sink: &'a Sink) -> Self {
        Self { nodes, here: shared(node::gather(nodes, at)), sink }
    }

    /// The walk of a value inside this one.
    fn below(&self, inside: impl Fn(&'a Node) -> Option<usize>) -> Self {
        let mut here = Vec::new();
        for at in self.here().iter().filter_map(|node| inside(node)) {
            here.extend(node::gather(self.nodes, at));
        }
        Self { nodes: self.nodes, here: shared(here), sink: self.sink }
    }

    fn here(&self) -> &[&'a Node] {
        self.here.as_deref().unwrap_or_default()
    }

    fn hold_to<E: Error>(&self, check: impl Fn(&Node) -> Result<(), Violation>) -> Result<(), E> {
        self.here()
            .iter()
            .try_for_each(|node| check(node).map_err(|violation| self.fail(violation)))
    }

    fn fail<E: Error>(&self, violation: Violation) -> E {
        self.sink.borrow_mut().get_or_insert(violation);
        E::custom("a value is outside of its bounds")
    }

    /// Says where a violation inside this value is.
    fn inside<T, E>(
        &self,
        result: Result<T, E>,
        segment: impl FnOnce() -> Segment,
    ) -> Result<T, E> {
        if result.is_err() {
            let found = self.sink.take();
            *self.sink.borrow_mut() = found.map(|violation| violation.within(segment()));
        }
        result
    }

    fn number<E: Error>(self, number: Number) -> Result<(), E> {
        self.hold_to(|node| node.range.check(number))
    }

    /// What is left open by a type is seen once all of the value is there.
    fn keep<'de, D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let parts = Cell::new(MOST_PARTS);
        let held = Hold(&parts).deserialize(from).map_err(|error| {
            if parts.get() == 0 {
                let what = format!("has more than {MOST_PARTS} parts, which cannot be checked");
                return self.fail(Violation::new(what));
            }
            error
        })?;
        for node in self.here() {
            let judged = held::judge(self.nodes, node, &held, Strict::No);
            if let Err(Fault::Bound(violation)) = judged {
                return Err(self.fail(violation));
            }
        }
        Ok(())
    }
}

fn shared(here: Vec<&Node>) -> Option<Rc<[&Node]>> {
    if here.is_empty() { None } else { Some(here.into()) }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.here.is_none() {
            return IgnoredAny::deserialize(from).map(drop);
        }
        if self.here().iter().any(|node| node.has_alternatives()) {
            return self.keep(from);
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(Number::Whole(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(Number::Whole(number.into()))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<(), E> {
        self.number(Number::Whole(number))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<(), E> {
        self.number(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(Number::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.hold_to(|node| node.check_text(text))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        self.hold_to(|node| node.count.check(bytes.len(), "byte", "bytes"))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.deserialize(from)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut count = 0;
        let in_order = self.here().iter().any(|node| !node.first_items.is_empty());
        let every = self.below(|node| node.items);
        loop {
            let inner = if in_order {
                self.below(|node| node.first_items.get(count).copied().or(node.items))
            } else {
                Self { here: every.here.clone(), ..every }
            };
            let item = items.next_element_seed(inner);
            if self.inside(item, || Segment::Item(count))?.is_none() {
                break;
            }
            count += 1;
            // Not after the last one: what is too long need not be read.
            self.hold_to(|node| node.count.check_so_far(count, "items"))?;
        }
        self.hold_to(|node| node.count.check(count, "item", "items"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let keys = Cell::new(usize::MAX);
        let counts = |count: usize, check: fn(Count, usize) -> Result<(), Violation>| {
            self.hold_to(|node| check(node.members, count))
        };
        let mut count = 0;
        while let Some(key) = entries.next_key_seed(Hold(&keys))? {
            let key = Held::into_key(key);
            count += 1;
            counts(count, |members, count| members.check_so_far(count, "members"))?;
            let inner =
                self.below(|node| node.properties.get(&key).copied().or(node.other_properties));
            self.inside(entries.next_value_seed(inner), || Segment::Member(key))?;
        }
        counts(count, |members, count| members.check(count, "member", "members"))
    }
}
