//! A serde deserializer that borrows from its input. It does not trust any length in the input.

mod arguments;
mod items;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Error as _, Expected, Unexpected, Visitor};

pub(super) use self::arguments::Arguments;
use self::items::{Items, Variant};
use super::read::{Head, Reader};
use super::{Bounds, EXT_NEGATIVE, EXT_UNSIGNED, Error, MARK, NIL};

type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Decodes one value.
pub(super) struct Decoder<'de> {
    reader: Reader<'de>,
    nesting_left: usize,
    nesting: usize,
    /// Whether a member of the outermost value was passed over.
    has_ignored: bool,
}

impl<'de> Decoder<'de> {
    #[inline]
    pub(super) fn new(input: &'de [u8], bounds: Bounds) -> Result<Self> {
        if input.len() > bounds.bytes {
            return Err(Error::TooLong { limit: bounds.bytes });
        }
        Ok(Self {
            reader: Reader::new(input),
            nesting_left: bounds.nesting,
            nesting: bounds.nesting,
            has_ignored: false,
        })
    }

    #[inline]
    pub(super) fn finish(self) -> Result {
        self.reader.finish()
    }

    /// Runs `read` one level deeper. All recursion goes through here, including `Some` and
    /// newtypes, which take no input. Otherwise a type that can contain only itself would recurse
    /// for ever.
    #[inline]
    fn nested<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let Some(left) = self.nesting_left.checked_sub(1) else {
            let limit = self.nesting;
            return Err(self.reader.fail(Error::TooDeep { limit }));
        };
        self.nesting_left = left;
        let result = read(self);
        self.nesting_left += 1;
        result
    }

    /// Checks that `read` consumes input. Otherwise the same value would be read again as the next
    /// one.
    #[inline]
    fn taking<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let before = self.reader.rest.len();
        match read(self) {
            Ok(value) if self.reader.rest.len() < before => Ok(value),
            Ok(_) => Err(self.reader.fail(Error::Unread)),
            Err(error) => Err(self.reader.fail(error)),
        }
    }

    #[inline]
    fn item<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        self.taking(|decoder| seed.deserialize(decoder))
    }

    /// Decodes the rest of a value after its head.
    fn value<V: Visitor<'de>>(&mut self, head: Head, visitor: V) -> Result<V::Value> {
        match head {
            Head::Nil => visitor.visit_unit(),
            Head::Mark => self.marked(visitor),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Signed(value) => visitor.visit_i64(value),
            Head::F32(value) => visitor.visit_f32(value),
            Head::F64(value) => visitor.visit_f64(value),
            Head::Str(len) => visitor.visit_borrowed_str(self.reader.str(len)?),
            Head::Bin(len) => visitor.visit_borrowed_bytes(self.reader.take(len)?),
            Head::Array(len) => self.seq(len, visitor),
            Head::Map(len) => self.map(len, visitor),
            Head::Ext { kind, len } => self.wide(kind, len, visitor),
        }
    }

    #[inline]
    fn items<R>(
        &mut self,
        left: usize,
        bytes_each: usize,
        read: impl FnOnce(&mut Items<'_, 'de>) -> Result<R>,
    ) -> Result<R> {
        // Each item takes at least one byte, so a header that promises more items than bytes is an
        // error.
        if left > self.reader.rest.len() / bytes_each {
            return Err(self.reader.fail(Error::Truncated));
        }
        self.nested(|decoder| {
            let mut items = Items::new(decoder, left, bytes_each);
            let result = read(&mut items);
            items.finish(result)
        })
    }

    #[inline]
    fn seq<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value> {
        self.items(len, 1, |items| visitor.visit_seq(items))
    }

    #[inline]
    fn map<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value> {
        self.items(len, 2, |items| visitor.visit_map(items))
    }

    /// Decodes the value after a mark: an option whose content begins with nil or with another
    /// mark.
    fn marked<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if !matches!(self.reader.rest, [NIL | MARK, ..]) {
            let error =
                if self.reader.rest.is_empty() { Error::Truncated } else { Error::StrayMark };
            return Err(self.reader.fail(error));
        }
        self.nested(|decoder| decoder.taking(|decoder| visitor.visit_some(decoder)))
    }

    /// Decodes an enum that is a map with one entry: the variant's name and its content.
    #[inline]
    fn variant<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let name = match self.reader.head()? {
            Head::Str(len) => self.reader.str(len)?,
            other => return Err(self.mismatch(other, &"the name of a variant")),
        };
        self.nested(|decoder| {
            decoder.taking(|decoder| visitor.visit_enum(Variant::new(name, decoder)))
        })
    }

    fn wide<V: Visitor<'de>>(&mut self, kind: u8, len: usize, visitor: V) -> Result<V::Value> {
        match (kind, len) {
            (EXT_UNSIGNED, 16) => visitor.visit_u128(u128::from_be_bytes(self.reader.bytes()?)),
            (EXT_NEGATIVE, 16) => visitor.visit_i128(i128::from_be_bytes(self.reader.bytes()?)),
            _ => Err(self.reader.fail(Error::UnknownExtension { kind })),
        }
    }

    #[cold]
    fn mismatch(&mut self, head: Head, expected: &dyn Expected) -> Error {
        let found = match head {
            Head::Nil => Unexpected::Unit,
            Head::Mark => Unexpected::Option,
            Head::Bool(value) => Unexpected::Bool(value),
            Head::Unsigned(value) => Unexpected::Unsigned(value),
            Head::Signed(value) => Unexpected::Signed(value),
            Head::F32(value) => Unexpected::Float(value.into()),
            Head::F64(value) => Unexpected::Float(value),
            Head::Str(_) => Unexpected::Other("string"),
            Head::Bin(_) => Unexpected::Other("byte array"),
            Head::Array(_) => Unexpected::Seq,
            Head::Map(_) => Unexpected::Map,
            Head::Ext { .. } => Unexpected::Other("extension"),
        };
        self.reader.fail(Error::invalid_type(found, expected))
    }
}

