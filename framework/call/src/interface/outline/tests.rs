use super::*;
use monolift_call::__private::Interface as _;
use serde_json::json;

/// An interface of each version of `Catalog`, which differ in what a test names.
macro_rules! version {
    ($name:ident { $($items:tt)* } $($arguments:tt)*) => {
        #[allow(dead_code, unreachable_pub, unused_imports, reason = "only its descriptor is looked at")]
        mod $name {
            use crate::{CallError, InterfaceError};
            use schemars::JsonSchema;
            use serde::{Deserialize, Serialize};

            #[crate::interface(module = "catalog")]
            pub trait Catalog {
                async fn find($($arguments)*) -> Result<Book, CatalogError>;
            }

            $($items)*
        }
    };
}

version! { one {
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Options {
        pub pages: u64,
        pub shelf: Option<Shelf>,
        pub order: Order,
        pub tree: Tree,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Shelf { pub room: u8, pub note: String }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Tree { pub name: String, pub under: Vec<Tree> }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum Order {
        Title,
        By(String),
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Book { pub id: u64, pub title: Option<String> }

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    pub enum CatalogError {
        #[error("no book {0}")]
        Unknown(u64),
        #[error(transparent)]
        Call(CallError),
    }
} &self, id: u64, options: Options, limit: Option<u32>, #[serde(default)] fast: bool }

// The same, said in other words: docs, bounds, another order, other names of types, more that may be missing.
version! { reworded {
    /// What is wanted.
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Wanted {
        /// Where it stands.
        pub shelf: Option<Place>,
        #[schemars(range(max = 9))]
        pub pages: u64,
        pub tree: Node,
        pub order: Order,
        #[serde(default)]
        pub more: bool,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Place { pub note: String, #[serde(default)] pub room: u8 }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Node { pub under: Vec<Node>, #[schemars(length(max = 3))] pub name: String }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum Order {
        By(String),
        /// By title.
        Title,
        Author,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Book { pub title: Option<String>, pub id: u64, pub authors: Vec<String> }

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    pub enum CatalogError {
        #[error(transparent)]
        Call(CallError),
        #[error("no book {0}")]
        Unknown(u64),
    }
} &self, options: Wanted, #[serde(default)] fast: bool, id: u64, limit: Option<u32>, language: Option<String> }

version! { other {
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Options {
        pub pages: u32,
        pub shelf: Shelf,
        pub order: Order,
        pub tree: Tree,
        pub currency: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Shelf { pub room: u8 }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Tree { pub name: u64, pub under: Vec<Tree> }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum Order { By(u8) }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Book { pub title: String }

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    pub enum CatalogError {
        #[error("it is lent")]
        Lent,
        #[error(transparent)]
        Call(CallError),
    }
} &self, id: u64, options: Options, most: u32 }

// An argument that a callee may ignore.
version! { marked {
    pub use super::one::{Book, CatalogError, Options};
} &self, id: u64, options: Options, limit: Option<u32>, #[serde(default)] fast: bool,
  #[may_be_ignored] language: Option<String> }

fn one() -> &'static InterfaceDescriptor {
    <dyn one::Catalog>::descriptor()
}

fn reworded() -> &'static InterfaceDescriptor {
    <dyn reworded::Catalog>::descriptor()
}

fn other() -> &'static InterfaceDescriptor {
    <dyn other::Catalog>::descriptor()
}

fn marked() -> &'static InterfaceDescriptor {
    <dyn marked::Catalog>::descriptor()
}

/// What is told to a caller with `ours` of a callee with `theirs`.
fn told(ours: &'static InterfaceDescriptor, theirs: &'static InterfaceDescriptor) -> Vec<String> {
    let said = Outline::of(theirs).differences(ours).to_string();
    said.split("; ").filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[test]
fn versions_that_fit_have_no_differences() {
    assert_eq!(told(one(), one()), [""; 0]);
    assert_eq!(told(other(), other()), [""; 0]);
    assert_eq!(told(one(), reworded()), [""; 0]);
    assert_ne!(one().fingerprint(), reworded().fingerprint());
}

#[test]
fn what_a_newer_caller_sends_is_told_where_the_callee_does_not_know_it() {
    assert_eq!(
        told(reworded(), one()),
        [
            "the callee does not know `language` of `find`",
            "the callee does not know `options.more` of `find`",
            "the callee does not know `options.order::Author` of `find`",
            "the caller requires `answer.authors` of `find`, which the callee lacks",
        ]
    );
    let unknown = Outline::of(one()).unknown(&reworded().methods[0]);
    assert_eq!(unknown.iter().map(|argument| argument.name).collect::<Vec<_>>(), ["language"]);
}

#[test]
fn an_argument_that_may_be_ignored_is_no_difference() {
    assert_eq!(told(marked(), one()), [""; 0]);
    let unknown = Outline::of(one()).unknown(&marked().methods[0]);
    assert_eq!(unknown.iter().map(|argument| argument.name).collect::<Vec<_>>(), ["language"]);
}

#[test]
fn all_that_does_not_fit_is_named() {
    let mut all = told(one(), other());
    assert_eq!(all.pop().as_deref(), Some("and more"));
    assert_eq!(
        all,
        [
            "the callee does not know `fast` of `find`",
            "the callee does not know `limit` of `find`",
            "the callee requires `most` of `find`, which the caller lacks",
            "the callee requires `options.currency` of `find`, which the caller lacks",
            "`options.order::By` of `find` has different types",
            "the callee does not know `options.order::Title` of `find`",
            "`options.pages` of `find` has different types",
            "the callee takes no null for `options.shelf` of `find`",
        ]
    );
}

#[test]
fn an_outline_is_short_and_its_types_can_be_left_out() {
    let outline = Outline::of(one());
    let text = serde_json::to_string(&outline).unwrap();
    assert!(text.len() < 1_200, "{} bytes: {text}", text.len());
    assert_eq!(serde_json::from_str::<Outline>(&text).unwrap(), outline);
    let names = Outline::of(other()).without_types();
    assert_eq!(names.unknown(&one().methods[0]).len(), 2);
    assert_eq!(
        names.differences(one()).to_string(),
        "the callee does not know `fast` of `find`; the callee does not know `limit` of `find`; \
         the callee requires `most` of `find`, which the caller lacks"
    );
}

#[test]
fn variants_have_the_names_that_they_have_on_the_wire() {
    let read = |schema: Value| {
        let definitions = serde_json::Map::new();
        let mut compiler = Compiler::new(&definitions, None);
        let (at, nullable) = compiler.part(&schema);
        let read = compiler.finish().swap_remove(at);
        (read.variants.into_keys().collect::<Vec<_>>(), nullable)
    };
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let plain = json!({ "type": "string", "enum": ["a", "b"] });
    assert_eq!(read(plain), (names(&["a", "b"]), false));
    let optional = json!({ "type": ["string", "null"], "enum": ["a", "null", null] });
    assert_eq!(read(optional), (names(&["a", "null"]), true));
    let outside = json!({ "oneOf": [
        { "const": "a", "description": "First." },
        { "type": "object", "properties": { "b": true }, "required": ["b"], "additionalProperties": false },
    ] });
    assert_eq!(read(outside), (names(&["a", "b"]), false));
    let inside = json!({ "oneOf": [
        { "type": "object", "properties": { "kind": { "const": "a" } }, "required": ["kind"] },
        { "type": "object", "properties": { "kind": { "const": "b" }, "x": true }, "required": ["kind", "x"] },
    ] });
    assert_eq!(read(inside), (names(&["a", "b"]), false));
    let untagged =
        json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }, { "type": "null" }] });
    assert_eq!(read(untagged), (names(&["0", "1"]), true));
}

/// A peer may send any outline. It must neither be believed nor take long.
#[test]
fn an_outline_of_a_peer_is_bounded() {
    let hostile = json!({
        "methods": { "find": {
            "takes": { "required": { "id": 0, "options": 1, "limit": 77, "x\ny".repeat(200): 0 } },
            "gives": { "nullable": { "answer": 0, "error": usize::MAX } },
        } },
        "types": [
            { "own": 7, "parts": { "required": { "a": 0, "b": 1 } } },
            { "own": 7, "parts": { "required": { "a": 1, "b": 0 } } },
        ],
    });
    let theirs: Outline = serde_json::from_value(hostile).unwrap();
    let said = theirs.differences(one()).to_string();
    assert!(said.contains("requires `x y"), "{said}");
    assert!(!said.contains('\n') && said.len() < 2_000, "{said}");
}
