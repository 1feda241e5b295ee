//! Decodes the items of arrays and maps, and the content of enum variants.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Visitor};

use super::{Decoder, Error, Result};

/// An array or a map whose items are being decoded.
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

    /// A visitor that leaves items unread has lost the position in the input. That is an error,
    /// even if the visitor returned none.
    #[inline]
    pub(super) fn finish<R>(self, result: Result<R>) -> Result<R> {
        if self.left == 0 && !self.value_due {
            return result;
        }
        let error = result.err().unwrap_or(Error::Unread);
        Err(self.decoder.reader.fail(error))
    }

    /// The number of items for which serde may reserve memory: never more than the input can
    /// contain.
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

/// A variant with content.
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

    /// The peer sent the variant with content, and it has none here. Only nil is accepted.
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
