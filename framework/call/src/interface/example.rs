//! An example of a type, made from its JSON schema: what a fake answers.
//!
//! A type's own examples and defaults come first. Bounds are kept. What is optional is left out, and a list has one item,
//! unless the type holds itself there.

use super::{Checks, Method, Part, checks::matching};
use serde::de::DeserializeSeed;
use serde_json::{Map, Number, Value, json};

impl Method {
    /// An example of the method's answer, if its schema lets one be made.
    pub fn example(&self) -> Option<Value> {
        let schema = self.schema();
        let definitions = schema.get("definitions").and_then(Value::as_object)?;
        let example = Examples { definitions }.of(&schema["answer"], &[])?;
        // A schema can say more than is understood here.
        let held = Checks::of(self).ok()?.check(Part::Answer, |walk| walk.deserialize(&example));
        held.is_ok().then_some(example)
    }
}

impl Method {
    /// Examples of the method's arguments, by name. An argument whose schema lets none be made is `null`.
    pub fn example_arguments(&self) -> Value {
        let schema = self.schema();
        let none = Map::new();
        let definitions = schema.get("definitions").and_then(Value::as_object).unwrap_or(&none);
        let arguments = schema.get("arguments").and_then(Value::as_object).unwrap_or(&none);
        let example = |schema: &Value| Examples { definitions }.of(schema, &[]);
        let each = arguments
            .iter()
            .map(|(name, schema)| (name.clone(), example(schema).unwrap_or(Value::Null)));
        Value::Object(each.collect())
    }
}

/// A schema with all that it refers to in one place.
type Merged = Map<String, Value>;

struct Examples<'a> {
    /// The schemas that have a name.
    definitions: &'a Map<String, Value>,
}

impl Examples<'_> {
    /// An example of `schema`, which is part of the named schemas in `within`. A schema that is part of itself has none
    /// there.
    fn of(&self, schema: &Value, within: &[String]) -> Option<Value> {
        let mut within = within.to_vec();
        let schema = self.merged(schema, &mut within)?;
        if let Some(stated) = stated(&schema) {
            return Some(stated);
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(Value::Array(alternatives)) = schema.get(key) {
                return self.of_alternatives(&schema, key, alternatives, &within);
            }
        }
        match type_of(&schema)? {
            "null" => Some(Value::Null),
            "boolean" => Some(Value::Bool(true)),
            "integer" => integer(&schema),
            "number" => number(&schema),
            "string" => text(&schema),
            "array" => self.list(&schema, &within),
            _ => self.object(&schema, &within),
        }
    }

    /// The first alternative that has an example, beside what stands next to the alternatives.
    fn of_alternatives(
        &self,
        schema: &Merged,
        key: &str,
        alternatives: &[Value],
        within: &[String],
    ) -> Option<Value> {
        let rest: Merged = schema
            .iter()
            .filter(|(name, _)| *name != key)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let with_rest = |alternative: &Value| {
            let both = json!({ "allOf": [alternative, Value::Object(rest.clone())] });
            self.of(&both, within)
        };
        let mut examples = alternatives.iter().filter_map(with_rest);
        let first = examples.next()?;
        if first.is_null() { examples.next().or(Some(first)) } else { Some(first) }
    }

    /// The schema together with those that it refers to.
    fn merged(&self, schema: &Value, within: &mut Vec<String>) -> Option<Merged> {
        let Value::Object(own) = schema else {
            // `true` allows everything.
            return (schema == &Value::Bool(true)).then(Map::new);
        };
        let mut merged = own.clone();
        let parts = merged.remove("allOf");
        let mut parts: Vec<Value> =
            parts.and_then(|parts| parts.as_array().cloned()).unwrap_or_default();
        if let Some(reference) = merged.remove("$ref") {
            let reference = reference.as_str()?.to_owned();
            if within.contains(&reference) {
                return None;
            }
            parts.push(self.named(&reference)?.clone());
            within.push(reference);
        }
        for part in parts {
            add(&mut merged, self.merged(&part, within)?);
        }
        Some(merged)
    }

    fn named(&self, reference: &str) -> Option<&Value> {
        let name = reference.strip_prefix("#/$defs/")?;
        self.definitions.get(&name.replace("~1", "/").replace("~0", "~"))
    }

    fn list(&self, schema: &Merged, within: &[String]) -> Option<Value> {
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        let least = usize::try_from(count("minItems").unwrap_or(0)).ok()?;
        let mut items = Vec::new();
        if let Some(Value::Array(first)) = schema.get("prefixItems") {
            for item in first {
                items.push(self.of(item, within)?);
            }
        }
        let wanted = if count("maxItems") == Some(0) { 0 } else { least.max(1) };
        if let Some(item) = schema.get("items").filter(|item| item.is_object())
            && items.len() < wanted
        {
            match self.of(item, within) {
                Some(item) => items.resize(wanted, item),
                None if least == 0 => {}
                None => return None,
            }
        }
        (items.len() >= least).then_some(Value::Array(items))
    }

    fn object(&self, schema: &Merged, within: &[String]) -> Option<Value> {
        let mut object = Map::new();
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let property = schema.get("properties").and_then(|properties| properties.get(name))?;
            object.insert(name.to_owned(), self.of(property, within)?);
        }
        Some(Value::Object(object))
    }
}

