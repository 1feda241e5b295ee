//! A schema as a person reads it: its fields, their types and their docs; and an example.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// How deep types within types are shown.
const DEEPEST: usize = 6;

/// A schema in words.
pub(super) fn shown(document: &Value, schema: &Value) -> String {
    let mut text = String::new();
    write(document, schema, 0, &mut text);
    text
}

/// Follows a reference.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    document.pointer(reference.trim_start_matches('#')).unwrap_or(schema)
}

fn write(document: &Value, schema: &Value, depth: usize, text: &mut String) {
    let schema = resolved(document, schema);
    if depth > DEEPEST {
        text.push('…');
        return;
    }
    if let Some(value) = schema.get("const") {
        let _ = write!(text, "{value}");
        return;
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[key].as_array() {
            for (number, choice) in choices.iter().enumerate() {
                if number > 0 {
                    text.push_str(" | ");
                }
                write(document, choice, depth + 1, text);
            }
            return;
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        text.push_str(&values.join(" | "));
        return;
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => {
            object(document, schema, depth, text);
        }
        Some("array") => {
            text.push_str("[ ");
            write(document, &schema["items"], depth + 1, text);
            text.push_str(" … ]");
            bounds(schema, text);
        }
        Some(name) => {
            text.push_str(name);
            bounds(schema, text);
        }
        None => match schema["type"].as_array() {
            Some(names) => {
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                text.push_str(&names.join(" | "));
                bounds(schema, text);
            }
            None => text.push_str("anything"),
        },
    }
}

/// How long or how large a value may be, where that is more than its type says.
fn bounds(schema: &Value, text: &mut String) {
    let of_type = schema["format"].as_str().is_some_and(|format| format.starts_with("uint"));
    let keys = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ];
    for (least, most, unit) in keys {
        let least = schema.get(least).filter(|least| !(of_type && **least == 0));
        let _ = match (least, schema.get(most)) {
            (Some(least), Some(most)) => write!(text, ", {least} to {most}{unit}"),
            (Some(least), None) => write!(text, ", at least {least}{unit}"),
            (None, Some(most)) => write!(text, ", at most {most}{unit}"),
            (None, None) => Ok(()),
        };
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let _ = write!(text, ", as {pattern}");
    }
}

/// A number within its bounds: 1 where it may be.
fn number(schema: &Value) -> Value {
    let least = schema.get("minimum").filter(|least| least.as_f64() > Some(1.0));
    let most = schema.get("maximum").filter(|most| most.as_f64() < Some(1.0));
    least.or(most).cloned().unwrap_or_else(|| 1.into())
}

fn object(document: &Value, schema: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth + 1);
    text.push_str("{\n");
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let needed =
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let _ = write!(text, "{indent}{name}{}: ", if needed { "" } else { "?" });
        write(document, field, depth + 1, text);
        let docs = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        if !docs.is_empty() {
            let _ = write!(text, "  // {docs}");
        }
        text.push('\n');
    }
    let _ = write!(text, "{}}}", "  ".repeat(depth));
}

/// A value that the schema takes, as a start.
pub(super) fn example(document: &Value, schema: &Value) -> Value {
    example_within(document, schema, 0)
}

fn example_within(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolved(document, schema);
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(first) = schema[key].get(0) {
            return example_within(document, first, depth + 1);
        }
    }
    let name = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
    match name {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields: Map<String, Value> = fields
                .map(|(name, field)| (name.clone(), example_within(document, field, depth + 1)))
                .collect();
            fields.into()
        }
        Some("array") => vec![example_within(document, &schema["items"], depth + 1)].into(),
        Some("string") => "text".into(),
        Some("integer" | "number") => number(schema),
        Some("boolean") => true.into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_that_holds_itself_ends() {
        let document = json!({ "components": { "schemas": { "Tree": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "description": "What it is." },
                "left": { "anyOf": [{ "$ref": "#/components/schemas/Tree" }, { "type": "null" }] },
            },
        } } } });
        let tree = json!({ "$ref": "#/components/schemas/Tree" });
        let text = shown(&document, &tree);
        assert!(text.contains("name: string  // What it is.") && text.contains('…'), "{text}");
        assert_eq!(example(&document, &tree)["left"]["name"], "text");
    }
}