/// Whether a float with this many significant bits holds the magnitude exactly.
fn fits(magnitude: u64, bits: u32) -> bool {
    magnitude == 0 || 64 - magnitude.leading_zeros() - magnitude.trailing_zeros() <= bits
}

/// For types that need no special handling: the visitor checks what it accepts.
macro_rules! forward {
    ($($method:ident($($ignored:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $(_: $ignored,)* visitor: V) -> Result<V::Value> {
            self.deserialize_any(visitor)
        }
    )*};
}

/// The same, with a fast path for the most likely form.
macro_rules! likely {
    ($($method:ident: $head:pat => |$decoder:ident, $visitor:ident| $visit:expr;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $visitor: V) -> Result<V::Value> {
            let $decoder = self;
            match $decoder.reader.head()? {
                $head => $visit,
                other => $decoder.value(other, $visitor),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        true
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let head = self.reader.head()?;
        self.value(head, visitor)
    }

    forward! {
        deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i128() deserialize_u128()
        deserialize_unit() deserialize_unit_struct(&'static str)
        deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize)
    }

    likely! {
        deserialize_u8: Head::Unsigned(value) => |decoder, visitor| visitor.visit_u64(value);
        deserialize_u16: Head::Unsigned(value) => |decoder, visitor| visitor.visit_u64(value);
        deserialize_u32: Head::Unsigned(value) => |decoder, visitor| visitor.visit_u64(value);
        deserialize_u64: Head::Unsigned(value) => |decoder, visitor| visitor.visit_u64(value);
        deserialize_i32: Head::Unsigned(value) => |decoder, visitor| visitor.visit_u64(value);
        deserialize_i64: Head::Unsigned(value) => |decoder, visitor| visitor.visit_u64(value);
        deserialize_char: Head::Str(len) => |decoder, visitor| visitor.visit_borrowed_str(decoder.reader.str(len)?);
        deserialize_bytes: Head::Str(len) => |decoder, visitor| visitor.visit_borrowed_bytes(decoder.reader.take(len)?);
        deserialize_byte_buf: Head::Str(len) => |decoder, visitor| visitor.visit_borrowed_bytes(decoder.reader.take(len)?);
        deserialize_seq: Head::Array(len) => |decoder, visitor| decoder.seq(len, visitor);
        deserialize_map: Head::Map(len) => |decoder, visitor| decoder.map(len, visitor);
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.short_str() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    /// The peer may have sent an integer. It is accepted only if the float holds it exactly.
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.head()? {
            Head::F32(value) => visitor.visit_f32(value),
            Head::F64(value) if value.is_nan() || f64::from(value as f32) == value => {
                visitor.visit_f32(value as f32)
            }
            Head::Unsigned(value) if fits(value, f32::MANTISSA_DIGITS) => visitor.visit_u64(value),
            Head::Signed(value) if fits(value.unsigned_abs(), f32::MANTISSA_DIGITS) => {
                visitor.visit_i64(value)
            }
            other => Err(self.mismatch(other, &visitor)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.head()? {
            Head::F64(value) => visitor.visit_f64(value),
            Head::F32(value) => visitor.visit_f32(value),
            Head::Unsigned(value) if fits(value, f64::MANTISSA_DIGITS) => visitor.visit_u64(value),
            Head::Signed(value) if fits(value.unsigned_abs(), f64::MANTISSA_DIGITS) => {
                visitor.visit_i64(value)
            }
            other => Err(self.mismatch(other, &visitor)),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.rest {
            [NIL, rest @ ..] => {
                self.reader.rest = rest;
                visitor.visit_none()
            }
            [MARK, rest @ ..] => {
                self.reader.rest = rest;
                self.marked(visitor)
            }
            _ => self.nested(|decoder| visitor.visit_some(decoder)),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.nested(|decoder| visitor.visit_newtype_struct(decoder))
    }

    /// A struct is decoded from a map only. The visitors that serde derives would also accept an
    /// array, by position.
    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.head()? {
            Head::Map(len) => self.map(len, visitor),
            other => Err(self.mismatch(other, &visitor)),
        }
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.head()? {
            Head::Str(len) => {
                visitor.visit_enum(BorrowedStrDeserializer::new(self.reader.str(len)?))
            }
            Head::Map(1) => self.variant(visitor),
            other => Err(self.mismatch(other, &"a variant: a string, or a map of one entry")),
        }
    }

    /// A field or variant is identified by name only. The visitors that serde derives would also
    /// accept an integer, as a position.
    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if let Some(name) = self.reader.short_str() {
            return visitor.visit_borrowed_str(name);
        }
        match self.reader.head()? {
            Head::Str(len) => visitor.visit_borrowed_str(self.reader.str(len)?),
            other => Err(self.mismatch(other, &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.has_ignored |= self.nesting_left + 1 == self.nesting;
        self.reader.skip()?;
        visitor.visit_unit()
    }
}