/// Adds what `other` says: both hold.
fn add(merged: &mut Merged, other: Merged) {
    for (key, value) in other {
        match (merged.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) if key == "properties" => {
                known.extend(more);
            }
            (Some(Value::Array(known)), Value::Array(more)) if key == "required" => {
                known.extend(more);
            }
            (Some(_), _) => {}
            (None, value) => {
                merged.insert(key, value);
            }
        }
    }
}

/// The value that the schema itself states.
fn stated(schema: &Merged) -> Option<Value> {
    let first = |key: &str| schema.get(key).and_then(Value::as_array)?.first().cloned();
    schema
        .get("const")
        .cloned()
        .or_else(|| first("examples"))
        .or_else(|| schema.get("default").cloned())
        .or_else(|| first("enum"))
}

/// The type, or what the other words imply. Of several types, the first that is not `null`.
fn type_of(schema: &Merged) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => Some(one),
        Some(Value::Array(several)) => {
            let mut names = several.iter().filter_map(Value::as_str);
            names.clone().find(|name| *name != "null").or_else(|| names.next())
        }
        _ if schema.contains_key("items") || schema.contains_key("prefixItems") => Some("array"),
        _ if schema.contains_key("pattern") || schema.contains_key("format") => Some("string"),
        // Anything is allowed, so an object with what is required.
        _ => Some("object"),
    }
}

/// One, or what is nearest to it within the bounds.
fn integer(schema: &Merged) -> Option<Value> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum")
        .or_else(|| bound("exclusiveMinimum").and_then(|bound| bound.checked_add(1)));
    let most = bound("maximum")
        .or_else(|| bound("exclusiveMaximum").and_then(|bound| bound.checked_sub(1)));
    let one = 1_i64.min(most.unwrap_or(i64::MAX)).max(least.unwrap_or(i64::MIN));
    let step = bound("multipleOf").filter(|step| *step > 0).unwrap_or(1);
    Some(json!(one.checked_add(step - 1)?.div_euclid(step) * step))
}

fn number(schema: &Merged) -> Option<Value> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|least| least + 0.5));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|most| most - 0.5));
    let one = 1_f64.min(most.unwrap_or(f64::MAX)).max(least.unwrap_or(f64::MIN));
    Number::from_f64(one).map(Value::Number)
}

