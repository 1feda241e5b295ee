//! A table of the shapes that arguments and results have.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Clone, Serialize, Deserialize)]
struct Newtype(String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(i32, Newtype);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Serialize, Deserialize)]
struct Key {
    region: u16,
    name: Newtype,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nested {
    key: Key,
    pairs: Vec<Pair>,
    unit: Unit,
    none: Option<Key>,
    #[serde(rename = "a name of more than thirty-one bytes")]
    renamed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u8>,
    #[serde(default)]
    defaulted: Vec<u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
}

/// Bytes as bytes, not as a sequence of numbers.
#[derive(Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// Text that is only formatted.
struct Shown(String);

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!(
            "{}{}",
            &self.0[..self.0.len() / 2],
            &self.0[self.0.len() / 2..]
        ))
    }
}

fn nested(skipped: Option<u8>) -> Nested {
    Nested {
        key: Key { region: 7, name: Newtype("eu".into()) },
        pairs: vec![Pair(-1, Newtype(String::new())), Pair(1 << 20, Newtype("x".into()))],
        unit: Unit,
        none: None,
        renamed: true,
        skipped,
        defaulted: vec![1, 200],
    }
}

#[test]
fn integers_of_every_width_at_every_edge() {
    for shift in 0..64 {
        for near in [-2_i64, -1, 0, 1, 2] {
            let value = (1_u64 << shift).wrapping_add_signed(near);
            survives(value);
            survives(value as i64);
            survives((value as i64).wrapping_neg());
            survives(value as u32);
            survives(value as i32);
            survives(value as u16);
            survives(value as i16);
            survives(value as u8);
            survives(value as i8);
            survives(value as usize);
        }
    }
}

#[test]
fn integers_take_the_shortest_form() {
    for (value, len) in [
        (0, 1),
        (127, 1),
        (128, 2),
        (255, 2),
        (256, 3),
        (65_535, 3),
        (65_536, 5),
        (u32::MAX.into(), 5),
        (1 << 32, 9),
        (i64::MAX, 9),
        (-1, 1),
        (-32, 1),
        (-33, 2),
        (-128, 2),
        (-129, 3),
        (-32_768, 3),
        (-32_769, 5),
        (i32::MIN.into(), 5),
        (i64::from(i32::MIN) - 1, 9),
        (i64::MIN, 9),
    ] {
        assert_eq!(bytes_of(&value).len(), len, "{value}");
        assert_eq!(bytes_of(&value), bytes_of(&i128::from(value)), "{value}");
    }
}

#[test]
fn wide_integers() {
    for value in [0, 1, u64::MAX.into(), 1 << 64, u128::MAX - 1, u128::MAX, 1 << 127] {
        survives_unbuffered(&value);
        survives_unbuffered(&(value as i128));
        survives_unbuffered(&(value as i128).wrapping_neg());
    }
    for value in [i128::MIN, i128::MAX, i64::MIN.into(), i128::from(i64::MIN) - 1] {
        survives_unbuffered(&value);
    }
    survives_unbuffered(&Holding { value: u128::MAX });
    survives_unbuffered(&Some(Pair(1, Newtype("2".into()))));
    // The other sign, and too narrow a type, are refused and not wrapped.
    assert!(recoded::<i128>(&u128::MAX).is_err());
    assert!(recoded::<u128>(&-1_i128).is_err());
    assert!(recoded::<u128>(&i128::MIN).is_err());
    assert!(recoded::<u64>(&u128::MAX).is_err());
    assert_eq!(recoded::<i128>(&(1_u128 << 64)), Ok(1 << 64));
    assert_eq!(recoded::<u128>(&7_u8), Ok(7));
    assert_eq!(recoded::<i128>(&-7_i8), Ok(-7));
}

#[test]
fn floats_keep_every_bit() {
    for value in [
        0.0,
        -0.0,
        1.5,
        f64::MIN,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.1,
    ] {
        survives(value);
        survives(value as f32);
    }
    for bits in
        [f64::NAN.to_bits(), (-f64::NAN).to_bits(), 0x7ff8_0000_dead_beef, (-0.0_f64).to_bits()]
    {
        assert_eq!(recoded::<f64>(&f64::from_bits(bits)).unwrap().to_bits(), bits);
        let Buffered::Only(buffered) = recoded(&Buffered::Only(f64::from_bits(bits))).unwrap();
        assert_eq!(f64::to_bits(buffered), bits);
    }
    for bits in [f32::NAN.to_bits(), 0x7fc0_beef, (-0.0_f32).to_bits()] {
        assert_eq!(recoded::<f32>(&f32::from_bits(bits)).unwrap().to_bits(), bits);
    }
}

