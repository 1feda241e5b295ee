//! Arguments that are the members of a JSON object.
//!
//! The object is not read into a tree first: each value goes straight from the body into its
//! argument, so that nothing of it is lost on the way. The arguments that are in the path come
//! before the members, as if they were the first ones.

use super::{Fields, document, error::BindError, text::Text, unreadable, whole::Whole};
use monolift_manifest::nearest;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor, value::BorrowedStrDeserializer,
};
use std::fmt;

/// Reads the arguments `names` from `texts` and from an object.
pub(super) struct Members<'de, V> {
    pub(super) visitor: V,
    pub(super) texts: Vec<(&'static str, Text<'de>)>,
    pub(super) names: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Members<'de, V> {
    pub(super) fn read(self, body: &'de [u8]) -> Result<V::Value, BindError> {
        let mut cause = None;
        let object = Object { members: self, cause: &mut cause };
        document(body, |json| json.deserialize_map(object))
            .map_err(|error| unreadable(body, cause.unwrap_or_else(|| BindError::of_json(&error))))
    }
}

/// The object, as JSON's deserializer shows it.
struct Object<'a, 'de, V> {
    members: Members<'de, V>,
    /// Our own error: JSON's can hold nothing but a text.
    cause: &'a mut Option<BindError>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members are the arguments")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<V::Value, M::Error> {
        let Members { visitor, texts, names } = self.members;
        let in_path = texts.iter().map(|(name, _)| *name).collect();
        let texts = Some(Fields::new(texts, None));
        let both = TextsThenMembers { texts, map, names, in_path, member: "" };
        visitor.visit_map(both).map_err(|error| {
            *self.cause = Some(error);
            M::Error::custom("the arguments cannot be read")
        })
    }
}

struct TextsThenMembers<'de, M> {
    /// `None` once they have all been read.
    texts: Option<Fields<'de>>,
    map: M,
    names: &'static [&'static str],
    in_path: Vec<&'static str>,
    /// The member whose value comes next.
    member: &'static str,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for TextsThenMembers<'de, M> {
    type Error = BindError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, BindError> {
        if let Some(texts) = &mut self.texts {
            if !texts.is_empty() {
                return texts.next_key_seed(seed);
            }
            self.texts = None;
        }
        let key = self.map.next_key::<String>().map_err(|error| BindError::of_json(&error))?;
        let Some(key) = key else {
            return Ok(None);
        };
        self.member = self.argument(&key)?;
        seed.deserialize(BorrowedStrDeserializer::new(self.member)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, BindError> {
        if let Some(texts) = &mut self.texts {
            return texts.next_value_seed(seed);
        }
        self.map
            .next_value_seed(Whole(seed))
            .map_err(|error| BindError::of_json(&error).of_argument(self.member))
    }
}

impl<M> TextsThenMembers<'_, M> {
    /// The argument that a member stands for.
    fn argument(&self, key: &str) -> Result<&'static str, BindError> {
        let Some(name) = self.names.iter().find(|name| **name == key) else {
            // A name that is like none may be a value in the wrong place.
            let told = match nearest(key, self.names.iter().copied()) {
                Some(near) => format!("no argument is called `{key}`: did you mean `{near}`?"),
                None => format!("the body has a member that is no argument: {}", self.takes()),
            };
            return Err(BindError::Other(told));
        };
        if self.in_path.contains(name) {
            return Err(BindError::Other(format!(
                "argument `{name}` is in the path already: take it out of the body"
            )));
        }
        Ok(name)
    }

    fn takes(&self) -> String {
        let taken = self.names.iter().filter(|name| !self.in_path.contains(name));
        let taken: Vec<_> = taken.map(|name| format!("`{name}`")).collect();
        match &*taken {
            [] => "it takes none".to_owned(),
            taken => format!("it takes {}", taken.join(", ")),
        }
    }
}
