//! Encodes arrays and maps item by item, and checks that the announced number of items is written.

use serde::ser::{self, Serialize};

use super::{Encoder, Error, Result};

/// Whether the number of items is known when the header is written.
pub(super) enum Size {
    Announced(usize),
    FilledInAt(usize),
}

/// An array or a map whose items are being encoded.
pub(in super::super) struct Items<'e, 'o> {
    encoder: &'e mut Encoder<'o>,
    size: Size,
    given: usize,
    value_due: bool,
    levels: usize,
}

impl<'e, 'o> Items<'e, 'o> {
    #[inline]
    pub(super) fn new(encoder: &'e mut Encoder<'o>, size: Size) -> Self {
        Self { encoder, size, given: 0, value_due: false, levels: 1 }
    }

    /// The items of a variant are two levels deep: in an array or map, which is in the variant's
    /// own map.
    #[inline]
    pub(super) fn of_variant(mut self) -> Self {
        self.levels = 2;
        self
    }

    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.given += 1;
        self.part(value)
    }

    /// Always inlined, for the same reason as [`str`](super::Writer::str).
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
        self.given += 1;
        let written = self.encoder.writer.str(name);
        self.noted(written)?;
        self.part(value)
    }

    #[inline]
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        let written = value.serialize(&mut *self.encoder);
        self.noted(written)
    }

    #[inline(always)]
    fn noted(&mut self, written: Result) -> Result {
        if let Err(error) = &written {
            self.encoder.failed.get_or_insert_with(|| error.clone());
        }
        written
    }

    #[inline]
    fn finish(self) -> Result {
        self.encoder.nesting_left += self.levels;
        let given = self.given;
        match self.size {
            Size::Announced(announced) if announced == given => Ok(()),
            Size::Announced(announced) => Err(Error::Length { announced, given }),
            Size::FilledInAt(at) => self.encoder.writer.fill_in(at, given),
        }
    }
}

/// serde's traits for arrays differ only in the names of their methods.
macro_rules! arrays {
    ($($trait:ident::$method:ident)*) => {$(
        impl ser::$trait for Items<'_, '_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
                self.item(value)
            }

            #[inline]
            fn end(self) -> Result {
                self.finish()
            }
        }
    )*};
}

arrays! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

/// The same holds for structs.
macro_rules! structs {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Items<'_, '_> {
            type Ok = ();
            type Error = Error;

            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
                self.field(name, value)
            }

            #[inline]
            fn end(self) -> Result {
                self.finish()
            }
        }
    )*};
}

structs! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        if std::mem::replace(&mut self.value_due, true) {
            return self.noted(Err(Error::Unpaired));
        }
        self.item(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        if !std::mem::replace(&mut self.value_due, false) {
            return self.noted(Err(Error::Unpaired));
        }
        self.part(value)
    }

    #[inline]
    fn end(self) -> Result {
        if self.value_due {
            return Err(Error::Unpaired);
        }
        self.finish()
    }
}
