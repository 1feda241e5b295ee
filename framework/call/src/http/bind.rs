//! Reads a method's arguments, by name, from where a request gives them: path, query, body.
//!
//! The arguments are the fields of a struct, so all that this deserializer does is
//! `deserialize_struct`. What is in the path or the query is text (see [`text`]); what is in the
//! body is JSON, read straight into the arguments (see [`members`]). An argument that is nowhere is
//! left out, so that `Option` and `#[serde(default)]` mean what they mean anywhere.

mod check;
mod error;
mod members;
mod quotes;
mod text;
mod whole;

pub use check::check;

use self::{error::BindError, members::Members, text::Text, whole::Whole};
use super::{HttpCall, Problem};
use crate::interface::HttpMethod;
use http::StatusCode;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor,
    value::BorrowedStrDeserializer,
};

/// Reads the arguments of `call`, or says which one cannot be read and why.
pub(super) fn read<A: DeserializeOwned>(call: &HttpCall) -> Result<A, Problem> {
    let source = Source::of(call);
    let takes_body = !matches!(source, Source::Query);
    if takes_body && !call.body.is_empty() && !call.json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "the body must be JSON, with the content type application/json",
        ));
    }
    A::deserialize(Arguments { call, source }).map_err(|error| {
        let detail = match error {
            BindError::Missing(name) => {
                format!("argument `{name}` is missing: {}", source.place_of(name, call))
            }
            error => error.told(call),
        };
        bad(detail)
    })
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-arguments", detail)
}

/// Where the arguments are that the path does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// In the query.
    Query,
    /// This one is the whole body; others are in the query.
    Body(&'static str),
    /// They are the members of an object, which is the body.
    Members,
}

impl Source {
    fn of(call: &HttpCall) -> Self {
        match (call.route.method, call.route.body) {
            (HttpMethod::Get | HttpMethod::Delete, _) => Self::Query,
            (_, Some(argument)) => Self::Body(argument),
            (_, None) => Self::Members,
        }
    }

    fn place_of(self, name: &str, call: &HttpCall) -> String {
        match self {
            Self::Query => {
                format!("a {} takes it from the query", call.route.method.as_str())
            }
            Self::Body(argument) if argument == name => "it is the body, as JSON".to_owned(),
            Self::Body(_) => "it is taken from the query".to_owned(),
            Self::Members => "it is a member of the body, which is a JSON object".to_owned(),
        }
    }
}

struct Arguments<'de> {
    call: &'de HttpCall,
    source: Source,
}

impl<'de> Arguments<'de> {
    /// The arguments that are text, with what they say.
    fn texts(&self, names: &'static [&'static str]) -> Vec<(&'static str, Text<'de>)> {
        let path = &self.call.path;
        let in_path = |name: &str| path.iter().find(|(known, _)| *known == name);
        let in_query = |name: &str| match self.source {
            Source::Members => None,
            Source::Body(argument) if argument == name => None,
            Source::Query | Source::Body(_) => Text::from_query(&self.call.query, name),
        };
        names
            .iter()
            .filter_map(|name| {
                let text = in_path(name).map(|(_, text)| Text::one(text));
                Some((*name, text.or_else(|| in_query(name))?))
            })
            .collect()
    }
}

impl<'de> Deserializer<'de> for Arguments<'de> {
    type Error = BindError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        let texts = self.texts(names);
        let body = Some(&*self.call.body).filter(|body| !body.is_empty());
        match (self.source, body) {
            (Source::Members, Some(body)) => Members { visitor, texts, names }.read(body),
            (Source::Body(name), Some(body)) => {
                visitor.visit_map(Fields::new(texts, Some((name, body))))
            }
            _ => visitor.visit_map(Fields::new(texts, None)),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_struct("", &[], visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The arguments that are text, then the one that is the whole body.
struct Fields<'de> {
    texts: std::vec::IntoIter<(&'static str, Text<'de>)>,
    body: Option<(&'static str, &'de [u8])>,
    next: Option<Value<'de>>,
}

/// An argument whose name has been asked for, and whose value has not.
struct Value<'de> {
    name: &'static str,
    given: Given<'de>,
}

enum Given<'de> {
    Text(Text<'de>),
    Json(&'de [u8]),
}

impl<'de> Fields<'de> {
    fn new(texts: Vec<(&'static str, Text<'de>)>, body: Option<(&'static str, &'de [u8])>) -> Self {
        Self { texts: texts.into_iter(), body, next: None }
    }

    fn is_empty(&self) -> bool {
        self.texts.len() == 0 && self.body.is_none()
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = BindError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, BindError> {
        let text = self.texts.next().map(|(name, text)| Value { name, given: Given::Text(text) });
        let body = || self.body.take().map(|(name, body)| Value { name, given: Given::Json(body) });
        let Some(value) = text.or_else(body) else { return Ok(None) };
        let name = value.name;
        self.next = Some(value);
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, BindError> {
        let Value { name, given } =
            self.next.take().expect("serde asks for a key before its value");
        match given {
            Given::Text(text) => seed.deserialize(text).map_err(|error| error.of_argument(name)),
            Given::Json(body) => document(body, |json| Whole(seed).deserialize(json))
                .map_err(|error| unreadable(body, BindError::of_json(&error).of_argument(name))),
        }
    }
}

/// Reads one JSON document, all of it.
fn document<'de, T>(
    body: &'de [u8],
    read: impl FnOnce(&mut Json<'de>) -> Result<T, serde_json::Error>,
) -> Result<T, serde_json::Error> {
    let mut json = Json::from_slice(body);
    let value = read(&mut json)?;
    json.end()?;
    Ok(value)
}

type Json<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

/// What is said of a body that could not be read: where it stops being JSON, or else `otherwise`.
fn unreadable(body: &[u8], otherwise: BindError) -> BindError {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Err(error) => BindError::Other(format!("the body is not JSON: {error}")),
        Ok(_) => otherwise,
    }
}

#[cfg(test)]
mod tests;
