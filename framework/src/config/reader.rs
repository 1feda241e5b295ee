//! Reads a section as the type that its owner gives it, and finds every mistake in it.
//!
//! serde ends at the first mistake. So each key that is wrong is noted and taken out, and the rest
//! is read again. A struct names its fields to whoever deserializes it: that is how unknown keys are
//! told from known ones, also where the type would ignore them.

use super::found::unknown_key;
use figment::value::{Dict, Num, Value};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
    value::{MapAccessDeserializer, StrDeserializer},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Mistakes in one section, beyond which there is no point in going on.
const MOST: usize = 50;

/// A mistake: the key below the section, and what is wrong with it.
pub(super) type Mistake = (String, String);

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) mistakes: Vec<Mistake>,
    /// The keys that the type has.
    pub(super) keys: BTreeSet<String>,
}

/// Reads `section` as `T`. `texts` are the values that the environment gave, as they were written:
/// it has no types, so a text of digits is a text where one is wanted.
pub(super) fn read<T: DeserializeOwned>(
    section: &Value,
    texts: &BTreeMap<String, String>,
) -> (Option<T>, Found) {
    let mut section = section.clone();
    let notes = Notes { texts, found: RefCell::default() };
    let mut wrong = Vec::new();
    let value = loop {
        notes.found.borrow_mut().mistakes.clear();
        match T::deserialize(Reader { value: &section, key: String::new(), notes: &notes }) {
            Ok(value) => break Some(value),
            Err(error) => {
                let taken_out = take_out(&mut section, &error.key);
                wrong.push((error.key, error.message));
                if !taken_out || wrong.len() >= MOST {
                    break None;
                }
            }
        }
    };
    let mut found = notes.found.into_inner();
    // A key that was taken out may be missed then: that is no mistake of its own.
    let known: BTreeSet<String> = wrong.iter().map(|(key, _)| key.clone()).collect();
    let mut seen = BTreeSet::new();
    wrong.retain(|(key, _)| seen.insert(key.clone()));
    found.mistakes.retain(|(key, _)| !known.contains(key));
    found.mistakes.extend(wrong);
    found.mistakes.sort();
    let value = value.filter(|_| found.mistakes.is_empty());
    (value, found)
}

/// Whether there was such a key.
fn take_out(section: &mut Value, key: &str) -> bool {
    let Value::Dict(_, dict) = section else { return false };
    match key.split_once('.') {
        None => dict.remove(key).is_some(),
        Some((first, rest)) => dict.get_mut(first).is_some_and(|inner| take_out(inner, rest)),
    }
}

struct Notes<'a> {
    texts: &'a BTreeMap<String, String>,
    found: RefCell<Found>,
}

/// One value, and where it is.
#[derive(Clone)]
struct Reader<'a> {
    value: &'a Value,
    key: String,
    notes: &'a Notes<'a>,
}

impl<'a> Reader<'a> {
    fn below(&self, key: &str, value: &'a Value) -> Self {
        let key = if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) };
        Self { value, key, notes: self.notes }
    }
}

/// Why a value cannot be read.
#[derive(Debug)]
pub(super) struct ReadError {
    key: String,
    message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { key: String::new(), message: message.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {}, found {found}", plain(&expected.to_string())))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {}, found {found}", plain(&expected.to_string())))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { key: field.to_owned(), message: "is missing, and has no default".to_owned() }
    }
}

/// What serde expects, for people who do not know Rust.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        expected if expected.starts_with("struct ") => "a section",
        expected => expected,
    }
}

macro_rules! as_any {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            self.deserialize_any(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(_, text) => visitor.visit_str(text),
            Value::Char(_, letter) => visitor.visit_char(*letter),
            Value::Bool(_, truth) => visitor.visit_bool(*truth),
            Value::Num(_, number) => match *number {
                Num::F32(number) => visitor.visit_f32(number),
                Num::F64(number) => visitor.visit_f64(number),
                number => match (number.to_u128(), number.to_i128()) {
                    (Some(number), _) => match u64::try_from(number) {
                        Ok(number) => visitor.visit_u64(number),
                        Err(_) => visitor.visit_u128(number),
                    },
                    (None, Some(number)) => match i64::try_from(number) {
                        Ok(number) => visitor.visit_i64(number),
                        Err(_) => visitor.visit_i128(number),
                    },
                    (None, None) => Err(ReadError::custom("a number that cannot be counted")),
                },
            },
            Value::Empty(..) => visitor.visit_unit(),
            Value::Dict(_, dict) => visitor.visit_map(Entries::of(&self, dict, None)),
            Value::Array(_, items) => visitor.visit_seq(Items { reader: &self, items, at: 0 }),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Dict(_, dict) => visitor.visit_map(Entries::of(&self, dict, Some(fields))),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Empty(..) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(_, text) if variants.contains(&text.as_str()) => {
                let text: StrDeserializer<'_, ReadError> = text.as_str().into_deserializer();
                visitor.visit_enum(text)
            }
            Value::Dict(_, dict) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::of(&self, dict, None)))
            }
            _ => Err(ReadError::custom(format_args!("expected one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.notes.texts.get(&self.key) {
            Some(text) => visitor.visit_str(text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    as_any! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier deserialize_ignored_any
    }
}

/// The entries of a table.
struct Entries<'a> {
    entries: Vec<(&'a str, Reader<'a>)>,
    next: Option<Reader<'a>>,
}

impl<'a> Entries<'a> {
    /// Those that the type knows; the others are noted. Without fields, all of them.
    fn of(reader: &Reader<'a>, dict: &'a Dict, fields: Option<&'static [&'static str]>) -> Self {
        let mut entries = Vec::new();
        for (key, value) in dict {
            let below = reader.below(key, value);
            match fields {
                Some(fields) if !fields.contains(&key.as_str()) => {
                    let mistake = (below.key, unknown_key(key, fields));
                    reader.notes.found.borrow_mut().mistakes.push(mistake);
                }
                _ => entries.push((key.as_str(), below)),
            }
        }
        if let Some(fields) = fields {
            let keys = fields.iter().map(|field| reader.below(field, reader.value).key);
            reader.notes.found.borrow_mut().keys.extend(keys);
        }
        entries.reverse();
        Self { entries, next: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.entries.pop() else { return Ok(None) };
        self.next = Some(value);
        let key: StrDeserializer<'_, ReadError> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let value = self.next.take().ok_or_else(|| ReadError::custom("a value without a key"))?;
        let key = value.key.clone();
        seed.deserialize(value).map_err(|error| {
            // From the inside out, each table puts its own key in front.
            let last = key.rsplit('.').next().unwrap_or_default();
            let key = match error.key.as_str() {
                "" => last.to_owned(),
                inner => format!("{last}.{inner}"),
            };
            ReadError { key, message: error.message }
        })
    }
}

/// The items of a list.
struct Items<'a, 'b> {
    reader: &'b Reader<'a>,
    items: &'a [Value],
    at: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some(item) = self.items.get(self.at) else { return Ok(None) };
        self.at += 1;
        seed.deserialize(Reader { value: item, ..self.reader.clone() }).map(Some)
    }
}
