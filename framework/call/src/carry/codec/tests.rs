//! A value that is encoded and decoded is unchanged, or is refused with a named error. No input
//! causes anything worse than an error.

#![allow(clippy::unwrap_used)]

mod arguments;
mod evolution;
mod hostile;
mod misuse;
mod options;
mod representations;
mod shapes;

use std::fmt::Debug;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::{Bounds, Error, decode, encode};

/// Enough bytes for every test, and few enough levels to notice a wrong count.
const BOUNDS: Bounds = Bounds { bytes: 1 << 20, nesting: 40 };

fn bytes_of<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, BOUNDS, &mut out).unwrap();
    out
}

fn value_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    decode(bytes, BOUNDS)
}

/// Encoded as one type, decoded as another.
fn recoded<T: DeserializeOwned>(value: &(impl Serialize + ?Sized)) -> Result<T, Error> {
    value_of(&bytes_of(value))
}

/// Has a value in serde's buffer: its only variant is tried on a copy of the input.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Buffered<T> {
    Only(T),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged<T> {
    Holding { value: T },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Holding<T> {
    value: T,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat<T> {
    #[serde(flatten)]
    inner: Holding<T>,
}

/// The value is unchanged, alone and inside other values, and its encoding respects the bounds.
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    survives_unbuffered(&value);
    let value = Buffered::Only(value);
    assert_eq!(recoded(&value).as_ref(), Ok(&value));
    let Buffered::Only(value) = value;
    let value = Tagged::Holding { value };
    assert_eq!(recoded(&value).as_ref(), Ok(&value));
    let Tagged::Holding { value } = value;
    let value = Flat { inner: Holding { value } };
    assert_eq!(recoded(&value).as_ref(), Ok(&value));
}

/// The same, without the types for which serde uses its buffer.
fn survives_unbuffered<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = bytes_of(value);
    assert_eq!(value_of::<T>(&bytes).as_ref(), Ok(value), "{bytes:02x?}");
    assert!(value_of::<IgnoredAny>(&bytes).is_ok(), "skipping {value:?}");

    let options = [[None, Some(None)], [Some(Some(value)), None]];
    let read: [[Option<Option<T>>; 2]; 2] = recoded(&options).unwrap();
    assert_eq!(
        read.each_ref().map(|row| row.each_ref().map(|o| o.as_ref().map(Option::as_ref))),
        options
    );

    assert_bounded(value, &bytes);
    assert_whole::<T>(&bytes);
}

/// A bound of one byte less or one level less is an error, and leaves the output unchanged. A bound
/// that allows encoding a value also allows decoding it.
fn assert_bounded<T: Serialize + DeserializeOwned>(value: &T, bytes: &[u8]) {
    let prefix = b"before";
    let encode_with = |bounds| {
        let mut out = prefix.to_vec();
        let result = encode(value, bounds, &mut out);
        let expected = if result.is_ok() { [prefix, bytes].concat() } else { prefix.to_vec() };
        assert_eq!(out, expected);
        result
    };
    for limit in (0..bytes.len()).rev().take(64) {
        let bounds = Bounds { bytes: limit, ..BOUNDS };
        assert_eq!(encode_with(bounds), Err(Error::TooLong { limit }));
    }
    assert_eq!(encode_with(Bounds { bytes: bytes.len(), ..BOUNDS }), Ok(()));

    for limit in 0..=BOUNDS.nesting {
        let bounds = Bounds { nesting: limit, ..BOUNDS };
        match encode_with(bounds) {
            Ok(()) => return assert!(decode::<T>(bytes, bounds).is_ok(), "{limit} levels"),
            error => assert_eq!(error, Err(Error::TooDeep { limit })),
        }
    }
    panic!("no nesting is deep enough");
}

/// Every prefix of the encoding is refused, and so is an extra byte.
fn assert_whole<T: DeserializeOwned>(bytes: &[u8]) {
    for end in 0..bytes.len().min(512) {
        assert!(value_of::<T>(&bytes[..end]).is_err(), "cut at {end}");
        assert_eq!(value_of::<IgnoredAny>(&bytes[..end]).err(), Some(Error::Truncated));
    }
    let longer = [bytes, &[super::NIL]].concat();
    assert_eq!(value_of::<T>(&longer).err(), Some(Error::Trailing { bytes: 1 }));
}

/// The text of an error of serde, or of a type's own implementation.
fn message<T: Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Custom(message)) => message,
        other => panic!("expected a message, not {other:?}"),
    }
}
