//! What can be passed and answered: a table of shapes, each sent there and back.
//!
//! In process all of them survive. Where they are encoded, each survives or is a typed error.

use monolift::{
    CallError, CallErrorKind, InterfaceError, async_trait,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt::Debug,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
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
pub struct Unit;

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
pub struct FlatWide {
    #[serde(flatten)]
    pub wide: Wide,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wide {
    pub wide: u128,
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
    Newtype(Pairs),
    Struct { a: f64, b: Option<Option<u8>> },
    Wide { wide: u128 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pairs {
    pub pairs: Vec<Pair>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "content")]
pub enum Adjacent {
    Unit,
    Newtype(String),
    Tuple(i32, Option<bool>),
    Struct { a: i8 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Untagged {
    Number(i64),
    Text(String),
    Struct { a: i8 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tree {
    pub children: Vec<Tree>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    pub a: u8,
    pub b: String,
}

/// Declares an interface of methods that answer what they are given, and its implementation.
macro_rules! echo {
    ($($name:ident: $type:ty;)*) => {
        #[monolift::interface(module = "echo")]
        pub trait Echo {
            $(async fn $name(&self, value: $type) -> Result<$type>;)*

            async fn nothing(&self) -> Result<()>;
            async fn text_ref(&self, value: &str) -> Result<String>;
            async fn slice_ref(&self, value: &[Pair]) -> Result<Vec<Pair>>;
            async fn struct_ref(&self, value: &Nested) -> Result<Nested>;
            async fn path_ref(&self, value: &Path) -> Result<PathBuf>;
            async fn several(&self, a: &str, b: Option<u8>, c: &[u8], d: Vec<String>)
                -> Result<(String, Option<u8>, Vec<u8>, Vec<String>)>;
        }

        struct Parrot;

        #[async_trait]
        impl Echo for Parrot {
            $(async fn $name(&self, value: $type) -> Result<$type> { Ok(value) })*

            async fn nothing(&self) -> Result<()> {
                Ok(())
            }
            async fn text_ref(&self, value: &str) -> Result<String> {
                Ok(value.to_owned())
            }
            async fn slice_ref(&self, value: &[Pair]) -> Result<Vec<Pair>> {
                Ok(value.to_vec())
            }
            async fn struct_ref(&self, value: &Nested) -> Result<Nested> {
                Ok(value.clone())
            }
            async fn path_ref(&self, value: &Path) -> Result<PathBuf> {
                Ok(value.to_owned())
            }
            async fn several(&self, a: &str, b: Option<u8>, c: &[u8], d: Vec<String>)
                -> Result<(String, Option<u8>, Vec<u8>, Vec<String>)> {
                Ok((a.to_owned(), b, c.to_vec(), d))
            }
        }
    };
}

echo! {
    bool: bool;
    u8: u8;
    u64: u64;
    i8: i8;
    i64: i64;
    u128: u128;
    i128: i128;
    f32: f32;
    f64: f64;
    char: char;
    string: String;
    bytes: Vec<u8>;
    unit: ();
    unit_struct: Unit;
    newtype: Newtype;
    tuple_struct: Pair;
    tuple: (i32, String, Option<bool>);
    array: [u16; 4];
    option: Option<u8>;
    option_option: Option<Option<u8>>;
    option_unit: Option<()>;
    options: Vec<Option<Option<()>>>;
    nested: Nested;
    flat: Flat;
    flat_wide: FlatWide;
    external: External;
    internal: Internal;
    adjacent: Adjacent;
    untagged: Untagged;
    boxed: Box<Newtype>;
    tree: Tree;
    map: HashMap<u32, String>;
    map_of_keys: BTreeMap<Newtype, i32>;
    map_of_structs: BTreeMap<Key, i32>;
    set: BTreeSet<i64>;
    queue: VecDeque<bool>;
    result: std::result::Result<u8, String>;
    duration: Duration;
    address: IpAddr;
    path: PathBuf;
    json: serde_json::Value;
}

/// Where calls are encoded, the value is refused with this kind, by name; in process it passes.
fn refused<T: Debug + PartialEq>(mode: Mode, answer: Result<T>, value: T, kind: CallErrorKind) {
    match answer {
        Ok(answer) => assert!(!mode.encodes() && answer == value, "{answer:?} for {value:?}"),
        Err(EchoError::Call(error)) => {
            assert!(mode.encodes() && error.kind() == kind, "{value:?}: {error}");
        }
    }
}

macro_rules! survive {
    ($echo:ident: $($method:ident($($value:expr),*);)*) => {
        $($({
            let value = $value;
            let answer = $echo.$method(value.clone()).await;
            assert_eq!(answer.expect(stringify!($value)), value, stringify!($method));
        })*)*
    };
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
    let mut tree = Tree { children: Vec::new() };
    for _ in 1..depth {
        tree = Tree { children: vec![tree] };
    }
    tree
}

#[every_mode]
async fn these_survive(mode: Mode) {
    let system = System::new(mode).fake::<dyn Echo>(Arc::new(Parrot)).start().await;
    let echo: EchoClient = system.client();
    survive! { echo:
        bool(true, false);
        u8(0, 127, 128, u8::MAX);
        u64(0, 1 << 31, 1 << 32, u64::MAX);
        i8(i8::MIN, -33, -1, i8::MAX);
        i64(i64::MIN, i64::from(i32::MIN), -1, 0, i64::MAX);
        u128(0, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX);
        i128(i128::MIN, i128::from(i64::MIN), -1, i128::MAX);
        f32(0.1, f32::MIN_POSITIVE, f32::INFINITY);
        f64(0.1, -1e300, f64::NEG_INFINITY);
        char('a', 'é', '🦀', '\0');
        string(String::new(), "é🦀\0\"\\".to_owned(), "x".repeat(70_000));
        bytes(vec![], vec![0, 127, 128, 255], vec![200; 1 << 20]);
        unit(());
        unit_struct(Unit);
        newtype(Newtype("x".into()));
        tuple_struct(Pair(-5, "y".into()));
        tuple((1, "z".to_owned(), None), (2, String::new(), Some(false)));
        array([1, 2, 3, u16::MAX]);
        option(None, Some(0));
        option_option(None, Some(None), Some(Some(7)));
        option_unit(None, Some(()));
        options(vec![], vec![None, Some(None), Some(Some(()))]);
        nested(nested());
        flat(Flat {
            id: 9,
            nested: nested(),
            rest: BTreeMap::from([("more".to_owned(), -1), ("other".to_owned(), 2)]),
        });
        external(
            External::Unit,
            External::Newtype(u128::MAX),
            External::Tuple(1, None),
            External::Struct { a: 0.5, b: vec![1] }
        );
        internal(
            Internal::Unit,
            Internal::Newtype(Pairs { pairs: vec![Pair(1, "p".into())] }),
            Internal::Struct { a: 0.5, b: Some(None) },
            Internal::Struct { a: 0.5, b: None }
        );
        adjacent(
            Adjacent::Unit,
            Adjacent::Newtype("n".into()),
            Adjacent::Tuple(1, Some(true)),
            Adjacent::Struct { a: -1 }
        );
        untagged(Untagged::Number(-4), Untagged::Text("4".into()), Untagged::Struct { a: 4 });
        boxed(Box::new(Newtype("b".into())));
        tree(tree(10));
        map(HashMap::new(), HashMap::from([(0, "a".to_owned()), (u32::MAX, "b".to_owned())]));
        map_of_keys(BTreeMap::from([(Newtype("k".into()), 1)]));
        map_of_structs(BTreeMap::from([(Key { a: 1, b: "k".into() }, 1)]));
        set(BTreeSet::from([-1, 0, 1]));
        queue(VecDeque::from([true, false]));
        result(Ok(1), Err("e".to_owned()));
        duration(Duration::MAX, Duration::from_nanos(1));
        address("127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse::<IpAddr>().unwrap());
        path(PathBuf::from("/a/é"));
        json(serde_json::json!({ "a": [1, -2.5, null, { "b": "c" }], "d": u64::MAX }));
    }
    let nan = echo.f64(f64::NAN).await.unwrap();
    assert!(nan.is_nan());
    let zero = echo.f64(-0.0).await.unwrap();
    assert!(zero == 0.0 && zero.is_sign_negative());
    system.stop().await;
}

#[every_mode]
async fn references_and_many_arguments_survive(mode: Mode) {
    let system = System::new(mode).fake::<dyn Echo>(Arc::new(Parrot)).start().await;
    let echo: EchoClient = system.client();
    echo.nothing().await.unwrap();
    assert_eq!(echo.text_ref("borrowed").await.unwrap(), "borrowed");
    let pairs = [Pair(1, "a".into()), Pair(2, "b".into())];
    assert_eq!(echo.slice_ref(&pairs).await.unwrap(), pairs);
    assert_eq!(echo.struct_ref(&nested()).await.unwrap(), nested());
    assert_eq!(echo.path_ref(Path::new("a/b")).await.unwrap(), Path::new("a/b"));
    let all = echo.several("a", Some(2), &[3, 4], vec!["d".into()]).await.unwrap();
    assert_eq!(all, ("a".to_owned(), Some(2), vec![3, 4], vec!["d".to_owned()]));
    system.stop().await;
}

#[every_mode]
async fn these_are_typed_errors_where_they_are_encoded(mode: Mode) {
    use CallErrorKind::{BadArguments, TooLarge};
    let system = System::new(mode).fake::<dyn Echo>(Arc::new(Parrot)).start().await;
    let echo: EchoClient = system.client();

    // serde holds what it has to look at twice in a buffer, and that knows 64 bits.
    let wide = Internal::Wide { wide: u128::MAX };
    refused(mode, echo.internal(wide.clone()).await, wide, BadArguments);
    let wide = FlatWide { wide: Wide { wide: u128::MAX } };
    refused(mode, echo.flat_wide(wide.clone()).await, wide, BadArguments);

    // Deeper than the manifest's `nesting`.
    refused(mode, echo.tree(tree(60)).await, tree(60), BadArguments);

    // Longer than the manifest's `frame`.
    let long = "x".repeat(5 << 20);
    refused(mode, echo.string(long.clone()).await, long, TooLarge);

    // No text, so no path for another machine.
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let path = PathBuf::from(std::ffi::OsString::from_vec(vec![0xff, b'a']));
        refused(mode, echo.path(path.clone()).await, path, BadArguments);
    }

    // And after all that the connection is as good as new.
    assert_eq!(echo.u8(1).await.unwrap(), 1);
    system.stop().await;
}
