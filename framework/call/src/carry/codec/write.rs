//! Writes the forms of MessagePack: the shortest that fits, and never beyond the limit.

use super::{Bounds, Error};

type Result<T = (), E = Error> = std::result::Result<T, E>;

/// A buffer that does not grow beyond a limit.
pub(super) struct Writer<'o> {
    pub(super) out: &'o mut Vec<u8>,
    /// The maximum length of `out`.
    end: usize,
    limit: usize,
}

impl<'o> Writer<'o> {
    #[inline]
    pub(super) fn new(out: &'o mut Vec<u8>, bounds: Bounds) -> Self {
        Self { end: out.len().saturating_add(bounds.bytes), limit: bounds.bytes, out }
    }

    /// Called before bytes are copied, so that the buffer never exceeds its limit.
    #[inline]
    pub(super) fn room_for(&self, bytes: usize) -> Result {
        if bytes > self.end - self.out.len() {
            return Err(self.too_long());
        }
        Ok(())
    }

    #[cold]
    pub(super) fn too_long(&self) -> Error {
        Error::TooLong { limit: self.limit }
    }

    #[inline]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result {
        self.room_for(N)?;
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    /// Appends a marker and a big-endian number at once.
    #[inline]
    pub(super) fn put16(&mut self, marker: u8, value: u16) -> Result {
        let [a, b] = value.to_be_bytes();
        self.put([marker, a, b])
    }

    #[inline]
    pub(super) fn put32(&mut self, marker: u8, value: u32) -> Result {
        let [a, b, c, d] = value.to_be_bytes();
        self.put([marker, a, b, c, d])
    }

    #[inline]
    pub(super) fn put64(&mut self, marker: u8, value: u64) -> Result {
        let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
        self.put([marker, a, b, c, d, e, f, g, h])
    }

    pub(super) fn put_wide(&mut self, kind: u8, bytes: [u8; 16]) -> Result {
        self.room_for(2 + bytes.len())?;
        self.out.extend_from_slice(&[0xd8, kind]);
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    #[inline]
    pub(super) fn unsigned(&mut self, value: u64) -> Result {
        if value < 0x80 {
            return self.put([value as u8]);
        }
        self.wide_unsigned(value)
    }

    fn wide_unsigned(&mut self, value: u64) -> Result {
        if let Ok(value) = u8::try_from(value) {
            self.put([0xcc, value])
        } else if let Ok(value) = u16::try_from(value) {
            self.put16(0xcd, value)
        } else if let Ok(value) = u32::try_from(value) {
            self.put32(0xce, value)
        } else {
            self.put64(0xcf, value)
        }
    }

    #[inline]
    pub(super) fn signed(&mut self, value: i64) -> Result {
        if value >= 0 {
            self.unsigned(value as u64)
        } else if value >= -32 {
            // A negative fixint is the lowest byte of the number.
            self.put([value as u8])
        } else if let Ok(value) = i8::try_from(value) {
            self.put([0xd0, value as u8])
        } else if let Ok(value) = i16::try_from(value) {
            self.put16(0xd1, value as u16)
        } else if let Ok(value) = i32::try_from(value) {
            self.put32(0xd2, value as u32)
        } else {
            self.put64(0xd3, value as u64)
        }
    }

    /// Writes the header of an array or map in its shortest form.
    #[inline]
    pub(super) fn header(&mut self, markers: Markers, len: usize) -> Result {
        if len < 16 {
            self.put([markers.fix | len as u8])
        } else if let Ok(len) = u16::try_from(len) {
            self.put16(markers.wide16, len)
        } else if let Ok(len) = u32::try_from(len) {
            self.put32(markers.wide32, len)
        } else {
            Err(self.too_long())
        }
    }

    /// Writes the widest header for a length that is not known yet. Returns the position where
    /// [`Self::fill_in`] writes the length.
    #[inline]
    pub(super) fn blank_header(&mut self, markers: Markers) -> Result<usize> {
        self.put32(markers.wide32, 0)?;
        Ok(self.out.len() - 4)
    }

    #[inline]
    pub(super) fn fill_in(&mut self, at: usize, len: usize) -> Result {
        let Ok(len) = u32::try_from(len) else {
            return Err(self.too_long());
        };
        self.out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }

    #[inline]
    pub(super) fn str_header(&mut self, len: usize) -> Result {
        if len < 32 {
            self.put([0xa0 | len as u8])
        } else {
            self.blob_header([0xd9, 0xda, 0xdb], len)
        }
    }

    #[inline]
    pub(super) fn blob_header(&mut self, [wide8, wide16, wide32]: [u8; 3], len: usize) -> Result {
        if let Ok(len) = u8::try_from(len) {
            self.put([wide8, len])
        } else if let Ok(len) = u16::try_from(len) {
            self.put16(wide16, len)
        } else if let Ok(len) = u32::try_from(len) {
            self.put32(wide32, len)
        } else {
            Err(self.too_long())
        }
    }

    #[inline]
    pub(super) fn body(&mut self, bytes: &[u8]) -> Result {
        self.room_for(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Always inlined, so that the compiler knows the length of a field's name. That alone halves
    /// the time to encode a struct.
    #[inline(always)]
    pub(super) fn str(&mut self, text: &str) -> Result {
        let len = text.len();
        if len >= 32 {
            return self.long_str(text);
        }
        self.room_for(1 + len)?;
        self.out.reserve(1 + len);
        self.out.push(0xa0 | len as u8);
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn long_str(&mut self, text: &str) -> Result {
        self.str_header(text.len())?;
        self.body(text.as_bytes())
    }
}

/// The markers of an array or a map: short, 16-bit and 32-bit length.
#[derive(Clone, Copy)]
pub(super) struct Markers {
    fix: u8,
    wide16: u8,
    wide32: u8,
}

pub(super) const ARRAY: Markers = Markers { fix: 0x90, wide16: 0xdc, wide32: 0xdd };
pub(super) const MAP: Markers = Markers { fix: 0x80, wide16: 0xde, wide32: 0xdf };
