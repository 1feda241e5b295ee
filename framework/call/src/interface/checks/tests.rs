use super::*;
use crate::{
    call::{CallError, Callee, Meter},
    interface::{Argument, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeSeed};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Sku(#[schemars(length(max = 5))] String);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Line {
    sku: Sku,
    #[schemars(range(min = 1, max = 10))]
    quantity: u32,
    /// One that is not there has no length.
    #[schemars(length(min = 2))]
    note: Option<String>,
    gift: Option<Sku>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
enum Pay {
    Card(#[schemars(length(equal = 4))] String),
    Split {
        parts: Vec<Sku>,
        #[schemars(range(min = 0.5))]
        share: f64,
    },
    Cash,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Place {
    Home {
        #[schemars(pattern(r"^\d+$"))]
        number: String,
    },
    Shop {
        #[schemars(length(max = 3))]
        number: String,
    },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Either {
    Number(#[schemars(range(max = 9))] i64),
    Text(#[schemars(length(max = 1))] String),
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Tree {
    #[schemars(length(max = 1))]
    name: String,
    left: Option<Box<Tree>>,
    others: BTreeMap<String, Tree>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Whole {
    #[serde(flatten)]
    line: Line,
    #[schemars(length(min = 1, max = 2), inner(range(max = 7)))]
    few: Vec<u8>,
    pair: (Sku, Sku),
    set: BTreeSet<u32>,
}

const fn argument<T: crate::interface::Carried>(name: &'static str) -> Argument {
    Argument { name, schema: Schema::of::<T>(), default: None, may_be_ignored: false }
}

fn method(arguments: &'static [Argument], answer: Schema) -> Method {
    Method {
        callee: Callee {
            module: "m",
            interface: "M",
            method: "m",
            deadline: None,
            rule: None,
            meter: Meter::new(),
        },
        docs: "",
        limit: None,
        idempotent: false,
        route: None,
        arguments,
        answer,
        error: Schema::of::<CallError>(),
        responses: &[],
        gives: None,
    }
}

fn checks() -> Checks {
    #[derive(JsonSchema)]
    #[schemars(inline)]
    #[allow(dead_code)]
    struct Limited(#[schemars(range(max = 100))] Option<u32>);
    static ARGUMENTS: [Argument; 9] = [
        argument::<Vec<Line>>("lines"),
        argument::<Sku>("sku"),
        argument::<Option<Vec<Sku>>>("skus"),
        argument::<Pay>("pay"),
        argument::<Place>("place"),
        argument::<Either>("either"),
        argument::<Tree>("tree"),
        argument::<Whole>("whole"),
        Argument {
            name: "limit",
            schema: Schema::bounded::<Option<u32>, Limited>(),
            default: Some(|| vec![0xc0]),
            may_be_ignored: false,
        },
    ];
    Checks::of(&method(&ARGUMENTS, Schema::of::<Vec<Line>>())).unwrap()
}

/// What is said of an argument that is this, whichever way it is read.
fn told(name: &str, value: serde_json::Value) -> Option<String> {
    let checks = checks();
    let all = json!({ name: value });
    let json = all.to_string();
    let in_json = checks.check(Part::Arguments, |walk| {
        walk.deserialize(&mut serde_json::Deserializer::from_str(&json))
    });
    let as_a_tree = checks.check(Part::Arguments, |walk| walk.deserialize(&all));
    assert_eq!(in_json, as_a_tree);
    let alone = value.to_string();
    let alone = checks.check(Part::Argument(name), |walk| {
        walk.deserialize(&mut serde_json::Deserializer::from_str(&alone))
    });
    assert_eq!(in_json, alone);
    in_json.err().map(|violation| violation.to_string())
}

#[track_caller]
fn fine(name: &str, value: serde_json::Value) {
    assert_eq!(told(name, value), None);
}

#[track_caller]
fn wrong(name: &str, value: serde_json::Value, expected: &str) {
    assert_eq!(told(name, value).as_deref(), Some(expected));
}

fn line(quantity: u32) -> serde_json::Value {
    json!({ "sku": "tea", "quantity": quantity, "note": null, "gift": null })
}

#[test]
fn a_value_is_found_by_its_path() {
    fine("lines", json!([line(1), line(10)]));
    let says = "argument `lines`: `[2].quantity` is 0, and must be at least 1";
    wrong("lines", json!([line(1), line(1), line(0)]), says);
    wrong(
        "lines",
        json!([line(11)]),
        "argument `lines`: `[0].quantity` is 11, and must be at most 10",
    );
    wrong("sku", json!("coffee"), "argument `sku` has 6 characters, and may have at most 5");
    // Characters, and not bytes.
    fine("sku", json!("ééééé"));
    wrong("limit", json!(101), "argument `limit` is 101, and must be at most 100");
    fine("limit", json!(null));
}

#[test]
fn an_option_is_what_it_holds_or_nothing() {
    let with = |key: &str, value: serde_json::Value| {
        let mut line = line(1);
        line[key] = value;
        json!([line])
    };
    fine("lines", with("note", json!("ab")));
    wrong(
        "lines",
        with("note", json!("a")),
        "argument `lines`: `[0].note` has 1 character, and must have at least 2",
    );
    wrong(
        "lines",
        with("gift", json!("coffee")),
        "argument `lines`: `[0].gift` has 6 characters, and may have at most 5",
    );
    wrong(
        "skus",
        json!(["a", "coffee"]),
        "argument `skus`: `[1]` has 6 characters, and may have at most 5",
    );
    fine("skus", json!(null));
}

#[test]
fn a_variant_is_held_to_its_own_bounds() {
    fine("pay", json!("Cash"));
    fine("pay", json!({ "Card": "1234" }));
    wrong(
        "pay",
        json!({ "Card": "12345" }),
        "argument `pay`: `Card` has 5 characters, and may have at most 4",
    );
    wrong(
        "pay",
        json!({ "Split": { "parts": ["a", "coffee"], "share": 1 } }),
        "argument `pay`: `Split.parts[1]` has 6 characters, and may have at most 5",
    );
    wrong(
        "pay",
        json!({ "Split": { "parts": [], "share": 0.25 } }),
        "argument `pay`: `Split.share` is 0.25, and must be at least 0.5",
    );
    fine("place", json!({ "kind": "home", "number": "12345" }));
    wrong(
        "place",
        json!({ "kind": "home", "number": "7a" }),
        "argument `place`: `number` does not match the pattern `^\\d+$`",
    );
    wrong(
        "place",
        json!({ "kind": "shop", "number": "12345" }),
        "argument `place`: `number` has 5 characters, and may have at most 3",
    );
    fine("either", json!(9));
    wrong("either", json!(10), "argument `either` is 10, and must be at most 9");
    wrong("either", json!("ab"), "argument `either` has 2 characters, and may have at most 1");
    // Of the wrong type: its reader says so.
    fine("either", json!(true));
    fine("pay", json!({ "Cheque": "12345" }));
}

#[test]
fn a_type_that_holds_itself_is_followed() {
    let leaf = |name: &str| json!({ "name": name, "left": null, "others": {} });
    let tree = |inner: serde_json::Value| json!({ "name": "a", "left": leaf("b"), "others": { "x": { "name": "c", "left": inner, "others": {} } } });
    fine("tree", tree(leaf("d")));
    wrong(
        "tree",
        tree(leaf("dd")),
        "argument `tree`: `others.x.left.name` has 2 characters, and may have at most 1",
    );
}

#[test]
fn counts_and_what_is_inside() {
    let whole = |few: serde_json::Value, pair: serde_json::Value, quantity: u32| {
        let mut whole = line(quantity);
        whole["few"] = few;
        whole["pair"] = pair;
        whole["set"] = json!([1, 1]);
        whole
    };
    let pair = json!(["a", "b"]);
    fine("whole", whole(json!([7, 1]), pair.clone(), 1));
    for (few, pair, quantity, expected) in [
        (json!([]), pair.clone(), 1, "`few` has 0 items, and must have at least 1"),
        (json!([1, 2, 3]), pair.clone(), 1, "`few` has more than 2 items"),
        (json!([8]), pair.clone(), 1, "`few[0]` is 8, and must be at most 7"),
        (
            json!([1]),
            json!(["a", "coffee"]),
            1,
            "`pair[1]` has 6 characters, and may have at most 5",
        ),
        (json!([1]), pair, 0, "`quantity` is 0, and must be at least 1"),
    ] {
        wrong("whole", whole(few, pair, quantity), &format!("argument `whole`: {expected}"));
    }
}

#[test]
fn text_is_what_its_argument_is() {
    let checks = checks();
    let told = |name: &str, texts: &[&str]| {
        checks.text(name, texts).err().map(|violation| violation.to_string())
    };
    assert_eq!(told("limit", &["100"]), None);
    assert_eq!(
        told("limit", &["101"]).unwrap(),
        "argument `limit` is 101, and must be at most 100"
    );
    // Neither is for a check to say.
    assert_eq!((told("limit", &["few"]), told("limit", &["1", "101"])), (None, None));
    assert!(told("sku", &["1000000"]).unwrap().contains("7 characters"));
    let told_of_skus = told("skus", &["a", "coffee"]).unwrap();
    assert_eq!(told_of_skus, "argument `skus`: `[1]` has 6 characters, and may have at most 5");
    assert!(told("either", &["ab"]).is_some() && told("nothing", &["ab"]).is_none());
}

#[test]
fn an_answer_is_called_so() {
    let json = json!([line(0)]).to_string();
    let checked = checks().check(Part::Answer, |walk| {
        walk.deserialize(&mut serde_json::Deserializer::from_str(&json))
    });
    let said = checked.unwrap_err().to_string();
    assert_eq!(said, "the answer: `[0].quantity` is 0, and must be at least 1");
}

#[test]
fn what_is_not_bounded_is_not_walked() {
    static ARGUMENTS: [Argument; 3] = [
        argument::<Vec<(u8, i64, char, BTreeMap<String, Option<f64>>)>>("a"),
        argument::<serde_json::Value>("b"),
        argument::<Option<u128>>("c"),
    ];
    let checks = Checks::of(&method(&ARGUMENTS[1..], Schema::of::<()>())).unwrap();
    assert!(!checks.bound(Part::Arguments) && !checks.bound(Part::Answer));
    // A `char` is a text of one character, and a tuple a list of so many.
    let checks = Checks::of(&method(&ARGUMENTS, Schema::of::<()>())).unwrap();
    assert!(checks.bound(Part::Argument("a")) && !checks.bound(Part::Argument("c")));
}

/// A schema by hand, with keywords that no derive writes.
#[test]
fn every_bound_of_json_schema_that_is_cheap() {
    let judged = |schema: serde_json::Value, value: serde_json::Value| {
        let definitions = serde_json::Map::new();
        let mut compiler = Compiler::new(&definitions);
        let root = compiler.node(&schema).unwrap();
        let nodes = compiler.finish();
        let sink = Sink::default();
        let json = value.to_string();
        let read = Walk::new(&nodes, root, &sink)
            .deserialize(&mut serde_json::Deserializer::from_str(&json));
        assert_eq!(read.is_err(), sink.borrow().is_some(), "{schema} {value}");
        read.is_ok()
    };
    for (schema, fine, wrong) in [
        (json!({ "exclusiveMinimum": 0 }), json!(0.1), json!(0)),
        (json!({ "exclusiveMaximum": 0 }), json!(-0.1), json!(0.0)),
        (json!({ "maximum": 1.5 }), json!(1.5), json!(2)),
        (json!({ "minimum": u64::MAX }), json!(u64::MAX), json!(u64::MAX - 1)),
        (json!({ "multipleOf": 5 }), json!(-10), json!(12)),
        (json!({ "multipleOf": 0.1 }), json!(0.3), json!(0.35)),
        (json!({ "minProperties": 1 }), json!({ "a": 1 }), json!({})),
        (json!({ "maxProperties": 1 }), json!({ "a": 1 }), json!({ "a": 1, "b": 2 })),
        (
            json!({ "additionalProperties": { "maxLength": 1 } }),
            json!({ "a": "b" }),
            json!({ "a": "bb" }),
        ),
        (json!({ "allOf": [{ "maxLength": 2 }, { "minLength": 2 }] }), json!("ab"), json!("a")),
        (
            json!({ "anyOf": [{ "const": "any" }, { "type": "string", "maxLength": 1 }] }),
            json!("any"),
            json!("many"),
        ),
        (
            json!({
                "anyOf": [{ "type": "string", "maxLength": 1 }, { "type": "integer", "maximum": 9 }],
                "oneOf": [{ "type": "string" }, { "type": "integer", "minimum": 3 }],
            }),
            json!(3),
            json!(2),
        ),
        (
            json!({ "enum": [1, [2], { "a": 3 }], "oneOf": [{ "type": "integer", "maximum": 0 }, { "type": "array" }] }),
            json!([2]),
            json!(1),
        ),
    ] {
        assert!(judged(schema.clone(), fine), "{schema}");
        assert!(!judged(schema.clone(), wrong), "{schema}");
    }
}

#[test]
fn a_value_that_is_kept_has_not_too_many_parts() {
    let parts = |count: usize| json!({ "Split": { "parts": vec!["a"; count], "share": 1 } });
    fine("pay", parts(1000));
    let said = told("pay", parts(held::MOST_PARTS)).unwrap();
    assert!(said.contains("more than 131072 parts"), "{said}");
}