#[test]
fn text_and_bytes() {
    for value in ['a', 'ß', '€', '🦀', '\0', char::MAX] {
        survives(value);
    }
    for len in [0, 1, 31, 32, 255, 256, 65_535, 65_536] {
        survives("x".repeat(len));
        survives_unbuffered(&Bytes(vec![0xc1; len]));
        let shown = Shown("y".repeat(len));
        assert_eq!(bytes_of(&shown), bytes_of(&shown.0), "formatted and copied text are one");
        let short = Bounds { bytes: bytes_of(&shown).len() - 1, ..BOUNDS };
        assert_eq!(
            encode(&shown, short, &mut Vec::new()),
            Err(Error::TooLong { limit: short.bytes })
        );
    }
    survives(String::from("lift 🏋️‍♀️ and 🇪🇺"));
    survives(Bytes(vec![0, 255]));
    survives(Cow::<'_, str>::Owned("cow".into()));
    assert_eq!(recoded::<Bytes>("a string"), Ok(Bytes(b"a string".to_vec())));

    let bytes = bytes_of(&("borrowed", 1));
    let (text, _): (&str, u8) = decode(&bytes, BOUNDS).unwrap();
    assert!(bytes.as_ptr_range().contains(&text.as_ptr()), "nothing was copied");
}

#[test]
fn structs_and_tuples() {
    survives(());
    survives(Unit);
    survives(Newtype("n".into()));
    survives(Pair(-5, Newtype("five".into())));
    survives((1_u8, -1_i64, "three".to_owned(), (), (4.5_f32,)));
    survives([[1_u8, 2], [3, 255]]);
    survives([(); 0]);
    survives(nested(None));
    survives(nested(Some(9)));
    survives(Key { region: 0, name: Newtype("é".repeat(40)) });
    survives(Box::new(Tree {
        left: Some(Box::new(Tree { left: None, right: None })),
        right: None,
    }));
    survives(true);
    survives((false, true));
}

#[test]
fn collections() {
    for len in [0, 1, 15, 16, 65_535, 65_536] {
        let value = vec![1_u8; len];
        assert_eq!(recoded(&value).as_ref(), Ok(&value));
    }
    survives((0..300).collect::<Vec<i16>>());
    survives((0..20).map(|n| (n, n.to_string())).collect::<HashMap<u32, String>>());
    survives(HashMap::from([(true, 'y'), (false, 'n')]));
    survives(BTreeMap::from([(-1_i8, vec![1]), (1, vec![])]));
    survives(BTreeMap::from([
        (Key { region: 1, name: Newtype("a".into()) }, 1),
        (Key { region: 1, name: Newtype("b".into()) }, 2),
    ]));
    survives(BTreeMap::from([((1, "x".to_owned()), Some(())), ((2, "y".to_owned()), None)]));
    survives(BTreeMap::from([(None, 0), (Some(None), 1), (Some(Some('x')), 2)]));
    survives(BTreeSet::from([Newtype("a".into()), Newtype("b".into())]));
    survives(vec![vec![vec![Vec::<u8>::new()]]]);
    survives(serde_json::json!({"a": [1, -2, 3.5, null, true, {"b": {}}], "": "x"}));
}

#[test]
fn types_of_the_standard_library() {
    survives(Duration::new(3, 999_999_999));
    survives(Duration::MAX);
    survives(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_760_000_000_123_456_789));
    survives(IpAddr::from([127, 0, 0, 1]));
    survives(IpAddr::from(Ipv6Addr::LOCALHOST));
    survives(SocketAddr::from(([10, 0, 0, 1], 8080)));
    survives(PathBuf::from("/srv/data ☃"));
    survives(Ok::<u8, String>(7));
    survives(Err::<u8, String>("sold out".into()));
    survives(Ok::<(), Option<()>>(()));
    survives(Err::<(), Option<()>>(Some(())));
    survives(1..=5_u8);
    survives(std::num::NonZeroU32::MIN);

    assert_eq!(bytes_of(&IpAddr::from([1, 2, 3, 4])), bytes_of("1.2.3.4"), "human readable");
    let mut out = Vec::new();
    let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(
        message(encode(&early, BOUNDS, &mut out)),
        "SystemTime must be later than UNIX_EPOCH"
    );
}
