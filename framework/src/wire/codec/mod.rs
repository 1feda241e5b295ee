//! The one codec: how arguments and results are written between processes.
//!
//! It is MessagePack with names: structs are maps of their field names, enums carry the name of
//! their variant, and no position is ever trusted. So fields may be added, left out and reordered
//! between versions. It is written by hand because of three things that the usual crates leave
//! open: every byte and every level of nesting is bounded on both sides, nothing is allocated that
//! the input does not justify, and an `Option` inside an `Option` comes back as it was.
//!
//! | in Rust | on the wire |
//! |---|---|
//! | struct, map | map; keys may be any value |
//! | tuple, tuple struct, sequence | array |
//! | newtype struct | what it holds |
//! | unit, unit struct, `None` | nil |
//! | unit variant | its name, a str |
//! | other variants | a map of one entry, name → content |
//! | integers | the shortest form that fits, up to 64 bits |
//! | 128-bit integers that need it | fixext 16, big-endian: type 1 unsigned, type 2 negative |
//! | `char`, `str` | str |
//! | bytes | bin |
//! | `Some(x)` | `x`; where that would begin with nil or the mark: the mark, then `x` |
//!
//! The mark is 0xc1, the one byte that MessagePack never uses. It makes `Some(None)`, `Some(())`
//! and deeper nests distinct, and costs nothing anywhere else.
//!
//! # What it cannot carry
//!
//! These end in a typed error, when encoding or at the latest when decoding:
//!
//! - 128-bit integers below `flatten` or inside an internally tagged or untagged enum, whatever
//!   their value: serde buffers such values, and its buffer knows 64 bits.
//! - Keys that are not strings in a flattened map.
//! - Internally tagged newtype variants that hold anything but a struct, a map, a unit or another
//!   enum; and those whose struct has a field of the tag's name.
//! - A `SystemTime` before 1970, a path that is not UTF-8.
//!
//! And these are ambiguous in the type itself, so that no format can tell them apart; serde's own
//! rules decide, in this codec as in JSON:
//!
//! - `untagged` takes the first variant that accepts the value: `f32` before `f64`, a struct whose
//!   fields may all be absent before any other struct. And in its buffer, which `flatten` and
//!   internally tagged enums use too, serde accepts an array for a struct, by position.
//! - A flattened `Option` of a struct whose fields may all be absent comes back as `Some`. A
//!   flattened map also receives the entries of another one, or of a flattened enum, beside it;
//!   and it must not hold the name of a field beside it.
//! - Of entries with one key, a map keeps the last; a struct refuses them.
//!
//! A type that can hold only itself (`struct N(Option<Box<N>>)`) is bounded here, but not where
//! serde buffers it; and a recursive untagged enum costs tries to the power of its depth: use a tag.

mod decode;
mod encode;
mod error;
mod read;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize, de::DeserializeSeed};

pub use self::error::Error;

/// `None` and unit.
const NIL: u8 = 0xc0;
/// `Some` of a value that begins with [`NIL`] or with this very mark.
const MARK: u8 = 0xc1;
/// The extension type of integers from 2⁶⁴ upwards.
const EXT_UNSIGNED: u8 = 1;
/// The extension type of integers below −2⁶³.
const EXT_NEGATIVE: u8 = 2;

/// What one encoded value may use; the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most bytes of one encoded value.
    pub bytes: usize,
    /// The most levels inside each other. Arrays, maps, structs, `Some` and newtypes are one level;
    /// an enum variant that holds something is one for itself, and one for its fields if they are
    /// several. What was encoded under a bound decodes under it.
    pub nesting: usize,
}

impl Default for Bounds {
    /// 4 MiB, and 64 levels.
    fn default() -> Self {
        Self { bytes: 4 * 1024 * 1024, nesting: 64 }
    }
}

/// Appends `value` to `out`; the limit counts only what this call appends.
///
/// # Errors
///
/// When a bound is passed, or the value cannot be carried. `out` is then as it was before.
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

/// Reads the one value that `input` holds; strings and bytes can be borrowed from it.
///
/// # Errors
///
/// When a bound is passed, when `input` is not one whole value, or when it is not a `T`.
#[inline]
pub fn decode<'de, T: Deserialize<'de>>(input: &'de [u8], bounds: Bounds) -> Result<T, Error> {
    decode_with(std::marker::PhantomData::<T>, input, bounds)
}

/// The same, read by `seed`.
#[inline]
pub(crate) fn decode_with<'de, S: DeserializeSeed<'de>>(
    seed: S,
    input: &'de [u8],
    bounds: Bounds,
) -> Result<S::Value, Error> {
    let mut decoder = decode::Decoder::new(input, bounds)?;
    let value = seed.deserialize(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}
