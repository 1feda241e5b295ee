//! The codec for arguments and answers between processes.
//!
//! It is MessagePack with names. Structs are maps with their field names as keys, and enums carry
//! the name of their variant. Positions are never used. So fields may be added, removed and
//! reordered between versions.
//!
//! It is written by hand because the usual crates lack three things:
//!
//! - Bytes and nesting are bounded, when encoding and when decoding.
//! - Decoding allocates no more memory than the input justifies.
//! - An `Option` inside an `Option` is decoded to the same value.
//!
//! | in Rust | on the wire |
//! |---|---|
//! | struct, map | map; keys may be any value |
//! | tuple, tuple struct, sequence | array |
//! | newtype struct | its content |
//! | unit, unit struct, `None` | nil |
//! | unit variant | its name, a str |
//! | other variants | a map of one entry, name → content |
//! | integers | the shortest form that fits, up to 64 bits |
//! | 128-bit integers that need it | fixext 16, big-endian: type 1 unsigned, type 2 negative |
//! | `char`, `str` | str |
//! | bytes | bin |
//! | `Some(x)` | `x`; if `x` begins with nil or the mark: the mark, then `x` |
//!
//! The mark is 0xc1, the only byte that MessagePack never uses. It keeps `Some(None)`, `Some(())`
//! and deeper nests distinct. Other values need no extra byte.
//!
//! # Limits
//!
//! These values are an error, when encoding or at the latest when decoding:
//!
//! - 128-bit integers below `flatten` or inside an internally tagged or untagged enum. serde
//!   buffers such values, and its buffer has 64-bit integers only.
//! - A flattened map with keys that are not strings.
//! - An internally tagged newtype variant with a content other than a struct, a map, a unit or an
//!   enum, or with a struct that has a field with the tag's name.
//! - A `SystemTime` before 1970, and a path that is not UTF-8.
//!
//! These types are ambiguous in every format. serde's rules decide, in this codec as in JSON:
//!
//! - An untagged enum takes the first variant that accepts the value, for example `f32` before
//!   `f64`, or a struct with only optional fields before any other struct.
//! - In the buffer of untagged enums, internally tagged enums and `flatten`, serde accepts an array
//!   for a struct, by position.
//! - A flattened `Option` of a struct with only optional fields is decoded to `Some`.
//! - A flattened map also receives the entries of other flattened maps and enums in the same
//!   struct. It must not contain the name of another field.
//! - If a key occurs twice, a map keeps the last entry and a struct is an error.
//!
//! A type that can contain only itself (`struct N(Option<Box<N>>)`) is bounded here, but not in
//! serde's buffer. Decoding a recursive untagged enum takes exponential time in its depth: use a
//! tag.

mod decode;
mod encode;
mod entries;
mod error;
mod read;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize, de::DeserializeSeed};

pub use self::entries::{is_none, retain};
pub use self::error::Error;

/// `None` and unit.
const NIL: u8 = 0xc0;
/// `Some` of a value that begins with [`NIL`] or with this very mark.
const MARK: u8 = 0xc1;
/// The extension type of integers from 2⁶⁴ upwards.
const EXT_UNSIGNED: u8 = 1;
/// The extension type of integers below −2⁶³.
const EXT_NEGATIVE: u8 = 2;

/// The limits of one encoded value. Both sides use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum number of bytes.
    pub bytes: usize,
    /// The maximum depth of nesting. Arrays, maps, structs, `Some` and newtypes are one level each.
    /// An enum variant with content is one level, and a second one if it has several fields. A
    /// value that was encoded within a bound can be decoded within it.
    pub nesting: usize,
}

impl Default for Bounds {
    /// 4 MiB, and 64 levels.
    fn default() -> Self {
        Self { bytes: 4 * 1024 * 1024, nesting: 64 }
    }
}

/// Appends `value` to `out`. The bounds apply only to the bytes that this call appends.
///
/// # Errors
///
/// If the value exceeds a bound or cannot be encoded. Then `out` is unchanged.
#[inline]
pub fn encode<T: Serialize + ?Sized>(
    value: &T,
    bounds: Bounds,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let start = out.len();
    let mut encoder = encode::Encoder::new(out, bounds);
    let result = value.serialize(&mut encoder).and_then(|()| encoder.finish());
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Decodes the one value in `input`. Strings and bytes can borrow from `input`.
///
/// # Errors
///
/// If the value exceeds a bound, if `input` is not exactly one value, or if the value is not a `T`.
#[inline]
pub fn decode<'de, T: Deserialize<'de>>(input: &'de [u8], bounds: Bounds) -> Result<T, Error> {
    decode_with(std::marker::PhantomData::<T>, input, bounds)
}

/// The same, read by `seed`.
#[inline]
pub fn decode_with<'de, S: DeserializeSeed<'de>>(
    seed: S,
    input: &'de [u8],
    bounds: Bounds,
) -> Result<S::Value, Error> {
    let mut decoder = decode::Decoder::new(input, bounds)?;
    let value = seed.deserialize(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}

/// Decodes a struct whose fields are the arguments of a call. Unlike in any other struct, a field that it does not have is
/// an error, unless its value is `None`.
///
/// # Errors
///
/// Those of `decode`, and [`Error::UnknownArgument`].
#[inline]
pub fn decode_arguments<'de, A: Deserialize<'de>>(
    input: &'de [u8],
    bounds: Bounds,
) -> Result<A, Error> {
    let mut decoder = decode::Decoder::new(input, bounds)?;
    let arguments = A::deserialize(decode::Arguments { decoder: &mut decoder, input })?;
    decoder.finish()?;
    Ok(arguments)
}
