//! Every shape that an argument may have, and the text of every error.

use super::*;
use crate::{
    call::{Callee, Meter},
    interface::Route,
};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Debug};

static CALLEE: Callee = Callee {
    module: "library",
    interface: "Shelf",
    method: "find",
    deadline: None,
    rule: None,
    meter: Meter::new(),
};

fn call(method: HttpMethod, body: Option<&'static str>) -> HttpCall {
    HttpCall {
        callee: &CALLEE,
        route: Route { method, path: "/", body, created: None, idempotency_key: false },
        path: Vec::new(),
        query: Vec::new(),
        body: bytes::Bytes::new(),
        json: true,
        frame: crate::carry::Bounds::default(),
    }
}

fn get(query: &[(&str, &str)]) -> HttpCall {
    let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    HttpCall { query: query.collect(), ..call(HttpMethod::Get, None) }
}

fn post(body: &'static str) -> HttpCall {
    HttpCall { body: body.into(), ..call(HttpMethod::Post, None) }
}

fn detail(problem: Problem) -> String {
    let answer = crate::http::HttpAnswer::from(problem);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    body["detail"].as_str().unwrap().to_owned()
}

#[derive(Debug, Deserialize)]
struct One<T> {
    x: T,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Colour {
    Red,
    DarkBlue,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Sku(String);

#[derive(Debug, Deserialize, PartialEq)]
struct Point {
    left: u32,
    top: u32,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
struct Even(u32);

impl TryFrom<String> for Even {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if number % 2 == 0 => Ok(Self(number)),
            _ => Err(format!("`{text}` is not even")),
        }
    }
}

#[track_caller]
fn text<T: DeserializeOwned + Debug + PartialEq>(texts: &[&str], expected: T) {
    let query: Vec<_> = texts.iter().map(|text| ("x", *text)).collect();
    assert_eq!(read::<One<T>>(&get(&query)).unwrap().x, expected);
}

#[track_caller]
fn refused<T: DeserializeOwned + Debug>(texts: &[&str], expected: &str) {
    let query: Vec<_> = texts.iter().map(|text| ("x", *text)).collect();
    assert_eq!(detail(read::<One<T>>(&get(&query)).unwrap_err()), expected);
}

#[test]
fn text_becomes_what_the_argument_is() {
    text(&["a b"], "a b".to_owned());
    text(&["7"], 7u8);
    text(&["-7"], -7i64);
    text(&["340282366920938463463374607431768211455"], u128::MAX);
    text(&["1.5e3"], 1500.0);
    text(&["true"], true);
    text(&["é"], 'é');
    text(&["7"], Some(7u8));
    text(&[""], Some(String::new()));
    text(&["a"], Sku("a".into()));
    text(&["a"], Some(Sku("a".into())));
    text(&["dark_blue"], Colour::DarkBlue);
    text(&["8"], Even(8));
    text(&["1", "2"], vec![1, 2]);
    text(&["1"], vec![1]);
    text(&["red", "dark_blue"], Some(vec![Colour::Red, Colour::DarkBlue]));
    text(&["1", "2"], (1, 2));
    text(&["a"], serde_json::json!("a"));
    text(&["a", "b"], serde_json::json!(["a", "b"]));
    text(&["/tmp"], std::path::PathBuf::from("/tmp"));
}

#[test]
fn text_that_is_something_else_is_refused_by_name() {
    refused::<u8>(&["256"], "argument `x`: expected a whole number from 0 to 255");
    refused::<f64>(&["NaN"], "argument `x`: expected a number");
    refused::<bool>(&["1"], "argument `x`: expected `true` or `false`");
    refused::<char>(&["ab"], "argument `x`: expected one character");
    refused::<Colour>(&["green"], "argument `x`: unknown variant, expected `red` or `dark_blue`");
    refused::<Even>(&["7"], "argument `x`: `7` is not even");
    refused::<u8>(&["1", "2"], "argument `x`: it is given 2 times, and can be one thing only");
    refused::<Vec<u8>>(&["1", "a"], "argument `x`: expected a whole number from 0 to 255");
    refused::<(u8, u8)>(
        &["1", "2", "3"],
        "argument `x`: invalid length 3, expected 2 elements in sequence",
    );
    for unfit in [refused::<Point>, refused::<BTreeMap<String, u8>>] {
        unfit(
            &["1"],
            "argument `x`: it is made of several parts, which neither a path nor a query can give",
        );
    }
}

#[test]
fn a_long_text_of_a_type_is_not_told_whole() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Chatty;
    impl TryFrom<String> for Chatty {
        type Error = String;

