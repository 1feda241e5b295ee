//! The routes described for machines: OpenAPI 3.1, from the descriptors that the routes are made of.
//!
//! What is in it is what the traits say, and nothing of where a module runs: the document is the
//! same in a monolith and in front of services.

mod prose;
mod schemas;

use self::schemas::{PROBLEM, Schemas};
use super::routes::shape;
use crate::{
    call::{ErrorResponse, Grant, Rule},
    interface::{Argument, HttpMethod, InterfaceDescriptor, Method, Route},
};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The document for the routed methods of `interfaces`.
pub(super) fn document(app: &str, interfaces: &[&'static InterfaceDescriptor]) -> Value {
    let mut schemas = Schemas::default();
    let mut places: BTreeMap<String, PathItem> = BTreeMap::new();
    let (mut tags, mut operations) = (Vec::new(), Vec::new());
    for interface in interfaces {
        let routed: Vec<(&Method, Route)> =
            interface.methods.iter().filter_map(|method| Some((method, method.route?))).collect();
        if routed.is_empty() {
            continue;
        }
        let docs = prose::shown(interface.docs);
        tags.push(json!({ "name": interface.module, "description": docs }));
        let mut generator = Schemas::generator();
        let first = operations.len();
        for (method, route) in routed {
            let place = places.entry(shape(route.path)).or_insert_with(|| PathItem::at(route.path));
            let operation = operation(interface, method, route, place.path, &mut generator);
            let verb = route.method.as_str().to_lowercase();
            operations.push((shape(route.path), verb, operation));
        }
        schemas.add(
            (interface.module, interface.name),
            generator.take_definitions(true),
            first..operations.len(),
        );
    }
    let schemas = schemas.named(&mut operations);
    let mut components = json!({ "schemas": schemas });
    if operations.iter().any(|(_, _, operation)| operation.get("security").is_some()) {
        components["securitySchemes"] =
            json!({ BEARER: { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } });
    }
    for (shape, verb, operation) in operations {
        if let Some(place) = places.get_mut(&shape) {
            place.operations.insert(verb, operation);
        }
    }
    let paths: Map<String, Value> = places
        .into_values()
        .map(|place| (place.path.to_owned(), place.operations.into()))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": app, "version": "1" },
        "tags": tags,
        "paths": paths,
        "components": components,
    })
}

/// The name of what a request shows to say who makes it.
const BEARER: &str = "bearer";

/// What a request shows: one of these. Services are modules, and make no requests.
fn security(rule: &Rule) -> Value {
    let shown = rule.any_of.iter().filter_map(|grant| match grant {
        Grant::Public => Some(json!({})),
        Grant::User { roles, scopes } => {
            let names = [*roles, *scopes].concat();
            Some(json!({ BEARER: names }))
        }
        Grant::Service => None,
    });
    shown.collect::<Vec<_>>().into()
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
    let docs = prose::shown(method.docs);
    let summary = docs.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let in_path = |argument: &Argument| {
        let at = Route::names(route.path).position(|name| name == argument.name)?;
        Route::names(shown_path).nth(at)
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
        let optional = argument.default.is_some() || takes_null(&schema);
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
    if route.idempotency_key {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A request that is sent again under its key is done once.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        }));
    }
    let mut operation = json!({
        "operationId": format!("{}_{}", interface.module, method.name()),
        "tags": [interface.module],
        "summary": summary,
        "description": docs,
        "responses": responses(interface, method, route, body.is_some(), generator),
    });
    if let Some(rule) = method.callee.rule {
        operation["security"] = security(rule);
        if !rule.is_public() {
            let text = format!("{docs}\n\nFor {rule}.");
            operation["description"] = text.trim_start().into();
        }
    }
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
    route: Route,
    has_body: bool,
    generator: &mut SchemaGenerator,
) -> Value {
    let answer = Value::from((method.answer.0)(generator));
    let mut responses = Map::new();
    if answer == json!({ "type": "null" }) {
        responses.insert("204".to_owned(), json!({ "description": "Done." }));
    } else {
        let content = json!({ "application/json": { "schema": answer } });
        let mut response = json!({ "description": "Done.", "content": content });
        let status = match route.created {
            Some(place) => {
                response["description"] = "Made.".into();
                let said = format!("Where it is: `{place}`.");
                response["headers"] =
                    json!({ "Location": { "description": said, "schema": { "type": "string" } } });
                "201"
            }
            None => "200",
        };
        responses.insert(status.to_owned(), response);
    }
    let mut problems: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for ErrorResponse { status, code, docs } in method.error_responses() {
        let docs = prose::shown(docs).replace('\n', " ");
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
    let asks = method.callee.rule.is_some_and(|rule| !rule.is_public());
    let access: &[(u16, &str)] =
        if asks { &[(401, "`unauthenticated`"), (403, "`forbidden`")] } else { &[] };
    for (status, text) in arguments.iter().chain(body).chain(access).chain(&any) {
        problems.entry(*status).or_default().push((*text).to_owned());
    }
    for (status, texts) in problems {
        let schema = json!({ "$ref": PROBLEM });
        let content = json!({ "application/problem+json": { "schema": schema } });
        let response = json!({ "description": texts.join("\n\n"), "content": content });
        responses.insert(status.to_string(), response);
    }
    responses.into()
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
