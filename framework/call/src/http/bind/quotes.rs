//! Whether a text repeats what a client sent.

use crate::http::HttpCall;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

/// What is shorter is no secret, and stands in many texts by chance.
const LEAST: usize = 4;

/// Whether `text` holds a value of the request: of its path, its query, or its body.
pub(super) fn quotes(text: &str, call: &HttpCall) -> bool {
    let mut found = false;
    let mut look = Look { text, found: &mut found };
    let path = call.path.iter().map(|(_, value)| value);
    for value in path.chain(call.query.iter().map(|(_, value)| value)) {
        look.again().look(value);
    }
    // A body that ends too early has been looked at as far as it goes.
    let _ = look.deserialize(&mut serde_json::Deserializer::from_slice(&call.body));
    found
}

struct Look<'a> {
    text: &'a str,
    found: &'a mut bool,
}

impl Look<'_> {
    fn holds(&self, value: &str) -> bool {
        let value = value.trim();
        // What is shown may be shortened, or escaped.
        let begin = &value[..value.floor_char_boundary(100)];
        value.len() >= LEAST && (self.text.contains(begin) || self.text.contains(&escaped(begin)))
    }

    fn look(self, value: &str) {
        *self.found |= self.holds(value);
    }

    fn again(&mut self) -> Look<'_> {
        Look { text: self.text, found: self.found }
    }
}

fn escaped(value: &str) -> String {
    value.escape_debug().to_string()
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if *self.found {
            return IgnoredAny::deserialize(from).map(drop);
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.look(&number.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.look(&number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.look(&number.to_string());
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.look(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_key_seed(self.again())?.is_some() {
            entries.next_value_seed(self.again())?;
        }
        Ok(())
    }
}
