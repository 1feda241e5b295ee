//! What is inside: the items of arrays and maps, the content of enum variants.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Visitor};

use super::{Decoder, Error, Result};

/// An array or a map whose items are being read.
pub(super) struct Items<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: usize,
    bytes_each: usize,
    value_due: bool,
}

impl<'d, 'de> Items<'d, 'de> {
    #[inline]
    pub(super) fn new(decoder: &'d mut Decoder<'de>, left: usize, bytes_each: usize) -> Self {
        Self { decoder, left, bytes_each, value_due: false }
    }

    /// A visitor that leaves items unread has lost the place, whether or not it calls that an error.
    #[inline]
    pub(super) fn finish<R>(self, result: Result<R>) -> Result<R> {
        if self.left == 0 && !self.value_due {
            return result;
        }
        let error = result.err().unwrap_or(Error::Unread);
        Err(self.decoder.reader.fail(error))
    }

    /// What serde may reserve for: never more than the input still has room for.
    #[inline]
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.decoder.reader.rest.len() / self.bytes_each))
    }
}

impl<'de> de::SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        self.decoder.item(seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.value_due {
            return Err(self.decoder.reader.fail(Error::Unread));
        }
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        self.value_due = true;
        self.decoder.item(seed).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        if !std::mem::replace(&mut self.value_due, false) {
            return Err(self.decoder.reader.fail(Error::Unpaired));
        }
        self.decoder.item(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// A variant that holds something.
pub(super) struct Variant<'d, 'de> {
    name: &'de str,
    decoder: &'d mut Decoder<'de>,
}

impl<'d, 'de> Variant<'d, 'de> {
    #[inline]
    pub(super) fn new(name: &'de str, decoder: &'d mut Decoder<'de>) -> Self {
        Self { name, decoder }
    }
}

impl<'d, 'de> de::EnumAccess<'de> for Variant<'d, 'de> {
    type Error = Error;
    type Variant = &'d mut Decoder<'de>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant)> {
        let name: BorrowedStrDeserializer<'de, Error> = BorrowedStrDeserializer::new(self.name);
        Ok((seed.deserialize(name)?, self.decoder))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Decoder<'de> {
    type Error = Error;

    /// A variant that held something at the peer, and nothing that counts.
    #[inline]
    fn unit_variant(self) -> Result {
        Deserialize::deserialize(self)
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        de::Deserializer::deserialize_tuple(self, len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        de::Deserializer::deserialize_struct(self, "", fields, visitor)
    }
}
