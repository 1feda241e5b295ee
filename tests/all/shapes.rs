//! What can be passed and answered: a table of shapes, each sent there and back in every mode.
//!
//! In process all of it survives. Where it is encoded, it survives or is a typed error: never
//! another value.

use monolift::{
    CallError, CallErrorKind, InterfaceError, async_trait,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    ffi::OsString,
    fmt::Debug,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU8,
    ops::Range,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum EchoError {
    #[error(transparent)]
    Call(CallError),
}

type Result<T> = std::result::Result<T, EchoError>;

#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Newtype(pub String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pair(pub i32, pub String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Nested {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left_out: Option<u8>,
    #[serde(rename = "type")]
    pub renamed: Vec<Pair>,
    #[serde(default)]
    pub defaulted: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flat {
    pub id: u64,
    #[serde(flatten)]
    pub nested: Nested,
    #[serde(flatten)]
    pub rest: BTreeMap<String, i32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum External {
    Unit,
    Newtype(u128),
    Tuple(i32, Option<bool>),
    Struct { a: f64, b: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum Internal {
    Unit,
    Newtype(Nested),
    Struct { a: f64, b: Option<Option<u8>> },
    Wide { wide: u128 },
    Number(u8),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "content")]
pub enum Adjacent {
    Unit,
    Newtype(String),
    Tuple(i32, Option<bool>),
    Struct { a: i8 },
    Wide(u128),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Untagged {
    Number(i64),
    Text(String),
    Struct { a: i8 },
    Wide { wide: u128 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wide {
    pub wide: u128,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlatWide {
    #[serde(flatten)]
    pub wide: Wide,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlatNumbers {
    #[serde(flatten)]
    pub numbers: BTreeMap<Key, u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tree {
    pub children: Vec<Tree>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    pub next: Option<Box<Chain>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    pub a: u8,
    pub b: String,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Colour {
    Red,
    #[serde(rename = "the colour of the sky")]
    Blue,
}

fn nested() -> Nested {
    Nested {
        name: "ünïcode 🦀".into(),
        left_out: None,
        renamed: vec![Pair(-1, String::new()), Pair(i32::MAX, "x".into())],
        defaulted: true,
    }
}

fn tree(depth: usize) -> Tree {
    (1..depth).fold(Tree { children: Vec::new() }, |tree, _| Tree { children: vec![tree] })
}

fn chain(length: usize) -> Chain {
    (1..length).fold(Chain { next: None }, |chain, _| Chain { next: Some(Box::new(chain)) })
}

/// Text in Latin 1, which no other machine could read as a path.
fn latin_path() -> PathBuf {
    PathBuf::from(OsString::from_vec(vec![b'/', 0xe9]))
}

fn before_1970() -> SystemTime {
    SystemTime::UNIX_EPOCH - Duration::from_secs(1)
}

/// From the two tables: an interface with a method for each line, which answers what it is given;
/// another one whose methods have the refused values for answers; and a function that calls them.
macro_rules! table {
    (
        survive: { $($name:ident: $type:ty = [$($value:expr),* $(,)?];)* }
        refused: { $($refused:ident: $refused_type:ty = $refused_value:expr, as $kind:ident;)* }
    ) => {
        #[monolift::interface(module = "echo")]
        pub trait Echo {
            $(async fn $name(&self, value: $type) -> Result<$type>;)*
            $(async fn $refused(&self, value: $refused_type) -> Result<$refused_type>;)*
        }

        #[monolift::interface(module = "echo")]
        pub trait Give {
            $(async fn $refused(&self) -> Result<$refused_type>;)*
        }

        struct Parrot;

        #[async_trait]
        impl Echo for Parrot {
            $(async fn $name(&self, value: $type) -> Result<$type> { Ok(value) })*
            $(async fn $refused(&self, value: $refused_type) -> Result<$refused_type> {
                Ok(value)
            })*
        }

        #[async_trait]
        impl Give for Parrot {
            $(async fn $refused(&self) -> Result<$refused_type> { Ok($refused_value) })*
        }

        async fn survivors_survive(echo: &EchoClient) {
            $(
                let values: Vec<$type> = vec![$($value),*];
                for value in values {
                    let answer = echo.$name(value.clone()).await;
                    same(stringify!($name), answer, &value);
                }
            )*
        }

        /// Where it is encoded, each is refused as an argument and as an answer; else it survives.
        async fn refused_are_refused(mode: Mode, echo: &EchoClient, give: &GiveClient) {
            $(
                let (name, value) = (stringify!($refused), $refused_value);
                let passed = echo.$refused(value.clone()).await;
                let given = give.$refused().await;
                if mode.encodes() {
                    is_refused(name, passed, CallErrorKind::$kind);
                    let kind = match CallErrorKind::$kind {
                        CallErrorKind::BadArguments => CallErrorKind::BadAnswer,
                        kind => kind,
                    };
                    is_refused(name, given, kind);
                } else {
                    same(name, passed, &value);
                    same(name, given, &value);
                }
            )*
        }
    };
}

fn same<T: Debug + PartialEq>(name: &str, answer: Result<T>, value: &T) {
    let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
    // What is not a number is not equal to itself, and looks the same.
    let same = answer == *value || format!("{answer:?}") == format!("{value:?}");
    assert!(same, "{name}: {value:?} came back as {answer:?}");
}

fn is_refused<T: Debug>(name: &str, answer: Result<T>, kind: CallErrorKind) {
    match answer {
        Ok(answer) => panic!("{name}: it passed as {answer:?}"),
        Err(EchoError::Call(error)) => {
            assert_eq!(error.kind(), kind, "{name}: {error}");
            assert_eq!(error.call(), format!("echo.{name}"), "{error}");
        }
    }
}

table! {
    survive: {
        // Numbers, at their edges.
        bool: bool = [true, false];
        u8: u8 = [0, 127, 128, u8::MAX];
        u16: u16 = [0, 255, 256, u16::MAX];
        u32: u32 = [0, 65_535, 65_536, u32::MAX];
        u64: u64 = [0, 1 << 32, 1 << 53, 1 << 63, u64::MAX];
        u128: u128 = [0, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX];
        usize: usize = [0, usize::MAX];
        i8: i8 = [i8::MIN, -33, -32, -1, 0, i8::MAX];
        i16: i16 = [i16::MIN, -129, -128, i16::MAX];
        i32: i32 = [i32::MIN, -32_769, -32_768, i32::MAX];
        i64: i64 = [i64::MIN, i64::from(i32::MIN) - 1, -1, 0, i64::MAX];
        i128: i128 = [i128::MIN, i128::from(i64::MIN) - 1, -1, i128::MAX];
        isize: isize = [isize::MIN, isize::MAX];
        non_zero: NonZeroU8 = [NonZeroU8::MIN, NonZeroU8::MAX];
        f32: f32 = [0.1, f32::MIN_POSITIVE, f32::MIN, f32::MAX, f32::INFINITY, f32::NAN];
        f64: f64 = [0.1, 5e-324, f64::MIN, f64::MAX, f64::NEG_INFINITY, f64::NAN];

        // Text and bytes.
        char: char = ['a', 'é', '🦀', '\0', char::MAX];
        string: String = [String::new(), "é🦀\0\"\\".into(), "👩‍👩‍👧‍👦".repeat(10_000)];
        string_cow: Cow<'static, str> = ["".into(), "borrowed".into()];
        string_boxed: Box<str> = ["boxed".into()];
        bytes: Vec<u8> = [vec![], vec![0, 127, 128, 255], vec![200; 1 << 20]];

        // Nothing, and perhaps nothing.
        unit: () = [()];
        unit_struct: Nothing = [Nothing];
        option: Option<u8> = [None, Some(0)];
        option_text: Option<String> = [None, Some(String::new())];
        option_unit: Option<()> = [None, Some(())];
        option_unit_struct: Option<Nothing> = [None, Some(Nothing)];
        option_option: Option<Option<u8>> = [None, Some(None), Some(Some(7))];
        option_option_option: Option<Option<Option<()>>> =
            [None, Some(None), Some(Some(None)), Some(Some(Some(())))];
        options: Vec<Option<Option<()>>> = [vec![], vec![None, Some(None), Some(Some(()))]];

        // Structs, tuples, and their attributes.
        newtype: Newtype = [Newtype(String::new()), Newtype("x".into())];
        tuple: (i32, String, Option<bool>) = [(1, "z".into(), None), (2, "".into(), Some(false))];
        tuple_struct: Pair = [Pair(-5, "y".into())];
        renamed_left_out_and_defaulted: Nested = [nested(), Nested { left_out: Some(0), ..nested() }];
        flattened: Flat = [
            Flat { id: 9, nested: nested(), rest: BTreeMap::new() },
            Flat { id: 9, nested: nested(), rest: [("more".to_owned(), -1)].into() },
        ];
        range: Range<u32> = [0..0, 1..u32::MAX];

        // The four representations of enums.
        external: External = [
            External::Unit,
            External::Newtype(u128::MAX),
            External::Tuple(1, None),
            External::Struct { a: 0.5, b: vec![1] },
        ];
        internal: Internal = [
            Internal::Unit,
            Internal::Newtype(nested()),
            Internal::Struct { a: 0.5, b: None },
            Internal::Struct { a: 0.5, b: Some(None) },
            Internal::Struct { a: 0.5, b: Some(Some(1)) },
        ];
        adjacent: Adjacent = [
            Adjacent::Unit,
            Adjacent::Newtype("n".into()),
            Adjacent::Tuple(1, Some(true)),
            Adjacent::Struct { a: -1 },
            Adjacent::Wide(u128::MAX),
        ];
        untagged: Untagged =
            [Untagged::Number(-4), Untagged::Text("4".into()), Untagged::Struct { a: 4 }];
        result: std::result::Result<u8, String> = [Ok(1), Err("e".into())];
        colour: Colour = [Colour::Red, Colour::Blue];

        // Collections.
        array: [u16; 4] = [[1, 2, 3, u16::MAX]];
        array_empty: [u16; 0] = [[]];
        sequence: Vec<Pair> = [vec![], vec![Pair(1, "a".into()), Pair(2, "b".into())]];
        sequence_nested: Vec<Vec<Vec<u8>>> = [vec![vec![vec![], vec![1]], vec![]]];
        sequence_long: Vec<u64> = [(0..100_000).collect()];
        queue: VecDeque<bool> = [VecDeque::from([true, false])];
        set: BTreeSet<i64> = [BTreeSet::new(), BTreeSet::from([-1, 0, 1])];
        set_hashed: HashSet<Colour> = [HashSet::from([Colour::Blue, Colour::Red])];
        map: BTreeMap<String, i32> = [BTreeMap::new(), [("a".to_owned(), 1)].into()];
        map_by_numbers: HashMap<u32, String> =
            [HashMap::new(), (0..1_000).map(|key| (key, key.to_string())).collect()];
        map_by_newtypes: BTreeMap<Newtype, i32> = [[(Newtype("k".into()), 1)].into()];
        map_by_enums: BTreeMap<Colour, i32> = [[(Colour::Red, 1), (Colour::Blue, 2)].into()];
        map_by_tuples: BTreeMap<(bool, char), i32> = [[((true, 'x'), 1)].into()];
        map_by_structs: BTreeMap<Key, i32> = [[(Key { a: 1, b: "k".into() }, 1)].into()];

        // What holds itself; each level of a tree is two of nesting, of which there may be 64.
        boxed: Box<Newtype> = [Box::new(Newtype("b".into()))];
        recursive: Tree = [tree(1), tree(31)];
        recursive_boxed: Chain = [chain(1), chain(31)];

        // The standard library's own.
        duration: Duration = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
        time: SystemTime = [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_nanos(1)];
        address: IpAddr = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        path: PathBuf = [PathBuf::new(), "/a/é".into()];
        json: serde_json::Value =
            [serde_json::json!({ "a": [1, -2.5, null, { "b": "c" }], "d": u64::MAX })];
    }
    refused: {
        // serde keeps what it has to look at twice in a buffer, and that knows 64 bits: whatever
        // their value, wider integers are refused there.
        wide_in_a_tagged_enum: Internal = Internal::Wide { wide: 1 }, as BadArguments;
        wide_in_an_untagged_enum: Untagged = Untagged::Wide { wide: 1 }, as BadArguments;
        wide_in_a_flattened_struct: FlatWide = FlatWide { wide: Wide { wide: 1 } }, as BadArguments;
        // The tag needs a map to stand in, and flattened keys are names.
        number_beside_a_tag: Internal = Internal::Number(1), as BadArguments;
        flattened_map_by_structs: FlatNumbers =
            FlatNumbers { numbers: [(Key { a: 1, b: "k".into() }, 1)].into() }, as BadArguments;
        // Nobody could say what they are on another machine.
        path_that_is_no_text: PathBuf = latin_path(), as BadArguments;
        time_before_1970: SystemTime = before_1970(), as BadArguments;
        // Beyond the manifest's `nesting` and `frame`.
        deep: Tree = tree(33), as BadArguments;
        deep_and_boxed: Chain = chain(33), as BadArguments;
        very_deep: Tree = tree(1_000), as BadArguments;
        long_text: String = "x".repeat(4 << 20), as TooLarge;
        long_bytes: Vec<u8> = vec![0; 5 << 20], as TooLarge;
    }
}

fn system(mode: Mode) -> System {
    System::new(mode).fake::<dyn Echo>(Arc::new(Parrot)).fake::<dyn Give>(Arc::new(Parrot))
}

#[every_mode]
async fn what_survives(mode: Mode) {
    let system = system(mode).start().await;
    let echo: EchoClient = system.client();
    survivors_survive(&echo).await;
    // Equal to its opposite, and yet not the same.
    assert!(echo.f64(-0.0).await.unwrap().is_sign_negative());
    assert!(echo.f32(-0.0).await.unwrap().is_sign_negative());
    system.stop().await;
}

#[every_mode]
async fn what_is_refused_where_it_is_encoded(mode: Mode) {
    let system = system(mode).start().await;
    let (echo, give): (EchoClient, GiveClient) = (system.client(), system.client());
    refused_are_refused(mode, &echo, &give).await;
    // And after all that the connection is as good as new.
    assert_eq!(echo.u8(1).await.unwrap(), 1);
    system.stop().await;
}

/// By reference, under strange names, and many at once.
#[monolift::interface(module = "references")]
pub trait References {
    async fn nothing(&self) -> Result<()>;
    async fn text(&self, value: &str) -> Result<String>;
    async fn slice(&self, value: &[Pair]) -> Result<Vec<Pair>>;
    async fn bytes(&self, value: &[u8]) -> Result<Vec<u8>>;
    async fn structure(&self, value: &Nested) -> Result<Nested>;
    async fn option(&self, value: &Option<Option<u8>>) -> Result<Option<Option<u8>>>;
    async fn path(&self, value: &Path) -> Result<PathBuf>;
    async fn ordering(&self, left: &str, right: String) -> Result<i8>;
    async fn r#match(
        &self,
        r#type: &str,
        arguments: u8,
        module: char,
        method: bool,
    ) -> Result<String>;
    async fn several(&self, a: &str, b: Option<u8>, c: &[u8], d: Vec<String>) -> Result<String>;
}

#[async_trait]
impl References for Parrot {
    async fn nothing(&self) -> Result<()> {
        Ok(())
    }
    async fn text(&self, value: &str) -> Result<String> {
        Ok(value.to_owned())
    }
    async fn slice(&self, value: &[Pair]) -> Result<Vec<Pair>> {
        Ok(value.to_vec())
    }
    async fn bytes(&self, value: &[u8]) -> Result<Vec<u8>> {
        Ok(value.to_vec())
    }
    async fn structure(&self, value: &Nested) -> Result<Nested> {
        Ok(value.clone())
    }
    async fn option(&self, value: &Option<Option<u8>>) -> Result<Option<Option<u8>>> {
        Ok(*value)
    }
    async fn path(&self, value: &Path) -> Result<PathBuf> {
        Ok(value.to_owned())
    }
    async fn ordering(&self, left: &str, right: String) -> Result<i8> {
        Ok(left.cmp(&right) as i8)
    }
    async fn r#match(
        &self,
        r#type: &str,
        arguments: u8,
        module: char,
        method: bool,
    ) -> Result<String> {
        Ok(format!("{type} {arguments} {module} {method}"))
    }
    async fn several(&self, a: &str, b: Option<u8>, c: &[u8], d: Vec<String>) -> Result<String> {
        Ok(format!("{a} {b:?} {c:?} {d:?}"))
    }
}

#[every_mode]
async fn references_and_many_arguments_survive(mode: Mode) {
    let system = System::new(mode).fake::<dyn References>(Arc::new(Parrot)).start().await;
    let client: ReferencesClient = system.client();
    client.nothing().await.unwrap();
    assert_eq!(client.text("borrowed").await.unwrap(), "borrowed");
    let pairs = [Pair(1, "a".into()), Pair(2, "b".into())];
    assert_eq!(client.slice(&pairs).await.unwrap(), pairs);
    assert_eq!(client.slice(&[]).await.unwrap(), []);
    assert_eq!(client.bytes(&[0, 255]).await.unwrap(), [0, 255]);
    assert_eq!(client.structure(&nested()).await.unwrap(), nested());
    assert_eq!(client.option(&Some(None)).await.unwrap(), Some(None));
    assert_eq!(client.path(Path::new("a/b")).await.unwrap(), Path::new("a/b"));
    assert_eq!(client.ordering("a", "b".into()).await.unwrap(), Ordering::Less as i8);
    assert_eq!(client.r#match("a", 1, 'b', true).await.unwrap(), "a 1 b true");
    let several = client.several("a", Some(2), &[3, 4], vec!["d".into()]).await.unwrap();
    assert_eq!(several, r#"a Some(2) [3, 4] ["d"]"#);
    system.stop().await;
}
