//! Serde's four representations of enums, `flatten`, and where serde itself sets the limit.

use std::collections::{BTreeMap, HashMap};

use super::*;

/// The same enum in each representation, with the variants that serde allows there.
macro_rules! enums {
    ($($(#[$attribute:meta])* $name:ident { $($tuple:tt)* })*) => {$(
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        $(#[$attribute])*
        enum $name<T> {
            Unit,
            Newtype(Holding<T>),
            Empty {},
            Struct { first: T, second: Option<T> },
            Recursive { inner: Option<Box<$name<T>>> },
            $($tuple)*
        }

        impl<T: Serialize + DeserializeOwned + PartialEq + Debug + Clone> $name<T> {
            /// The variants that all representations have.
            fn some(value: T) -> Vec<Self> {
                vec![
                    Self::Unit,
                    Self::Newtype(Holding { value: value.clone() }),
                    Self::Struct { first: value.clone(), second: None },
                    Self::Struct { first: value.clone(), second: Some(value.clone()) },
                    Self::Recursive {
                        inner: Some(Box::new(Self::Recursive { inner: Some(Box::new(Self::Newtype(Holding { value })))})),
                    },
                ]
            }
        }
    )*};
}

enums! {
    External { Tuple(T, u8), Wrapped(Option<()>), }
    #[serde(tag = "type")] Internal { Nothing(()), }
    #[serde(tag = "t", content = "c")] Adjacent { Tuple(T, u8), Wrapped(Option<()>), }
}

/// Untagged variants have no names, so they must differ in their required fields.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Unit,
    Struct { first: Option<Option<i8>>, second: char },
    Newtype(Holding<bool>),
    Tuple(u8, String),
    Recursive { inner: Box<Untagged> },
    Maybe(Option<Vec<u8>>),
    Empty {},
}

fn all<T: Serialize + DeserializeOwned + PartialEq + Debug + Clone>(value: T) {
    External::some(value.clone()).into_iter().for_each(survives);
    Internal::some(value.clone()).into_iter().for_each(survives);
    Adjacent::some(value.clone()).into_iter().for_each(survives);
    survives(External::Tuple(value.clone(), 1));
    survives(Adjacent::Tuple(value.clone(), 1));
}

#[test]
fn all_representations_hold_all_kinds_of_values() {
    all(7_u64);
    all(-7_i8);
    all("text".to_owned());
    all(Some(None::<u8>));
    all(Some(()));
    all(vec![1, 2, 3]);
    all(HashMap::from([(1_u32, 'x')]));
    all(Holding { value: 0.5_f32 }.value);
    all(Ok::<u8, String>(1));
}

#[test]
fn variants_without_much_in_them() {
    survives(External::<u8>::Empty {});
    survives(Internal::<u8>::Empty {});
    survives(Adjacent::<u8>::Empty {});
    survives(Internal::<u8>::Nothing(()));
    for value in [None, Some(())] {
        survives(External::<u8>::Wrapped(value));
        survives(Adjacent::<u8>::Wrapped(value));
    }
    assert_eq!(bytes_of(&External::<u8>::Unit), bytes_of("Unit"));
    assert_eq!(recoded(&HashMap::from([("Unit", ())])), Ok(External::<u8>::Unit));
}

#[test]
fn untagged_variants_that_differ() {
    let inner = || Box::new(Untagged::Struct { first: Some(Some(-1)), second: 'x' });
    for value in [
        Untagged::Unit,
        Untagged::Struct { first: None, second: 'x' },
        Untagged::Struct { first: Some(None), second: 'x' },
        Untagged::Newtype(Holding { value: true }),
        Untagged::Tuple(1, "one".into()),
        Untagged::Recursive { inner: inner() },
        Untagged::Recursive { inner: Box::new(Untagged::Recursive { inner: inner() }) },
        Untagged::Recursive { inner: Box::new(Untagged::Unit) },
        Untagged::Maybe(Some(vec![1])),
        Untagged::Empty {},
    ] {
        survives(value);
    }
}

#[test]
fn flattened_structs_enums_and_maps() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Beside<T> {
        id: u64,
        #[serde(flatten)]
        inner: T,
    }
    survives(Beside { id: 1, inner: Holding { value: Some(None::<u8>) } });
    survives(Beside { id: 1, inner: Beside2 { name: "n".into(), inner: Holding { value: 'x' } } });
    survives(Beside { id: 1, inner: Some(Holding { value: 1 }) });
    survives(Beside { id: 1, inner: None::<Holding<u8>> });
    External::some(1_u8).into_iter().for_each(|inner| survives(Beside { id: 1, inner }));
    Internal::some(1_u8).into_iter().for_each(|inner| survives(Beside { id: 1, inner }));
    Adjacent::some(1_u8).into_iter().for_each(|inner| survives(Beside { id: 1, inner }));
    survives(Beside { id: 1, inner: External::Tuple(1, 2) });
    let nested = [None, Some(None), Some(Some(-1))].into_iter().enumerate();
    survives(Beside {
        id: 1,
        inner: nested.map(|(n, value)| (n.to_string(), value)).collect::<BTreeMap<_, _>>(),
    });

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Beside2 {
        name: String,
        #[serde(flatten)]
        inner: Holding<char>,
    }
}

