//! Invalid input is an error, in bounded time, stack and memory.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Recursive {
    Leaf,
    One(Box<Recursive>),
    Many(Vec<Recursive>),
    Named { left: Option<Box<Recursive>>, text: String, wide: u128 },
    Bytes(f64, char, i64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Inner {
    Empty,
    Full { list: Vec<Option<Option<i32>>>, map: HashMap<String, f64> },
    Deep { inner: Box<Inner> },
}

/// A type that contains only itself. Decoding it takes no input, so only the bound stops it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Endless(Option<Box<Endless>>);

/// Decodes any value, and asserts that no size hint exceeds the length of the input.
#[derive(Debug)]
struct Hinted;

thread_local! {
    static INPUT_BYTES: Cell<usize> = const { Cell::new(0) };
}

fn decode_hinted(bytes: &[u8]) -> Result<Hinted, Error> {
    INPUT_BYTES.set(bytes.len());
    value_of(bytes)
}

impl<'de> Deserialize<'de> for Hinted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Hinted {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, a map or a number")
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        assert!(seq.size_hint().unwrap() < INPUT_BYTES.get());
        while seq.next_element::<Self>()?.is_some() {
            assert!(seq.size_hint().unwrap() < INPUT_BYTES.get());
        }
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        assert!(map.size_hint().unwrap() <= INPUT_BYTES.get() / 2);
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

fn recursive() -> impl Strategy<Value = Recursive> {
    let leaf = prop_oneof![
        Just(Recursive::Leaf),
        (any::<f64>(), any::<char>(), any::<i64>())
            .prop_filter("NaN is not equal to itself", |(float, ..)| !float.is_nan())
            .prop_map(|(float, char, int)| Recursive::Bytes(float, char, int)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Recursive::One(Box::new(one))),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Recursive::Many),
            (proptest::option::of(inner), ".{0,40}", any::<u128>()).prop_map(
                |(left, text, wide)| { Recursive::Named { left: left.map(Box::new), text, wide } }
            ),
        ]
    })
}

fn inner() -> impl Strategy<Value = Inner> {
    let number = proptest::option::of(proptest::option::of(any::<i32>()));
    let full = (proptest::collection::vec(number, 0..5), "[a-z]{0,3}")
        .prop_map(|(list, key)| Inner::Full { list, map: HashMap::from([(key, 1.5)]) });
    let leaf = prop_oneof![Just(Inner::Empty), full];
    leaf.prop_recursive(3, 6, 1, |inner| {
        inner.prop_map(|inner| Inner::Deep { inner: Box::new(inner) })
    })
}

