//! The routes described for machines: OpenAPI 3.1, from the descriptors that the routes are made of.
//!
//! What is in it is what the traits say, and nothing of where a module runs: the document is the
//! same in a monolith and in front of services.

use super::routes::{path_names, shape};
use crate::{
    call::ErrorResponse,
    interface::{Argument, HttpMethod, InterfaceDescriptor, Method, Route},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Where schemas that have a name are.
const SCHEMAS: &str = "#/components/schemas/";

/// The document for the routed methods of `interfaces`.
pub(super) fn document(app: &str, interfaces: &[&'static InterfaceDescriptor]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    // One for all: two types of one name get two names.
    let mut generator = SchemaGenerator::new(settings);
    let mut places: BTreeMap<String, PathItem> = BTreeMap::new();
    let mut tags = Vec::new();
    for interface in interfaces {
        let routed: Vec<(&Method, Route)> =
            interface.methods.iter().filter_map(|method| Some((method, method.route?))).collect();
        if routed.is_empty() {
            continue;
        }
        tags.push(json!({ "name": interface.module, "description": interface.docs.trim() }));
        for (method, route) in routed {
            let place = places.entry(shape(route.path)).or_insert_with(|| PathItem::at(route.path));
            let operation = operation(interface, method, route, place.path, &mut generator);
            place.operations.insert(route.method.as_str().to_lowercase(), operation);
        }
    }
    let paths: Map<String, Value> = places
        .into_values()
        .map(|place| (place.path.to_owned(), place.operations.into()))
        .collect();
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": app, "version": "1" },
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas },
    });
    without_hidden_lines(&mut document);
    document
}

/// Takes out what rustdoc does not show either: lines of examples that begin with `#`.
fn without_hidden_lines(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(text) if key == "description" && text.contains("```") => {
                        *text = shown_lines(text);
                    }
                    value => without_hidden_lines(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_hidden_lines),
        _ => {}
    }
}

