//! Reads the forms of MessagePack. No length is trusted unless the input really contains that many
//! bytes.

use super::{Error, MARK, NIL};

type Result<T = (), E = Error> = std::result::Result<T, E>;

/// The part of the input that is not read yet.
pub(super) struct Reader<'de> {
    pub(super) rest: &'de [u8],
    /// The first error after which the position in the input is unknown. A `Deserialize`
    /// implementation may ignore it and go on; what it reads after that is discarded.
    failed: Option<Error>,
}

/// The first bytes of a value, without its content.
#[derive(Clone, Copy)]
pub(super) enum Head {
    Nil,
    Mark,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Str(usize),
    Bin(usize),
    Array(usize),
    Map(usize),
    Ext { kind: u8, len: usize },
}

impl<'de> Reader<'de> {
    #[inline]
    pub(super) fn new(input: &'de [u8]) -> Self {
        Self { rest: input, failed: None }
    }

    #[inline]
    pub(super) fn finish(self) -> Result {
        match (self.failed, self.rest.len()) {
            (Some(error), _) => Err(error),
            (None, 0) => Ok(()),
            (None, bytes) => Err(Error::Trailing { bytes }),
        }
    }

    #[cold]
    pub(super) fn fail(&mut self, error: Error) -> Error {
        self.failed.get_or_insert_with(|| error.clone());
        error
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'de [u8]> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.fail(Error::Truncated)),
        }
    }

    #[inline]
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.fail(Error::Truncated)),
        }
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8> {
        self.bytes().map(u8::from_be_bytes)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    #[inline]
    pub(super) fn str(&mut self, len: usize) -> Result<&'de str> {
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.fail(Error::Utf8))
    }

    /// A short string, or `None` if the next value is something else. Most strings are short: names
    /// of fields and variants, and most text.
    #[inline]
    pub(super) fn short_str(&mut self) -> Option<&'de str> {
        let (&byte @ 0xa0..=0xbf, rest) = self.rest.split_first()? else {
            return None;
        };
        let (text, rest) = rest.split_at_checked((byte & 0x1f).into())?;
        let text = std::str::from_utf8(text).ok()?;
        self.rest = rest;
        Some(text)
    }

    #[inline]
    pub(super) fn head(&mut self) -> Result<Head> {
        // Most values have short forms. Those are read inline, the others by a function call.
        match self.u8()? {
            byte @ 0x00..=0x7f => Ok(Head::Unsigned(byte.into())),
            byte @ 0x80..=0x8f => Ok(Head::Map((byte & 0x0f).into())),
            byte @ 0x90..=0x9f => Ok(Head::Array((byte & 0x0f).into())),
            byte @ 0xa0..=0xbf => Ok(Head::Str((byte & 0x1f).into())),
            byte => self.wide_head(byte),
        }
    }

    fn wide_head(&mut self, byte: u8) -> Result<Head> {
        Ok(match byte {
            NIL => Head::Nil,
            MARK => Head::Mark,
            byte @ 0xc2..=0xc3 => Head::Bool(byte == 0xc3),
            0xc4 => Head::Bin(self.u8()?.into()),
            0xc5 => Head::Bin(self.u16()?.into()),
            0xc6 => Head::Bin(self.u32()? as usize),
            0xc7 => self.ext(1)?,
            0xc8 => self.ext(2)?,
            0xc9 => self.ext(4)?,
            0xca => Head::F32(f32::from_bits(self.u32()?)),
            0xcb => Head::F64(f64::from_bits(self.u64()?)),
            0xcc => Head::Unsigned(self.u8()?.into()),
            0xcd => Head::Unsigned(self.u16()?.into()),
            0xce => Head::Unsigned(self.u32()?.into()),
            0xcf => Head::Unsigned(self.u64()?),
            0xd0 => Head::signed((self.u8()? as i8).into()),
            0xd1 => Head::signed((self.u16()? as i16).into()),
            0xd2 => Head::signed((self.u32()? as i32).into()),
            0xd3 => Head::signed(self.u64()? as i64),
            byte @ 0xd4..=0xd8 => Head::Ext { len: 1 << (byte - 0xd4), kind: self.u8()? },
            0xd9 => Head::Str(self.u8()?.into()),
            0xda => Head::Str(self.u16()?.into()),
            0xdb => Head::Str(self.u32()? as usize),
            0xdc => Head::Array(self.u16()?.into()),
            0xdd => Head::Array(self.u32()? as usize),
            0xde => Head::Map(self.u16()?.into()),
            0xdf => Head::Map(self.u32()? as usize),
            _ => Head::Signed((byte as i8).into()),
        })
    }

    #[cold]
    fn ext(&mut self, width: usize) -> Result<Head> {
        let len = self.take(width)?;
        let len = len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        let kind = self.u8()?;
        Ok(Head::Ext { kind, len })
    }

    /// Skips one value without recursion, so that its depth does not matter.
    pub(super) fn skip(&mut self) -> Result {
        let mut due = 1_usize;
        while due > 0 {
            if due > self.rest.len() {
                return Err(self.fail(Error::Truncated));
            }
            due -= 1;
            due = match self.head()? {
                Head::Str(len) | Head::Bin(len) | Head::Ext { len, .. } => {
                    self.take(len)?;
                    due
                }
                Head::Mark => due.saturating_add(1),
                Head::Array(len) => due.saturating_add(len),
                Head::Map(len) => due.saturating_add(len).saturating_add(len),
                _ => due,
            };
        }
        Ok(())
    }
}

impl Head {
    /// Visitors get a signed number only if it is negative, whichever form the peer chose.
    #[inline]
    fn signed(value: i64) -> Self {
        u64::try_from(value).map_or(Self::Signed(value), Self::Unsigned)
    }
}