fn text(schema: &Merged) -> Option<Value> {
    let length = |key: &str| schema.get(key).and_then(Value::as_u64);
    let least = usize::try_from(length("minLength").unwrap_or(0)).ok()?;
    let most =
        length("maxLength").map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        return matching(pattern, least, most).map(Value::String);
    }
    let known = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "date" => "2000-01-01",
        "date-time" => "2000-01-01T00:00:00Z",
        "time" => "00:00:00Z",
        "duration" => "PT1S",
        "email" => "user@example.com",
        "hostname" => "example.com",
        "ip" | "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "url" | "uri-reference" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        _ => {
            let text: String =
                "example".chars().cycle().take(least.max("example".len().min(most))).collect();
            return Some(Value::String(text));
        }
    };
    Some(json!(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(schema: Value) -> Option<Value> {
        let definitions = json!({
            "Sku": { "type": "string", "pattern": "^[A-Z]{3}-\\d+$", "maxLength": 8 },
            "Tree": {
                "type": "object",
                "properties": {
                    "left": { "type": "array", "items": { "$ref": "#/$defs/Tree" } },
                    "of": { "type": "array", "items": { "$ref": "#/$defs/Tree" } },
                    "right": { "type": "array", "items": { "$ref": "#/$defs/Tree" } },
                },
                "required": ["left", "of", "right"],
            },
            "Endless": {
                "type": "object",
                "properties": { "next": { "$ref": "#/$defs/Endless" } },
                "required": ["next"],
            },
        });
        Examples { definitions: definitions.as_object().unwrap() }.of(&schema, &[])
    }

    #[test]
    fn bounds_are_kept() {
        let is = |schema: Value, expected: Value| assert_eq!(example(schema), Some(expected));
        is(json!({ "type": "integer", "minimum": 0 }), json!(1));
        is(json!({ "type": "integer", "minimum": 5, "multipleOf": 4 }), json!(8));
        is(json!({ "type": "integer", "exclusiveMaximum": 0 }), json!(-1));
        is(json!({ "type": "number", "maximum": 0.25 }), json!(0.25));
        is(json!({ "type": "string", "maxLength": 3 }), json!("exa"));
        is(json!({ "type": "string", "minLength": 9 }), json!("exampleex"));
        is(json!({ "type": "string", "format": "email" }), json!("user@example.com"));
        is(json!({ "$ref": "#/$defs/Sku" }), json!("AAA-0"));
        is(json!({ "type": "array", "items": true, "minItems": 0 }), json!([]));
        is(
            json!({ "type": "array", "items": { "type": "null" }, "minItems": 2 }),
            json!([null, null]),
        );
        is(json!({ "type": ["null", "boolean"] }), json!(true));
    }

    #[test]
    fn objects_have_what_is_required() {
        let line = json!({
            "type": "object",
            "properties": {
                "sku": { "description": "What.", "$ref": "#/$defs/Sku" },
                "state": { "enum": ["open", "closed"] },
                "note": { "type": "string" },
                "count": { "type": "integer", "default": 3 },
            },
            "required": ["sku", "state", "count"],
        });
        assert_eq!(example(line), Some(json!({ "sku": "AAA-0", "state": "open", "count": 3 })));
    }

    #[test]
    fn the_first_alternative_that_is_not_null_is_taken() {
        let tagged = json!({
            "oneOf": [
                { "type": "null" },
                { "$ref": "#/$defs/Endless" },
                { "type": "object", "properties": { "tag": { "const": "paid" } }, "required": ["tag"] },
            ],
            "properties": { "id": { "type": "integer" } },
            "required": ["id"],
        });
        assert_eq!(example(tagged), Some(json!({ "tag": "paid", "id": 1 })));
    }

    #[test]
    fn a_type_that_holds_itself_ends() {
        let tree = example(json!({ "$ref": "#/$defs/Tree" }));
        assert_eq!(tree, Some(json!({ "left": [], "of": [], "right": [] })));
        assert_eq!(example(json!({ "$ref": "#/$defs/Endless" })), None);
    }
}
