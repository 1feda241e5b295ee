//! Reads a section as the type that its owner gives it, and finds every mistake in it.
//!
//! serde ends at the first mistake. So each key that is wrong is noted and taken out, and the rest
//! is read again. A struct names its fields to whoever deserializes it: that is how unknown keys are
//! told from known ones, also where the type would ignore them.

use super::found::unknown_key;
use figment::value::{Dict, Num, Value};
use monolift_call::SECRET;
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
    /// Those of them that are secrets.
    secrets: BTreeSet<String>,
}

impl Found {
    /// Whether a key is a secret, or a part of one.
    pub(super) fn is_secret(&self, key: &str) -> bool {
        let is_in = |secret: &String| {
            key.strip_prefix(secret.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || secret.is_empty())
        };
        self.secrets.iter().any(is_in)
    }
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
                let error = error.about::<T>(&section);
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

/// Why a value cannot be read. It says what was expected, and never the value, which may be a secret.
#[derive(Debug)]
pub(super) struct ReadError {
    key: String,
    message: String,
    /// Whether the message is from the type's own code, which may quote the value.
    foreign: bool,
}

impl ReadError {
    fn ours(message: impl Into<String>) -> Self {
        Self { key: String::new(), message: message.into(), foreign: false }
    }

    /// The same about `value`, which was to be a `T`: what would quote it is replaced.
    fn about<T>(mut self, value: &Value) -> Self {
        if std::mem::take(&mut self.foreign) && quotes(&self.message, value) {
            self.message = format!("cannot be read as {}", short_name::<T>());
        }
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { foreign: true, ..Self::ours(message.to_string()) }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        Self::ours(format!("expected {}, found {}", plain(&expected), kind(found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::ours(format!("expected {}", plain(&expected.to_string())))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::ours(format!("expected {}, found {length} items", plain(&expected.to_string())))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::ours(format!("expected one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { key: field.to_owned(), ..Self::ours("is missing, and has no default") }
    }
}

/// Whether `message` holds any word of `value`.
fn quotes(message: &str, value: &Value) -> bool {
    let message = message.to_lowercase();
    let is_in = |text: &str| {
        let text = text.to_lowercase();
        let words = text.split(|c: char| !c.is_alphanumeric());
        words.chain([text.trim()]).any(|word| !word.is_empty() && message.contains(word))
    };
    match value {
        Value::String(_, text) => is_in(text),
        Value::Dict(_, dict) => dict.values().any(|value| quotes(&message, value)),
        Value::Array(_, items) => items.iter().any(|item| quotes(&message, item)),
        Value::Char(_, letter) => is_in(&letter.to_string()),
        Value::Num(..) => message.contains(|c: char| c.is_ascii_digit()),
        Value::Bool(..) | Value::Empty(..) => false,
    }
}

/// A type's name without where it is.
fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let name =
        name.strip_prefix("core::option::Option<").map_or(name, |name| &name[..name.len() - 1]);
    let path = name.split('<').next().unwrap_or(name);
    path.rsplit("::").next().unwrap_or(path)
}

/// What was found, without its value.
fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a section",
        Unexpected::Unit | Unexpected::Option => "nothing",
        _ => "something else",
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
                    (None, None) => Err(ReadError::ours("a number that cannot be counted")),
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
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == SECRET {
            self.notes.found.borrow_mut().secrets.insert(self.key.clone());
        }
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
            _ => Err(ReadError::unknown_variant("", variants)),
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
        let value = self.next.take().ok_or_else(|| ReadError::ours("a value without a key"))?;
        let (key, found) = (value.key.clone(), value.value);
        seed.deserialize(value).map_err(|error| {
            let error = error.about::<V::Value>(found);
            // From the inside out, each table puts its own key in front.
            let last = key.rsplit('.').next().unwrap_or_default();
            let key = match error.key.as_str() {
                "" => last.to_owned(),
                inner => format!("{last}.{inner}"),
            };
            ReadError { key, ..error }
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
