//! Decodes the arguments of a call, and refuses one that the method does not have.
//!
//! serde ignores a field that a struct does not have. Of a struct that a caller fills in that is right: a newer caller
//! may know more. But an argument is what the call is about. An optional one that was renamed would have no effect, and
//! nobody would be told. So it is an error, unless its value is `None`, which says no more than leaving it out.
//!
//! A call whose arguments are all known takes no extra step: only an ignored value sets a mark in the decoder.

use super::super::entries::{self, Entries};
use super::{Decoder, Error};
use serde::de::{Deserializer, Visitor};

/// A decoder of the struct whose fields are the arguments. `input` is all that it decodes.
pub(in super::super) struct Arguments<'d, 'de> {
    pub(in super::super) decoder: &'d mut Decoder<'de>,
    pub(in super::super) input: &'de [u8],
}

impl<'de> Deserializer<'de> for Arguments<'_, 'de> {
    type Error = Error;

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        arguments: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let decoded = self.decoder.deserialize_struct(name, arguments, visitor)?;
        if self.decoder.has_ignored {
            refuse_unknown(self.input, arguments)?;
        }
        Ok(decoded)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.decoder.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cold]
fn refuse_unknown(input: &[u8], known: &'static [&'static str]) -> Result<(), Error> {
    for entry in Entries::of(input)? {
        let entry = entry?;
        if !known.contains(&entry.name) && !entries::is_none(entry.value) {
            return Err(Error::unknown_argument(entry.name, known));
        }
    }
    Ok(())
}
