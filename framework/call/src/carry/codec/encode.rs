//! A serde serializer that appends to a `Vec` and stops at its bounds.

mod items;

use std::fmt::{self, Display, Write as _};

use serde::ser::{self, Serialize};

use self::items::{Items, Size};
use super::write::{ARRAY, MAP, Markers, Writer};
use super::{Bounds, EXT_NEGATIVE, EXT_UNSIGNED, Error, MARK, NIL};

type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Appends one value to `out`.
pub(super) struct Encoder<'o> {
    writer: Writer<'o>,
    nesting_left: usize,
    nesting: usize,
    /// The first error of an item. A `Serialize` implementation may ignore it and go on. The output
    /// after a half-written item must not be sent.
    failed: Option<Error>,
}

impl<'o> Encoder<'o> {
    #[inline]
    pub(super) fn new(out: &'o mut Vec<u8>, bounds: Bounds) -> Self {
        Self {
            writer: Writer::new(out, bounds),
            nesting_left: bounds.nesting,
            nesting: bounds.nesting,
            failed: None,
        }
    }

    #[inline]
    pub(super) fn finish(self) -> Result {
        self.failed.map_or(Ok(()), Err)
    }

    /// Goes one level deeper. The caller goes back up after it has written the value inside.
    #[inline]
    fn enter(&mut self) -> Result {
        match self.nesting_left.checked_sub(1) {
            Some(left) => self.nesting_left = left,
            None => {
                return Err(Error::TooDeep { limit: self.nesting });
            }
        }
        Ok(())
    }

    #[inline]
    fn nested<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.enter()?;
        value.serialize(&mut *self)?;
        self.nesting_left += 1;
        Ok(())
    }

    /// Writes the one-entry map of an enum variant, up to its content.
    #[inline]
    fn variant(&mut self, name: &str) -> Result {
        self.writer.header(MAP, 1)?;
        self.writer.str(name)
    }

    #[inline]
    fn items(&mut self, markers: Markers, len: Option<usize>) -> Result<Items<'_, 'o>> {
        self.enter()?;
        let size = match len {
            Some(len) => {
                self.writer.header(markers, len)?;
                Size::Announced(len)
            }
            None => Size::FilledInAt(self.writer.blank_header(markers)?),
        };
        Ok(Items::new(self, size))
    }

    #[inline]
    fn variant_items(&mut self, name: &str, markers: Markers, len: usize) -> Result<Items<'_, 'o>> {
        self.enter()?;
        self.variant(name)?;
        Ok(self.items(markers, Some(len))?.of_variant())
    }
}

/// Writes small integers as `i64` or `u64`, which choose the form.
macro_rules! integers {
    ($($method:ident($type:ty) => $writer:ident;)*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result {
            self.writer.$writer(value.into())
        }
    )*};
}

impl<'e, 'o> ser::Serializer for &'e mut Encoder<'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'e, 'o>;
    type SerializeTuple = Items<'e, 'o>;
    type SerializeTupleStruct = Items<'e, 'o>;
    type SerializeTupleVariant = Items<'e, 'o>;
    type SerializeMap = Items<'e, 'o>;
    type SerializeStruct = Items<'e, 'o>;
    type SerializeStructVariant = Items<'e, 'o>;

    fn is_human_readable(&self) -> bool {
        true
    }

    integers! {
        serialize_u8(u8) => unsigned;
        serialize_u16(u16) => unsigned;
        serialize_u32(u32) => unsigned;
        serialize_u64(u64) => unsigned;
        serialize_i8(i8) => signed;
        serialize_i16(i16) => signed;
        serialize_i32(i32) => signed;
        serialize_i64(i64) => signed;
    }

    fn serialize_u128(self, value: u128) -> Result {
        match u64::try_from(value) {
            Ok(value) => self.writer.unsigned(value),
            Err(_) => self.writer.put_wide(EXT_UNSIGNED, value.to_be_bytes()),
        }
    }

    fn serialize_i128(self, value: i128) -> Result {
        if let Ok(value) = u128::try_from(value) {
            self.serialize_u128(value)
        } else if let Ok(value) = i64::try_from(value) {
            self.writer.signed(value)
        } else {
            self.writer.put_wide(EXT_NEGATIVE, value.to_be_bytes())
        }
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result {
        self.writer.put([0xc2 | u8::from(value)])
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result {
        self.writer.put32(0xca, value.to_bits())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result {
        self.writer.put64(0xcb, value.to_bits())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result {
        self.writer.str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result {
        self.writer.str(text)
    }

    /// Formats directly into the output, without a string in between and within the limit.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result {
        let start = self.writer.out.len();
        self.writer.put([0xa0])?;
        let mut text = Text { encoder: self, error: None };
        if write!(text, "{value}").is_err() {
            let silent = || Error::Custom("a value could not be formatted".to_owned());
            return Err(text.error.unwrap_or_else(silent));
        }
        let len = self.writer.out.len() - start - 1;
        if len < 32 {
            self.writer.out[start] |= len as u8;
            return Ok(());
        }
        // The text needs a longer header than one byte: remove that byte, append the right header,
        // and rotate it to the front.
        self.writer.out[start..].rotate_left(1);
        self.writer.out.pop();
        self.writer.str_header(len)?;
        self.writer.out[start..].rotate_left(len);
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result {
        self.writer.blob_header([0xc4, 0xc5, 0xc6], bytes.len())?;
        self.writer.body(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Result {
        self.writer.put([NIL])
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        let start = self.writer.out.len();
        self.nested(value)?;
        // After a nil or a mark there are only as many bytes as there are nested options, so this
        // copy is short.
        if matches!(self.writer.out.get(start), Some(&(NIL | MARK))) {
            self.writer.room_for(1)?;
            self.writer.out.insert(start, MARK);
        }
        Ok(())
    }

    #[inline]
    fn serialize_unit(self) -> Result {
        self.writer.put([NIL])
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result {
        self.writer.put([NIL])
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.writer.str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        self.nested(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.variant(variant)?;
        self.nested(value)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'e, 'o>> {
        self.items(ARRAY, len)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Items<'e, 'o>> {
        self.items(ARRAY, Some(len))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items<'e, 'o>> {
        self.items(ARRAY, Some(len))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'e, 'o>> {
        self.variant_items(variant, ARRAY, len)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Items<'e, 'o>> {
        self.items(MAP, len)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Items<'e, 'o>> {
        self.items(MAP, Some(len))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'e, 'o>> {
        self.variant_items(variant, MAP, len)
    }
}

/// Receives the text of a `Display` implementation.
struct Text<'e, 'o> {
    encoder: &'e mut Encoder<'o>,
    /// The real error, because `fmt::Error` carries none.
    error: Option<Error>,
}

impl fmt::Write for Text<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.encoder.writer.body(text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}
