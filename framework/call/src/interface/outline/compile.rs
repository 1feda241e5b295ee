//! From the JSON schemas of an interface to the types of its outline.

use super::{Presence, Type};
use crate::{call::CallError, interface::fingerprint::Hash};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use std::{borrow::Cow, collections::HashMap};

/// Where the schemas that have a name are.
const DEFINITIONS: &str = "#/$defs/";
/// The most names that lead to one another, before a schema that only leads to itself counts as anything.
const HOPS: usize = 32;
/// What is said of a type and changes nothing for a peer: docs, and bounds that are enforced at the gateway.
const PASSED_OVER: [&str; 22] = [
    "title",
    "description",
    "examples",
    "$comment",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$defs",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
];

/// The name of the schema of [`CallError`]. Releases of the framework agree about it by themselves.
pub(super) fn call_error(generator: &mut SchemaGenerator) -> Option<String> {
    let schema = Value::from(generator.subschema_for::<CallError>());
    name_in(&schema)
}

/// Collects the types that schemas describe, each once.
pub(super) struct Compiler<'a> {
    definitions: &'a Map<String, Value>,
    named: HashMap<&'a str, usize>,
    types: Vec<Type>,
    places: HashMap<Type, usize>,
    call_error: Option<String>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(definitions: &'a Map<String, Value>, call_error: Option<String>) -> Self {
        let (named, places) = (HashMap::new(), HashMap::new());
        Self { definitions, named, types: Vec::new(), places, call_error }
    }

    pub(super) fn finish(self) -> Vec<Type> {
        self.types
    }

    /// The place of a schema's type, and whether its value may be null.
    pub(super) fn part(&mut self, schema: &Value) -> (usize, bool) {
        let definitions = self.definitions;
        let (mut schema, mut nullable) = without_null(Cow::Borrowed(schema));
        let mut name = None;
        for _ in 0..HOPS {
            let Some((next, named)) =
                name_in(&schema).and_then(|name| definitions.get_key_value(&name))
            else {
                let at = match name {
                    Some(name) => self.named(name, &schema),
                    None => self.unnamed(&schema),
                };
                return (at, nullable);
            };
            name = Some(next.as_str());
            let (inner, may_be_null) = without_null(Cow::Borrowed(named));
            (schema, nullable) = (inner, nullable || may_be_null);
        }
        (self.unnamed(&Value::Bool(true)), nullable)
    }

    /// A type that has a name may hold itself, so its place is known before it is read.
    fn named(&mut self, name: &'a str, schema: &Value) -> usize {
        if let Some(known) = self.named.get(name) {
            return *known;
        }
        let at = self.types.len();
        self.types.push(Type::default());
        self.named.insert(name, at);
        if self.call_error.as_deref() != Some(name) {
            self.types[at] = self.read(schema);
        }
        at
    }

    fn unnamed(&mut self, schema: &Value) -> usize {
        let read = self.read(schema);
        if let Some(known) = self.places.get(&read) {
            return *known;
        }
        let at = self.types.len();
        self.types.push(read.clone());
        self.places.insert(read, at);
        at
    }

    fn read(&mut self, schema: &Value) -> Type {
        let mut read = Type::default();
        let mut own = Map::new();
        let Value::Object(says) = schema else { return read };
        let fixed_length = says.get("minItems") == says.get("maxItems");
        for (key, value) in says {
            match (&**key, value) {
                (key, _) if PASSED_OVER.contains(&key) => {}
                ("properties", Value::Object(fields)) => {
                    let required = strings(says.get("required"));
                    for (name, field) in fields {
                        self.add(&mut read, name, field, required.contains(&&**name));
                    }
                }
                ("items", items @ Value::Object(_)) => self.add(&mut read, "[]", items, true),
                ("prefixItems", Value::Array(items)) => {
                    for (at, item) in items.iter().enumerate() {
                        self.add(&mut read, &format!("[{at}]"), item, true);
                    }
                }
                ("additionalProperties", values @ Value::Object(_)) => {
                    self.add(&mut read, "{}", values, true);
                }
                // A map whose keys are numbers.
                ("patternProperties", Value::Object(values)) => {
                    values.values().for_each(|values| self.add(&mut read, "{}", values, true));
                }
                ("additionalProperties", Value::Bool(open)) => read.closed = !open,
                ("allOf", Value::Array(all)) => {
                    for (at, also) in all.iter().enumerate() {
                        self.add(&mut read, &format!("&{at}"), also, true);
                    }
                }
                ("oneOf" | "anyOf", Value::Array(alternatives)) => {
                    for (at, alternative) in alternatives.iter().enumerate() {
                        self.variants(&mut read, at, alternative);
                    }
                }
                ("enum", Value::Array(_)) => self.variants(&mut read, 0, schema),
                ("minItems" | "maxItems", _) if !fixed_length => {}
                // Whether all variants are texts shows in the variants.
                ("type", _) if says.contains_key("enum") => {}
                (key, value) => {
                    own.insert(key.to_owned(), value.clone());
                }
            }
        }
        read.own = hash(&Value::Object(own));
        read
    }

    fn add(&mut self, to: &mut Type, name: &str, schema: &Value, required: bool) {
        let (of, nullable) = self.part(schema);
        to.parts.insert(name, of, Presence::of(nullable, required));
    }

    /// The variants that one alternative stands for, by the names that they have on the wire. An alternative without a
    /// name is named by its place.
    fn variants(&mut self, to: &mut Type, at: usize, alternative: &Value) {
        let tag = alternative["properties"]
            .as_object()
            .and_then(|fields| fields.values().find_map(|field| field["const"].as_str()));
        let nothing = json!({ "type": "null" });
        if let Some(name) = alternative["const"].as_str() {
            to.variants.insert(name.to_owned(), self.unnamed(&nothing));
        } else if alternative["enum"].is_array() {
            for name in alternative["enum"].as_array().into_iter().flatten() {
                let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                to.variants.insert(name, self.unnamed(&nothing));
            }
        } else if let Some(name) = tag {
            to.variants.insert(name.to_owned(), self.part(alternative).0);
        } else if let Some((name, content)) = tagged_outside(alternative) {
            to.variants.insert(name.to_owned(), self.part(content).0);
        } else {
            to.variants.insert(at.to_string(), self.part(alternative).0);
        }
    }
}