/// Decodes the input into many types. The test is only that each ends.
fn decode_as_everything(bytes: &[u8]) {
    let bounds = Bounds { bytes: 4096, nesting: 32 };
    let _ = decode::<Recursive>(bytes, bounds);
    let _ = decode::<Inner>(bytes, bounds);
    let _ = decode::<Buffered<Recursive>>(bytes, bounds);
    let _ = decode::<HashMap<String, Vec<u8>>>(bytes, bounds);
    let _ = decode::<Vec<Option<Option<()>>>>(bytes, bounds);
    let _ = decode::<String>(bytes, bounds);
    let _ = decode::<&str>(bytes, bounds);
    let _ = decode::<u128>(bytes, bounds);
    let _ = decode::<f32>(bytes, bounds);
    let _ = decode_hinted(bytes);
    let _ = decode::<Endless>(bytes, bounds);
    if let Ok(value) = decode::<serde_json::Value>(bytes, bounds) {
        // A value that can be decoded can also be skipped.
        assert!(decode::<IgnoredAny>(bytes, bounds).is_ok(), "{value}");
    }
    let _ = decode::<IgnoredAny>(bytes, bounds);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
        decode_as_everything(&bytes);
    }

    /// Random bytes that resemble MessagePack: short headers and known names.
    #[test]
    fn likely_bytes_never_panic(parts in proptest::collection::vec(0_u8..40, 0..24)) {
        let names = ["type", "Full", "Deep", "inner", "list", "map", "Many", "One", "Named", "left", "Leaf"];
        let mut bytes = Vec::new();
        for part in parts {
            match names.get(usize::from(part)) {
                Some(name) => bytes.extend(bytes_of(name)),
                None => bytes.push([0x80, 0x81, 0x82, 0x91, 0x92, 0xc0, 0xc1, 0xc7, 0xd8, 0xdd, 0xdf, 0][usize::from(part) % 12]),
            }
        }
        decode_as_everything(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_values_survive(value in recursive(), inner in inner()) {
        prop_assert_eq!(recoded(&value), Ok(value));
        prop_assert_eq!(recoded(&inner), Ok(inner));
    }

    #[test]
    fn damaged_values_never_panic(
        value in recursive(),
        inner in inner(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        for mut bytes in [bytes_of(&value), bytes_of(&inner)] {
            decode_as_everything(&bytes[..cut.index(bytes.len())]);
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
                decode_as_everything(&bytes);
            }
        }
    }
}

#[test]
fn headers_that_promise_too_much_are_refused_at_once() {
    for header in [0xc6, 0xdb, 0xdd, 0xdf] {
        let bytes = [header, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(
            value_of::<serde_json::Value>(&bytes).err(),
            Some(Error::Truncated),
            "{header:x}"
        );
        assert_eq!(decode_hinted(&bytes).err(), Some(Error::Truncated), "{header:x}");
        assert_eq!(value_of::<IgnoredAny>(&bytes).err(), Some(Error::Truncated), "{header:x}");
    }
    assert_eq!(value_of::<Vec<()>>(&[0xdd, 0, 0, 0, 4, 0xc0, 0xc0, 0xc0]), Err(Error::Truncated));
    assert_eq!(value_of::<HashMap<u8, u8>>(&[0x82, 1, 1, 2]), Err(Error::Truncated));
}

/// A value nested as deeply as the default allows fits on a stack of the usual size. A deeper one
/// is refused.
#[test]
fn nothing_nests_past_the_bound() {
    fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<(), Error> {
        decode::<T>(bytes, Bounds::default()).map(drop)
    }
    let limit = Bounds::default().nesting;
    let deep = Err(Error::TooDeep { limit });
    let times = |opening: &[u8], times: usize| [opening.repeat(times), vec![0xc0]].concat();
    let field = [&[0x81][..], &bytes_of("x")].concat();
    for opening in [&[0x91][..], &[0xc1], &field] {
        let bottomless = times(opening, 100_000);
        assert_eq!(decoded::<serde_json::Value>(&bottomless), deep);
        assert_eq!(decoded::<Buffered<Inner>>(&bottomless), deep);
        assert_eq!(decoded::<IgnoredAny>(&bottomless), Ok(()), "skipping needs no stack");
        assert_eq!(decoded::<serde_json::Value>(&times(opening, limit)), Ok(()));
        assert_eq!(decoded::<serde_json::Value>(&times(opening, limit + 1)), deep);
    }
    let one = [&[0x81][..], &bytes_of("One")].concat();
    assert_eq!(decoded::<Recursive>(&times(&one, 100_000)), deep);
    assert_eq!(decoded::<Endless>(&times(&[0xc1], 100_000)), deep);
    assert_eq!(decoded::<Endless>(&[5]), deep);
}

#[test]
fn nothing_nests_past_the_bound_when_encoding() {
    let (mut one, mut endless) = (Recursive::Leaf, Endless(None));
    for _ in 0..500 {
        one = Recursive::One(Box::new(one));
        endless = Endless(Some(Box::new(endless)));
    }
    let bounds = Bounds::default();
    let deep = Err(Error::TooDeep { limit: bounds.nesting });
    assert_eq!(encode(&one, bounds, &mut Vec::new()), deep);
    assert_eq!(encode(&endless, bounds, &mut Vec::new()), deep);
}

#[test]
fn broken_values_have_errors_of_their_own() {
    assert_eq!(value_of::<u8>(&[]), Err(Error::Truncated));
    assert_eq!(value_of::<u8>(&[1, 2, 3]), Err(Error::Trailing { bytes: 2 }));
    assert_eq!(value_of::<String>(&[0xa2, 0xff, 0xff]), Err(Error::Utf8));
    assert_eq!(value_of::<Holding<u8>>(&[0x81, 0xa1, 0xff, 1]).err(), Some(Error::Utf8));
    let foreign = [[0xd8, 9].as_slice(), &[0; 16]].concat();
    assert_eq!(value_of::<u128>(&foreign), Err(Error::UnknownExtension { kind: 9 }));
    assert_eq!(value_of::<u128>(&[0xd4, 1, 0]), Err(Error::UnknownExtension { kind: 1 }));
    assert_eq!(value_of::<u128>(&[0xc7, 1, 2, 0]), Err(Error::UnknownExtension { kind: 2 }));
    assert!(value_of::<IgnoredAny>(&foreign).is_ok(), "a field that is not ours may hold it");
    let bounds = Bounds { bytes: 2, ..BOUNDS };
    assert_eq!(decode::<(u8, u8)>(&bytes_of(&(1, 2)), bounds), Err(Error::TooLong { limit: 2 }));
}