        fn try_from(_: String) -> Result<Self, String> {
            Err("é".repeat(5000))
        }
    }
    let told = detail(read::<One<Chatty>>(&get(&[("x", "y")])).unwrap_err());
    assert!(told.len() < 500 && told.ends_with('…'), "{told}");
}

/// A secret in the place of something else.
#[test]
fn no_text_repeats_a_value() {
    const CANARY: &str = "c4n4ry";
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    #[allow(dead_code, reason = "they are only read in")]
    enum Tagged {
        Point { left: u32 },
    }
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "they are only read in")]
    enum Untagged {
        Number(u32),
        Point(Point),
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "they are only read in")]
    struct Strict {
        #[serde(default)]
        left: u32,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "they are only read in")]
    struct Flat {
        #[serde(flatten)]
        point: Point,
    }
    fn told<T: DeserializeOwned + Debug>(json: &str) {
        let json = json.replace("CANARY", CANARY);
        let members = HttpCall { body: format!(r#"{{"x":{json}}}"#).into(), ..post("") };
        let whole = HttpCall { body: json.clone().into(), ..call(HttpMethod::Post, Some("x")) };
        for call in [members, whole] {
            let told = detail(read::<One<T>>(&call).unwrap_err());
            assert!(!told.contains(CANARY) && !told.contains("98765"), "{json}: {told}");
            assert!(!told.contains('\u{1}'), "{told:?}");
        }
    }
    told::<u32>(r#""CANARY""#);
    told::<bool>(r#""CANARY""#);
    told::<bool>("98765");
    told::<u8>("98765");
    told::<char>(r#""CANARY""#);
    told::<Vec<u32>>(r#"["CANARY"]"#);
    told::<Option<u32>>(r#""CANARY""#);
    told::<BTreeMap<u32, u32>>(r#"{"CANARY": 1}"#);
    told::<BTreeMap<String, u32>>(r#"{"a": "CANARY"}"#);
    told::<Colour>(r#""CANARY""#);
    told::<Colour>(r#"{"CANARY": 1}"#);
    told::<Colour>(r#"{"red": "CANARY"}"#);
    told::<u32>(r#""CANARY, expected \"CANARY\"""#);
    told::<Point>(r#"["CANARY"]"#);
    told::<Vec<u8>>(r#"{"CANARY": 1}"#);
    told::<Point>(r#"{"left": "CANARY", "top": 1}"#);
    told::<Strict>(r#"{"CANARY": 1}"#);
    told::<Tagged>(r#"{"kind": "CANARY"}"#);
    told::<Tagged>(r#"{"kind": "point", "left": "CANARY"}"#);
    told::<Untagged>(r#"{"left": "CANARY"}"#);
    told::<Flat>(r#"{"left": "CANARY", "top": 1}"#);
    told::<Even>(r#""CANARY""#);
    told::<Vec<Even>>(r#"["8", "CANARY"]"#);
    told::<std::net::IpAddr>(r#""CANARY""#);
    told::<u32>(r#"CANARY"#);
    told::<String>(r#""CANARY"#);
    let query = |name, value| detail(read::<Named>(&get(&[(name, value)])).unwrap_err());
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "they are only read in")]
    struct Named {
        even: Option<Even>,
        number: Option<u32>,
        colour: Option<Colour>,
    }
    for name in ["even", "number", "colour"] {
        let told = query(name, CANARY);
        assert!(!told.contains(CANARY) && told.contains(name), "{told}");
    }
    let unknown = HttpCall { body: r#"{"c4n4ry": 1}"#.into(), ..post("") };
    assert!(!detail(read::<Named>(&unknown).unwrap_err()).contains(CANARY));
    // What a type says without its value is told.
    assert_eq!(query("even", "7"), "argument `even`: `7` is not even");
}

#[derive(Debug, Deserialize, PartialEq)]
struct Find {
    sku: Sku,
    limit: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
}

#[test]
fn what_is_absent_is_left_out() {
    let mut call = get(&[("limit", "3"), ("sku", "of the query"), ("utm", "x")]);
    call.path.push(("sku", "of the path".into()));
    let found: Find = read(&call).unwrap();
    assert_eq!(found, Find { sku: Sku("of the path".into()), limit: Some(3), tags: vec![] });
    let told = detail(read::<Find>(&get(&[])).unwrap_err());
    assert_eq!(told, "argument `sku` is missing: a GET takes it from the query");
}

#[derive(Debug, Deserialize, PartialEq)]
struct Reserve {
    order: u64,
    lines: Vec<Point>,
    note: Option<String>,
}

fn reserve(body: &'static str) -> HttpCall {
    HttpCall { path: vec![("order", "7".into())], ..post(body) }
}

#[test]
fn members_of_the_body_are_arguments() {
    let read: Reserve = read(&reserve(r#"{"lines":[{"left":1,"top":2}]}"#)).unwrap();
    assert_eq!(read, Reserve { order: 7, lines: vec![Point { left: 1, top: 2 }], note: None });
}

#[test]
fn an_absent_body_is_an_empty_object() {
    #[derive(Debug, Deserialize)]
    struct None {}
    read::<None>(&post("")).unwrap();
    read::<None>(&post(" {} ")).unwrap();
    let told = detail(read::<Reserve>(&reserve("")).unwrap_err());
    let expected =
        "argument `lines` is missing: it is a member of the body, which is a JSON object";
    assert_eq!(told, expected);
    assert_eq!(detail(read::<Reserve>(&reserve("{}")).unwrap_err()), expected);
    let told = detail(read::<None>(&post(r#"{"x":1}"#)).unwrap_err());
    assert_eq!(told, "the body has a member that is no argument: it takes none");
}

#[test]
fn a_body_that_does_not_fit_is_refused_by_name() {
    for (body, expected) in [
        (r#"{"linse":[]}"#, "no argument is called `linse`: did you mean `lines`?"),
        (r#"{"colour":1}"#, "the body has a member that is no argument: it takes `lines`, `note`"),
        (r#"{"order":8}"#, "argument `order` is in the path already: take it out of the body"),
        (r#"{"lines":[],"lines":[]}"#, "argument `lines` is given twice"),
        (
            r#"{"lines":[{"left":"1"}]}"#,
            "argument `lines`: invalid type: string, expected u32 at line 1 column 21",
        ),
        (r#"{"lines":[{"left":1}]}"#, "argument `lines`: missing field `top` at line 1 column 20"),
        (r#"{"lines":"#, "the body is not JSON: EOF while parsing a value at line 1 column 9"),
        (r#"{"lines":[]} x"#, "the body is not JSON: trailing characters at line 1 column 14"),
        (r#"{"lines":[],,}"#, "the body is not JSON: key must be a string at line 1 column 13"),
    ] {
        assert_eq!(detail(read::<Reserve>(&reserve(body)).unwrap_err()), expected, "{body}");
    }
    let told = detail(read::<Reserve>(&reserve("[1]")).unwrap_err());
    assert!(told.contains("expected an object whose members are the arguments"), "{told}");
    let mut call = reserve("{}");
    call.path = vec![("order", "x".into())];
    let told = detail(read::<Reserve>(&call).unwrap_err());
    assert!(told.starts_with("argument `order`: expected a whole number"), "{told}");
}

#[test]
fn a_body_may_be_one_argument_and_the_query_the_rest() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Move {
        point: Point,
        dry: bool,
    }
    let put = |body: &'static str| HttpCall {
        query: vec![("dry".into(), "true".into())],
        body: body.into(),
        ..call(HttpMethod::Put, Some("point"))
    };
    let moved: Move = read(&put(r#"{"left":1,"top":2}"#)).unwrap();
    assert_eq!(moved, Move { point: Point { left: 1, top: 2 }, dry: true });
    for (body, expected) in [
        ("", "argument `point` is missing: it is the body, as JSON"),
        ("{\"left\":1}", "argument `point`: missing field `top` at line 1 column 10"),
        ("{", "the body is not JSON: EOF while parsing an object at line 1 column 1"),
    ] {
        assert_eq!(detail(read::<Move>(&put(body)).unwrap_err()), expected, "{body}");
    }
    let mut without = put(r#"{"left":1,"top":2}"#);
    without.query.clear();
    let told = detail(read::<Move>(&without).unwrap_err());
    assert_eq!(told, "argument `dry` is missing: it is taken from the query");
}

#[test]
fn numbers_arrive_whole() {
    let body = r#"{"x":340282366920938463463374607431768211455}"#;
    assert_eq!(read::<One<u128>>(&post(body)).unwrap().x, u128::MAX);
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
    #[derive(Debug, Deserialize, PartialEq)]
    enum Shape {
        Square(u8),
        Box { sides: (u16, i8) },
    }
    fn is<T: DeserializeOwned + Debug + PartialEq>(json: &str, expected: T) {
        let members = HttpCall { body: format!(r#"{{"x":{json}}}"#).into(), ..post("") };
        assert_eq!(read::<One<T>>(&members).unwrap().x, expected, "{json}");
        let whole = HttpCall { body: json.to_owned().into(), ..call(HttpMethod::Post, Some("x")) };
        assert_eq!(read::<One<T>>(&whole).unwrap().x, expected, "{json}");
    }
    fn is_not<T: DeserializeOwned + Debug>(json: &str) {
        let members = HttpCall { body: format!(r#"{{"x":{json}}}"#).into(), ..post("") };
        let told = detail(read::<One<T>>(&members).unwrap_err());
        assert!(told.starts_with("argument `x`: invalid"), "{told}");
    }
    is("2311.0", 2311_u32);
    is("2311.0", Some(2311_i64));
    is("-7e0", -7_i8);
    is("1.0", 1.0);
    is("[1.0,2]", vec![1_u64, 2]);
    is(r#"{"left":1.0,"top":2e0}"#, Point { left: 1, top: 2 });
    is(r#"{"Square":4.0}"#, Shape::Square(4));
    is(r#"{"Box":{"sides":[1.0,-2.0]}}"#, Shape::Box { sides: (1, -2) });
    is(r#"{"a":1.0}"#, BTreeMap::from([("a".to_owned(), 1_u8)]));
    // What is not asked for as an integer stays what it was.
    is("1.0", serde_json::json!(1.0));
    is_not::<u32>("1.5");
    is_not::<u8>("256.0");
    is_not::<u8>("-1.0");
    is_not::<u64>("9007199254740994.0");
    is_not::<u32>("\"1\"");
}

#[test]
fn a_body_that_does_not_say_it_is_json_is_not_read() {
    let call = HttpCall { json: false, ..post("x=1") };
    assert_eq!(read::<One<u8>>(&call).unwrap_err().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // An empty one need not say what it is, and a GET has none.
    read::<One<Option<u8>>>(&HttpCall { json: false, ..post("") }).unwrap();
    read::<One<u8>>(&HttpCall { json: false, body: "y".into(), ..get(&[("x", "1")]) }).unwrap();
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let body = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let call = HttpCall { body: body.into(), ..post("") };
    let told = detail(read::<One<serde_json::Value>>(&call).unwrap_err());
    assert!(told.contains("recursion limit"), "{told}");
}