/// A variant as serde writes it by default: an object of one member.
fn tagged_outside(alternative: &Value) -> Option<(&str, &Value)> {
    let mut fields = alternative["properties"].as_object()?.iter();
    let (Some((name, content)), None) = (fields.next(), fields.next()) else { return None };
    let is_all = alternative["additionalProperties"] == false
        && strings(alternative.get("required")) == [name.as_str()];
    is_all.then_some((name, content))
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The name of the schema that this one refers to.
fn name_in(schema: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.strip_prefix(DEFINITIONS)?;
    // JSON pointer's own escapes.
    Some(name.replace("~1", "/").replace("~0", "~"))
}

/// The schema of the value of an `Option`, and whether it is one.
fn without_null(schema: Cow<'_, Value>) -> (Cow<'_, Value>, bool) {
    let is_null = |key: &str, value: &Value| match key {
        "type" => *value == "null",
        "enum" => value.is_null(),
        _ => value["type"] == "null",
    };
    let holds_null = |key: &&str| {
        schema[*key].as_array().is_some_and(|all| all.iter().any(|value| is_null(key, value)))
    };
    let keys: Vec<&str> =
        ["type", "enum", "anyOf", "oneOf"].into_iter().filter(holds_null).collect();
    if keys.is_empty() {
        return (schema, false);
    }
    let mut inner = schema.into_owned();
    for key in keys {
        let Value::Array(mut rest) = inner[key].take() else { continue };
        rest.retain(|value| !is_null(key, value));
        match (key, rest.len()) {
            ("anyOf" | "oneOf", 1) => return (Cow::Owned(rest.remove(0)), true),
            ("type", 1) => inner[key] = rest.remove(0),
            _ => inner[key] = Value::Array(rest),
        }
    }
    (Cow::Owned(inner), true)
}

/// serde_json's maps are sorted, so equal schemas are equal text.
fn hash(own: &Value) -> u64 {
    let mut hash = Hash::START;
    hash.add(own.to_string().as_bytes());
    hash.short()
}