fn shown_lines(text: &str) -> String {
    let mut in_code = false;
    let shown = text.lines().filter(|line| {
        let line = line.trim_start();
        if line.starts_with("```") {
            in_code = !in_code;
        }
        !(in_code && (line == "#" || line.starts_with("# ")))
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// One shape of path, as the first of its methods writes it: names differ, and the place is one.
struct PathItem {
    path: &'static str,
    operations: Map<String, Value>,
}

impl PathItem {
    fn at(path: &'static str) -> Self {
        Self { path, operations: Map::new() }
    }
}

fn operation(
    interface: &InterfaceDescriptor,
    method: &Method,
    route: Route,
    shown_path: &'static str,
    generator: &mut SchemaGenerator,
) -> Value {
    let docs = method.docs.trim();
    let summary = docs.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let in_path = |argument: &Argument| {
        let at = path_names(route.path).position(|name| name == argument.name)?;
        path_names(shown_path).nth(at)
    };
    let by_query = |argument: &Argument| match (route.method, route.body) {
        (HttpMethod::Get | HttpMethod::Delete, _) => true,
        (_, Some(body)) => body != argument.name,
        (_, None) => false,
    };
    let mut parameters = Vec::new();
    let mut members = Vec::new();
    let mut body = None;
    for argument in method.arguments {
        let schema = Value::from((argument.schema.0)(generator));
        let optional = argument.default || takes_null(&schema);
        if let Some(name) = in_path(argument) {
            parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        } else if by_query(argument) {
            let name = argument.name;
            parameters.push(
                json!({ "name": name, "in": "query", "required": !optional, "schema": schema }),
            );
        } else if route.body.is_some() {
            body = Some((schema, !optional));
        } else {
            members.push((argument.name, schema, optional));
        }
    }
    if !members.is_empty() {
        body = Some(object(members));
    }
    if route.method == HttpMethod::Post && !method.idempotent {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Under which the request may be repeated.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        }));
    }
    let mut operation = json!({
        "operationId": format!("{}_{}", interface.module, method.name()),
        "tags": [interface.module],
        "summary": summary,
        "description": docs,
        "responses": responses(interface, method, body.is_some(), generator),
    });
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some((schema, required)) = body {
        let content = json!({ "application/json": { "schema": schema } });
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    operation
}

/// A body whose members are arguments, and whether there must be one.
fn object(members: Vec<(&'static str, Value, bool)>) -> (Value, bool) {
    let required: Vec<&str> =
        members.iter().filter(|(_, _, optional)| !optional).map(|(name, _, _)| *name).collect();
    let needed = !required.is_empty();
    // The gateway refuses members that are no arguments.
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    if needed {
        schema["required"] = json!(required);
    }
    let properties: Map<String, Value> =
        members.into_iter().map(|(name, schema, _)| (name.to_owned(), schema)).collect();
    schema["properties"] = properties.into();
    (schema, needed)
}

/// Whether a schema is of an `Option`.
fn takes_null(schema: &Value) -> bool {
    let is_null = |schema: &Value| schema["type"] == "null";
    let among = |key: &str| schema[key].as_array().is_some_and(|all| all.iter().any(is_null));
    let types = schema["type"].as_array().is_some_and(|all| all.iter().any(|one| one == "null"));
    types || is_null(schema) || among("anyOf") || among("oneOf")
}

fn responses(
    interface: &InterfaceDescriptor,
    method: &Method,
    has_body: bool,
    generator: &mut SchemaGenerator,
) -> Value {
    let answer = Value::from((method.answer.0)(generator));
    let mut responses = Map::new();
    if answer == json!({ "type": "null" }) {
        responses.insert("204".to_owned(), json!({ "description": "Done." }));
    } else {
        let content = json!({ "application/json": { "schema": answer } });
        responses.insert("200".to_owned(), json!({ "description": "Done.", "content": content }));
    }
    let mut problems: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for ErrorResponse { status, code, docs } in method.responses {
        let docs = docs.trim().replace('\n', " ");
        let text = format!("`urn:monolift:{}:{code}` {docs}", interface.name);
        problems.entry(*status).or_default().push(text.trim().to_owned());
    }
    let arguments = if method.arguments.is_empty() { &[][..] } else { &[(400, "`bad-arguments`")] };
    let body: &[(u16, &str)] =
        if has_body { &[(413, "`too-large`"), (415, "`unsupported-media-type`")] } else { &[] };
    let any = [
        (500, "`internal`: see its `reference` in the log"),
        (503, "`unreachable`, `overloaded`: try again"),
        (504, "`deadline-exceeded`"),
    ];
    for (status, text) in arguments.iter().chain(body).chain(&any) {
        problems.entry(*status).or_default().push((*text).to_owned());
    }
    for (status, texts) in problems {
        let schema = json!({ "$ref": format!("{SCHEMAS}Problem") });
        let content = json!({ "application/problem+json": { "schema": schema } });
        let response = json!({ "description": texts.join("\n\n"), "content": content });
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

/// What every error is, as in RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong, as in RFC 9457.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "description": "`urn:monolift:<interface>:<code>` for an error of a module, else `about:blank`." },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "For a person." },
            "code": { "type": "string", "description": "For a program." },
            "reference": { "type": "string", "description": "Under which an internal error is in the log." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HttpEntry, fixtures::Shelf};

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match value.as_str() {
                Some(reference) if key == "$ref" => found.push(reference.to_owned()),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn lines_that_rustdoc_hides_are_hidden_here() {
        let text = "# A title\n```\n# use a::B;\n#\nlet b = B;\n#[test]\n```\n# Another";
        let mut document = json!({ "a": [{ "description": text, "title": text }] });
        without_hidden_lines(&mut document);
        let expected = "# A title\n```\nlet b = B;\n#[test]\n```\n# Another";
        assert_eq!(document, json!({ "a": [{ "description": expected, "title": text }] }));
    }

    #[test]
    fn what_is_referred_to_is_there_and_every_part_of_a_path_is_declared() {
        let document = document("books", &[HttpEntry::of::<dyn Shelf>().descriptor()]);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let there = document.pointer(reference.trim_start_matches('#'));
            assert!(there.is_some(), "{reference} in {document:#}");
        }
        // Two methods at one place, which give the part of the path different names.
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), ["/books/{title}", "/patient"]);
        for verb in ["get", "post"] {
            let parameter = &paths["/books/{title}"][verb]["parameters"][0];
            assert_eq!((&parameter["name"], &parameter["in"]), (&"title".into(), &"path".into()));
        }
        let find = &paths["/books/{title}"]["get"];
        assert_eq!(find["operationId"], "library_find");
        assert_eq!(find["parameters"][1]["required"], false);
        let add = &paths["/books/{title}"]["post"]["requestBody"];
        let schema = &add["content"]["application/json"]["schema"];
        assert_eq!((&schema["required"], &add["required"]), (&json!(["copies"]), &json!(true)));
        let unknown = &find["responses"]["404"]["description"];
        assert_eq!(unknown, "`urn:monolift:Shelf:unknown-book`");
    }
}