/// Documents the behaviour, which is the same in JSON: these types are ambiguous.
#[test]
fn what_serde_itself_confuses() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: u8,
        y: u8,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Ambiguous {
        Single(f32),
        Double(f64),
        Fields(Point),
        Tuple(u8, u8),
    }
    assert_eq!(recoded(&Ambiguous::Double(0.1)), Ok(Ambiguous::Single(0.1)));
    assert_eq!(recoded(&Ambiguous::Tuple(1, 2)), Ok(Ambiguous::Fields(Point { x: 1, y: 2 })));

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Optional {
        note: Option<String>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Greedy {
        #[serde(flatten)]
        choice: Internal<u8>,
        #[serde(flatten)]
        optional: Option<Optional>,
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    }
    let greedy = Greedy { choice: Internal::Unit, optional: None, rest: BTreeMap::new() };
    let read: Greedy = recoded(&greedy).unwrap();
    assert_eq!(read.optional, Some(Optional::default()));
    assert_eq!(read.rest, BTreeMap::from([("type".to_owned(), "Unit".into())]));

    let twice = [&[0x82][..], &bytes_of("a"), &[1], &bytes_of("a"), &[2]].concat();
    assert_eq!(value_of(&twice), Ok(HashMap::from([("a".to_owned(), 2)])));
}

/// serde's buffer has no 128-bit integers, so every such value is refused.
#[test]
fn wide_integers_are_refused_where_serde_buffers() {
    for value in [1, u128::from(u64::MAX) + 1, u128::MAX] {
        let error = [
            message(recoded::<Tagged<u128>>(&Tagged::Holding { value })),
            message(recoded::<Flat<u128>>(&Flat { inner: Holding { value } })),
            message(recoded::<Buffered<u128>>(&Buffered::Only(value))),
        ];
        let known = ["u128 is not supported", "as u128, expected", "did not match any variant"];
        for error in error {
            assert!(known.iter().any(|known| error.contains(known)), "{value}: {error}");
        }
    }
    for value in [-1, i128::MIN] {
        assert!(recoded::<Tagged<i128>>(&Tagged::Holding { value }).is_err());
        assert!(recoded::<Flat<i128>>(&Flat { inner: Holding { value } }).is_err());
    }
    // Outside the buffered part, 128-bit integers are accepted.
    survives_unbuffered(&External::Struct { first: u128::MAX, second: None });
    survives_unbuffered(&Adjacent::Struct { first: i128::MIN, second: Some(-1) });
}

#[test]
fn an_adjacent_tag_behind_its_content_is_buffered() {
    let content = Holding { value: u128::MAX };
    let bytes =
        [&[0x82][..], &bytes_of("c"), &bytes_of(&content), &bytes_of("t"), &bytes_of("Newtype")]
            .concat();
    assert!(value_of::<Adjacent<u128>>(&bytes).is_err());
    let content = Holding { value: Some(None::<u8>) };
    let bytes =
        [&[0x82][..], &bytes_of("c"), &bytes_of(&content), &bytes_of("t"), &bytes_of("Newtype")]
            .concat();
    assert_eq!(value_of(&bytes), Ok(Adjacent::Newtype(content)));
}

#[test]
fn what_an_internal_tag_cannot_hold_is_refused_when_encoding() {
    #[derive(Serialize)]
    #[serde(tag = "type")]
    enum Odd {
        Number(u8),
        Text(&'static str),
        List(Vec<u8>),
        Maybe(Option<Holding<u8>>),
    }
    for odd in [Odd::Number(1), Odd::Text("x"), Odd::List(vec![]), Odd::Maybe(None)] {
        let error = message(encode(&odd, BOUNDS, &mut Vec::new()));
        assert!(error.starts_with("cannot serialize tagged newtype variant Odd::"), "{error}");
    }
}

#[test]
fn a_name_twice_is_refused() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Typed {
        r#type: String,
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Clash {
        Typed(Typed),
    }
    let clash = Clash::Typed(Typed { r#type: "x".into() });
    assert_eq!(message(recoded::<Clash>(&clash)), "duplicate field `type`");

    let twice = [&[0x82][..], &bytes_of("value"), &[1], &bytes_of("value"), &[2]].concat();
    assert_eq!(message(value_of::<Holding<u8>>(&twice)), "duplicate field `value`");
    assert_eq!(message(value_of::<Flat<u8>>(&twice)), "duplicate field `value`");
}

#[test]
fn keys_of_a_flattened_map_are_strings() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Numbered {
        #[serde(flatten)]
        rest: BTreeMap<u32, u8>,
    }
    let numbered = Numbered { rest: BTreeMap::from([(1, 1)]) };
    assert!(
        message(recoded::<Numbered>(&numbered)).starts_with("invalid type: integer `1`, expected")
    );
}
