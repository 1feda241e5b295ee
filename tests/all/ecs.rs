//! Whether a line of the log is what Elasticsearch takes: fields of the Elastic Common Schema 9.4, with its types.
//!
//! The table is written from the reference of the schema, and not from the code that writes lines.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

#[derive(Debug, Clone, Copy)]
enum Type {
    /// RFC 3339.
    Date,
    /// A text that is searched as a whole: at most 32,766 bytes.
    Keyword,
    /// A text of any length: `match_only_text` or `wildcard`.
    Text,
    /// A whole number of 64 bits.
    Long,
}

const FIELDS: &[(&str, Type)] = &[
    ("@timestamp", Type::Date),
    ("client.ip", Type::Keyword),
    ("ecs.version", Type::Keyword),
    ("error.code", Type::Keyword),
    ("error.id", Type::Keyword),
    ("error.message", Type::Text),
    ("error.stack_trace", Type::Text),
    ("error.type", Type::Keyword),
    ("event.dataset", Type::Keyword),
    ("event.duration", Type::Long),
    ("http.request.id", Type::Keyword),
    ("http.request.method", Type::Keyword),
    ("http.response.status_code", Type::Long),
    ("log.level", Type::Keyword),
    ("log.logger", Type::Keyword),
    ("log.origin.file.line", Type::Long),
    ("log.origin.file.name", Type::Keyword),
    ("message", Type::Text),
    ("process.pid", Type::Long),
    ("service.name", Type::Keyword),
    ("service.node.name", Type::Keyword),
    ("span.id", Type::Keyword),
    ("trace.id", Type::Keyword),
    ("url.path", Type::Text),
];

/// What every line has. Loggers of ECS write the first three first.
const REQUIRED: [&str; 9] = [
    "@timestamp",
    "log.level",
    "message",
    "ecs.version",
    "service.name",
    "service.node.name",
    "event.dataset",
    "log.logger",
    "process.pid",
];

const LONGEST_KEYWORD: usize = 32_766;

/// The members of an object, in their order and with those that are there twice.
struct Members(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

/// The fields of a line, or what is wrong with it.
pub(crate) fn check(line: &str) -> Result<BTreeMap<String, Value>, String> {
    let Members(members) =
        serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    for (at, name) in REQUIRED.iter().enumerate() {
        match members.iter().position(|(known, _)| known == name) {
            None => return Err(format!("`{name}` is missing")),
            Some(place) if at < 3 && place != at => return Err(format!("`{name}` is at {place}")),
            Some(_) => {}
        }
    }
    let mut fields = BTreeMap::new();
    for (name, value) in members {
        let is = match name.strip_prefix("labels.") {
            Some(label) if label.contains(['.', '*', '\\']) || label.is_empty() => {
                return Err(format!("`{name}` is no name of a label"));
            }
            Some(_) => Type::Keyword,
            None => match FIELDS.iter().find(|(known, _)| *known == name) {
                Some((_, is)) => *is,
                None => return Err(format!("`{name}` is no field of the schema")),
            },
        };
        if !fits(is, &value) {
            return Err(format!("`{name}` is no {is:?}: {value}"));
        }
        if fields.insert(name.clone(), value).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    let is_hex = |name: &str, digits: usize| {
        let value = fields.get(name).and_then(Value::as_str);
        value.is_none_or(|id| id.len() == digits && id.bytes().all(|one| one.is_ascii_hexdigit()))
    };
    if !is_hex("trace.id", 32) || !is_hex("span.id", 16) {
        return Err("the trace or the span is no number of W3C's".to_owned());
    }
    Ok(fields)
}

fn fits(is: Type, value: &Value) -> bool {
    match is {
        Type::Date => value.as_str().is_some_and(is_a_time),
        Type::Keyword => value.as_str().is_some_and(|text| text.len() <= LONGEST_KEYWORD),
        Type::Text => value.is_string(),
        Type::Long => {
            value.is_i64() || value.as_u64().is_some_and(|number| i64::try_from(number).is_ok())
        }
    }
}

/// `2026-11-26T16:20:33.123456Z`, to the millisecond or better.
fn is_a_time(text: &str) -> bool {
    let shape: String =
        text.chars().map(|one| if one.is_ascii_digit() { '0' } else { one }).collect();
    let digits = shape.strip_prefix("0000-00-00T00:00:00.").and_then(|rest| rest.strip_suffix('Z'));
    digits.is_some_and(|digits| {
        (3..=9).contains(&digits.len()) && digits.bytes().all(|one| one == b'0')
    })
}

#[test]
fn a_line_that_elasticsearch_refuses_is_found() {
    let good = r#"{"@timestamp":"2026-11-26T16:20:33.123456Z","log.level":"info","message":"m","ecs.version":"9.4.0","service.name":"shop","service.node.name":"back","event.dataset":"shop.log","log.logger":"stock","process.pid":1,"labels.sku":"tea"}"#;
    assert_eq!(check(good).unwrap()["labels.sku"], "tea");
    let edits = [
        ("\"tea\"}", "\"tea\"", "no JSON"),
        ("\"tea\"", "7", "`labels.sku` is no Keyword"),
        ("labels.sku", "labels.a.b", "no name of a label"),
        ("labels.sku", "labels.", "no name of a label"),
        ("labels.sku", "sku", "`sku` is no field of the schema"),
        ("labels.sku", "message", "twice"),
        ("labels.sku", "trace.id", "no number of W3C's"),
        ("\"process.pid\":1", "\"process.pid\":\"1\"", "no Long"),
        ("\"process.pid\":1,", "", "`process.pid` is missing"),
        ("33.123456Z", "33", "no Date"),
        ("{\"@timestamp\"", "{\"labels.a\":\"b\",\"@timestamp\"", "`@timestamp` is at 1"),
    ];
    for (from, to, told) in edits {
        let edited = good.replace(from, to);
        assert_ne!(edited, good);
        let wrong = check(&edited).unwrap_err();
        assert!(wrong.contains(told), "{wrong}: {edited}");
    }
}
