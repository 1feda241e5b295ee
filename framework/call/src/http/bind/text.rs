//! An argument that is text: a part of the path, or what the query says under its name.

use super::error::BindError;
use serde::de::{
    Deserializer, IntoDeserializer, Visitor,
    value::{BorrowedStrDeserializer, SeqDeserializer},
};

/// One text, or several under one key of the query. It is never empty.
#[derive(Debug, Clone)]
pub(super) struct Text<'de> {
    first: &'de str,
    /// What follows the first; most arguments have one text, and allocate nothing.
    rest: Vec<&'de str>,
}

impl<'de> Text<'de> {
    pub(super) fn one(text: &'de str) -> Self {
        Self { first: text, rest: Vec::new() }
    }

    /// What the query says under `name`, when it says anything.
    pub(super) fn from_query(query: &'de [(String, String)], name: &str) -> Option<Self> {
        let mut values =
            query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        Some(Self { first: values.next()?, rest: values.collect() })
    }

    fn the_one(&self) -> Result<&'de str, BindError> {
        if self.rest.is_empty() {
            return Ok(self.first);
        }
        let times = self.rest.len() + 1;
        Err(BindError::Other(format!("it is given {times} times, and can be one thing only")))
    }

    fn unfit(&self) -> BindError {
        BindError::Other(
            "it is made of several parts, which neither a path nor a query can give".to_owned(),
        )
    }
}

impl<'de> IntoDeserializer<'de, BindError> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! whole_numbers {
    ($($deserialize:ident $visit:ident $number:ty;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
            let text = self.the_one()?;
            let number = text.parse().map_err(|_| BindError::Other(format!(
                "expected a whole number from {} to {}",
                <$number>::MIN,
                <$number>::MAX,
            )))?;
            visitor.$visit(number)
        }
    )*};
}

macro_rules! numbers {
    ($($deserialize:ident $visit:ident $number:ty;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
            let text = self.the_one()?;
            // `inf` and `NaN` parse too, and no JSON can say them.
            match text.parse::<$number>().ok().filter(|number| number.is_finite()) {
                Some(number) => visitor.$visit(number),
                None => Err(BindError::Other("expected a number".to_owned())),
            }
        }
    )*};
}

macro_rules! texts {
    ($($deserialize:ident)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
            visitor.visit_borrowed_str(self.the_one()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = BindError;

    whole_numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
    }

    numbers! {
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    texts! { deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        match self.the_one()? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(BindError::Other("expected `true` or `false`".to_owned())),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let text = self.the_one()?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => visitor.visit_char(character),
            _ => Err(BindError::Other("expected one character".to_owned())),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_borrowed_bytes(self.the_one()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_bytes(visitor)
    }

    /// Text that is there is something: what is not there was never asked for here.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.the_one()?))
    }

    /// A key that stands there once is a sequence of one.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let texts = std::iter::once(self.first).chain(self.rest).map(Text::one);
        let mut items = SeqDeserializer::new(texts);
        let value = visitor.visit_seq(&mut items)?;
        items.end()?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        if self.rest.is_empty() {
            visitor.visit_borrowed_str(self.first)
        } else {
            self.deserialize_seq(visitor)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_unit()
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, BindError> {
        Err(self.unfit())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, BindError> {
        Err(self.unfit())
    }
}
