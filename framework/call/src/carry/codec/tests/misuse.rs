//! Incorrect implementations of serde's traits cause an error, never a wrong value.

use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::*;

macro_rules! writes {
    (|$serializer:ident| $body:expr) => {{
        struct Writes;
        impl Serialize for Writes {
            fn serialize<S: Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                $body
            }
        }
        let mut out = vec![1, 2, 3];
        let result = encode(&(0, Writes, 0), BOUNDS, &mut out);
        assert_eq!(out, [1, 2, 3], "nothing is left behind");
        result
    }};
}

#[test]
fn lengths_must_be_kept() {
    let short = writes!(|serializer| serializer.serialize_seq(Some(2))?.end());
    assert_eq!(short, Err(Error::Length { announced: 2, given: 0 }));
    let long = writes!(|serializer| {
        let mut map = serializer.serialize_map(Some(0))?;
        map.serialize_entry("a", "b")?;
        map.end()
    });
    assert_eq!(long, Err(Error::Length { announced: 0, given: 1 }));
    let huge = writes!(|serializer| serializer.serialize_seq(Some(usize::MAX))?.end());
    assert_eq!(huge, Err(Error::TooLong { limit: BOUNDS.bytes }));
}

#[test]
fn keys_and_values_go_in_pairs() {
    let key = writes!(|serializer| {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_key("a")?;
        map.end()
    });
    assert_eq!(key, Err(Error::Unpaired));
    let value = writes!(|serializer| {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_value("a")?;
        map.end()
    });
    assert_eq!(value, Err(Error::Unpaired));
    let keys = writes!(|serializer| {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_key("a")?;
        map.serialize_key("b")?;
        map.end()
    });
    assert_eq!(keys, Err(Error::Unpaired));
}

#[test]
fn unknown_lengths_are_filled_in() {
    struct Pairs;
    impl Serialize for Pairs {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("list", &Evens)?;
            map.serialize_entry("none", &())?;
            map.end()
        }
    }
    struct Evens;
    impl Serialize for Evens {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..10).filter(|n| n % 2 == 0))
        }
    }
    let read: serde_json::Value = recoded(&Pairs).unwrap();
    assert_eq!(read, serde_json::json!({"list": [0, 2, 4, 6, 8], "none": null}));
}

#[test]
fn an_overlooked_error_still_counts() {
    let overlooked = writes!(|serializer| {
        let mut seq = serializer.serialize_seq(None)?;
        let _ = seq.serialize_element(&(1, "x".repeat(BOUNDS.bytes)));
        seq.end()
    });
    assert_eq!(overlooked, Err(Error::TooLong { limit: BOUNDS.bytes }));

    #[derive(Debug)]
    struct Lenient;
    impl<'de> Deserialize<'de> for Lenient {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let _ = <(u8, u8)>::deserialize(deserializer);
            Ok(Self)
        }
    }
    assert!(recoded::<(Lenient, u8)>(&(("a", 2), 3)).is_err());
    assert!(recoded::<(Lenient, u8)>(&((1, 2), 3)).is_ok());
}

#[test]
fn a_display_that_fails_is_an_error() {
    struct Silent;
    impl fmt::Display for Silent {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    let silent = writes!(|serializer| serializer.collect_str(&Silent));
    assert_eq!(message(silent), "a value could not be formatted");
}

#[test]
fn whatever_is_handed_out_must_be_read() {
    /// Takes the first item of a sequence, and leaves the others.
    #[derive(Debug)]
    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = First;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First, A::Error> {
            seq.next_element::<u8>()?;
            Ok(self)
        }
        fn visit_some<D: Deserializer<'de>>(self, _: D) -> Result<First, D::Error> {
            Ok(self)
        }
        fn visit_enum<A: serde::de::EnumAccess<'de>>(self, access: A) -> Result<First, A::Error> {
            access.variant::<String>()?;
            Ok(self)
        }
    }
    macro_rules! reads {
        ($name:ident, $method:ident($($argument:expr),*)) => {
            #[derive(Debug)]
            struct $name;
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.$method($($argument,)* First)?;
                    Ok(Self)
                }
            }
        };
    }
    reads!(Seq, deserialize_seq());
    reads!(Maybe, deserialize_option());
    reads!(Either, deserialize_enum("", &[]));
    assert_eq!(recoded::<(Seq, u8)>(&([1, 2], 3)).err(), Some(Error::Unread));
    assert!(recoded::<(Seq, u8)>(&([1], 3)).is_ok());
    assert_eq!(recoded::<(Maybe, u8)>(&(5, 3)).err(), Some(Error::Unread));
    assert_eq!(recoded::<(Maybe, u8)>(&(Some(()), 3)).err(), Some(Error::Unread));
    assert_eq!(recoded::<(Either, u8)>(&(Ok::<u8, u8>(1), 3)).err(), Some(Error::Unread));

    /// Claims a value without looking.
    #[derive(Debug)]
    struct Blind;
    impl<'de> Deserialize<'de> for Blind {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    assert_eq!(recoded::<(Blind, u8)>(&(1, 2)).err(), Some(Error::Unread));
    assert_eq!(recoded::<Blind>(&1).err(), Some(Error::Trailing { bytes: 1 }));
}

#[test]
fn messages_are_short_whatever_a_peer_sends() {
    let long = "é".repeat(100_000);
    let error = message(recoded::<Result<u8, u8>>(&long));
    assert!(error.len() < 420 && error.ends_with('…'), "{error}");
}
