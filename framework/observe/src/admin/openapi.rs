//! The description of the read API, at `/api/openapi.json`: what each path takes and answers.

use crate::{
    events::{EventsAnswer, EventsOfModule},
    listed::Summary,
    log::{LevelsAnswer, LogAnswer},
    state::{CallFigures, ProcessState},
    subject::SubjectAnswer,
    trace::Trace,
    work::{PieceOfWork, WorkAnswer, WorkOfModule},
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// One thing that can be asked or changed.
struct Operation {
    verb: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Names and meanings of what may stand in the query.
    query: &'static [(&'static str, &'static str)],
    /// The members of the body.
    body: &'static [(&'static str, &'static str)],
    answer: fn(&mut SchemaGenerator) -> Schema,
}

const TRACE_FILTERS: &[(&str, &str)] = &[
    ("route", "part of the route, such as `orders`"),
    ("module", "a module that was called"),
    ("has", "part of a method's name, a statement, a process or an outcome"),
    ("because", "why it was kept: `failed`, `slow` or `sampled`"),
    ("failed", "`true` for failed requests, `false` for the others"),
    ("recurring", "`true`: also work that no request caused and that did not fail"),
    ("min_ms", "the shortest, in milliseconds"),
    ("max_ms", "the longest, in milliseconds"),
    ("since_us", "the earliest beginning, in microseconds since 1970"),
    ("until_us", "the latest beginning, in microseconds since 1970"),
    ("limit", "how many, 500 at most"),
];

const WORK_FILTERS: &[(&str, &str)] = &[
    ("kind", "a kind of work"),
    ("state", "`waiting`, `running` or `parked`"),
    ("limit", "how many pieces, 1000 at most"),
];

const EVENT_FILTERS: &[(&str, &str)] = &[
    ("listener", "a module that listens"),
    ("event", "the name of an event"),
    ("limit", "how many parked events, 1000 at most"),
];

const SUBJECT: (&str, &str) = ("subject", "whose data it is");
const LISTENER: (&str, &str) = ("listener", "the module that listens");

const LOG_FILTERS: &[(&str, &str)] = &[
    ("module", "the module whose call or work logged"),
    ("level", "this level and those above: `warn` has errors too"),
    ("trace", "the id of a trace"),
    ("text", "part of the message, of a field or of the target"),
    ("process", "a process of the manifest"),
    ("since_us", "the earliest, in microseconds since 1970"),
    ("limit", "how many, 2000 at most"),
];

/// A query with these filters, or none.
const fn get(
    path: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    answer: fn(&mut SchemaGenerator) -> Schema,
) -> Operation {
    Operation { verb: "get", path, summary, query, body: &[], answer }
}

const OPERATIONS: &[Operation] = &[
    get("/api/process", "what does not change while the process runs", &[], any),
    get("/api/processes", "how this process and those that it calls stand", &[], |schemas| {
        object("processes", list(schemas.subschema_for::<ProcessState>()))
    }),
    get("/api/calls", "the calls of this process", &[], |schemas| {
        object("calls", list(schemas.subschema_for::<CallFigures>()))
    }),
    get("/api/requests", "the latest requests, kept or not", TRACE_FILTERS, |schemas| {
        object("requests", list(schemas.subschema_for::<Summary>()))
    }),
    get("/api/traces", "the traces that were kept", TRACE_FILTERS, |schemas| {
        object("traces", list(schemas.subschema_for::<Summary>()))
    }),
    get("/api/traces/{id}", "one trace, of all processes", &[], |schemas| {
        schemas.subschema_for::<Trace>()
    }),
    get("/api/logs", "the latest lines of the logs of all processes", LOG_FILTERS, |schemas| {
        schemas.subschema_for::<LogAnswer>()
    }),
    get("/api/log", "the levels of the log", &[], any),
    Operation {
        verb: "put",
        path: "/api/log",
        summary: "changes the levels of the log, in all processes if this one observes the application",
        query: &[],
        body: &[("levels", "such as `stock=debug`")],
        answer: |schemas| schemas.subschema_for::<LevelsAnswer>(),
    },
    get("/api/work", "how much durable work each module has", &[], |schemas| {
        schemas.subschema_for::<WorkAnswer>()
    }),
    get("/api/work/{module}", "the durable work of a module", WORK_FILTERS, |schemas| {
        schemas.subschema_for::<WorkOfModule>()
    }),
    get("/api/work/{module}/{id}", "one piece of durable work", &[], |schemas| {
        schemas.subschema_for::<PieceOfWork>()
    }),
    Operation {
        verb: "post",
        path: "/api/work/{module}/retry",
        summary: "runs parked work again, with all its attempts",
        query: &[],
        body: &[("id", "the piece"), ("all", "or `true` for all parked pieces of the module")],
        answer: any,
    },
    Operation {
        verb: "post",
        path: "/api/work/{module}/discard",
        summary: "gives up a parked piece for good",
        query: &[],
        body: &[("id", "the piece")],
        answer: any,
    },
    get("/api/events", "how far the listeners of events are", &[], |schemas| {
        schemas.subschema_for::<EventsAnswer>()
    }),
    get(
        "/api/events/{module}",
        "the listeners of a module's events, and what is parked for them",
        EVENT_FILTERS,
        |schemas| schemas.subschema_for::<EventsOfModule>(),
    ),
    Operation {
        verb: "post",
        path: "/api/events/{module}/retry",
        summary: "has a listener handle parked events again, with all their attempts",
        query: &[],
        body: &[
            LISTENER,
            ("id", "the event"),
            ("all", "or `true` for all events that are parked for the listener"),
        ],
        answer: any,
    },
    Operation {
        verb: "post",
        path: "/api/events/{module}/discard",
        summary: "gives up a parked event for a listener",
        query: &[],
        body: &[LISTENER, ("id", "the event")],
        answer: any,
    },
    Operation {
        verb: "post",
        path: "/api/events/{module}/replay",
        summary: "has a listener handle events once more that are kept",
        query: &[],
        body: &[LISTENER, ("event", "the name of the events; without it all that it listens to")],
        answer: any,
    },
    Operation {
        verb: "post",
        path: "/api/events/{module}/remove",
        summary: "removes a listener that is gone, with what it has not handled",
        query: &[],
        body: &[LISTENER],
        answer: any,
    },
    Operation {
        verb: "post",
        path: "/api/events/{module}/rebuild",
        summary: "builds the module's read model anew, beside the one that answers",
        query: &[],
        body: &[("partial", "`true` if it may lack what removed events told")],
        answer: any,
    },
    Operation {
        verb: "post",
        path: "/api/export",
        summary: "what events and durable work hold of a subject, some hundreds at a time",
        query: &[],
        body: &[
            SUBJECT,
            ("module", "the module; without it all"),
            ("after_event", "the last event of the previous page"),
            ("after_piece", "the last piece of work of the previous page"),
        ],
        answer: |schemas| schemas.subschema_for::<SubjectAnswer>(),
    },
    Operation {
        verb: "post",
        path: "/api/erase",
        summary: "erases what events and durable work hold of a subject, some hundreds at a time",
        query: &[],
        body: &[SUBJECT],
        answer: |schemas| schemas.subschema_for::<SubjectAnswer>(),
    },
    get(
        "/api/methods",
        "the methods that can be called, with schemas and examples of their arguments",
        &[],
        any,
    ),
    Operation {
        verb: "post",
        path: "/api/call",
        summary: "calls a method; only where the address is on loopback",
        query: &[],
        body: &[
            ("method", "such as `orders.get`"),
            ("arguments", "an object with the arguments"),
            ("idempotency_key", "the key under which the call may be repeated"),
        ],
        answer: any,
    },
    get(
        "/api/watch",
        "server-sent events: the map each second, and traces as they are kept",
        &[],
        any,
    ),
    get("/api/openapi.json", "this document", &[], any),
];

/// The document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut schemas = SchemaGenerator::new(settings);
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let described = describe(operation, &mut schemas);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.verb] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Monolift's admin address",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "On loopback it is open to programs of the machine. Elsewhere it takes a token.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{}, { "token": [] }],
    })
}

fn describe(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let Operation { verb, path, summary, query, body, answer } = operation;
    let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let text = json!({ "type": "string" });
    let in_path =
        in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }));
    let in_query = query.iter().map(|(name, means)| {
        json!({ "name": name, "in": "query", "description": means, "schema": text })
    });
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let mut described = json!({
        "summary": summary,
        "operationId": format!("{verb}{}", path.replace(['/', '{', '}', '.'], "_")),
        "parameters": parameters,
        "responses": {
            "200": { "description": "the answer", "content": { "application/json": { "schema": answer(schemas) } } },
            "default": { "description": "a problem: `status` and `detail`" },
        },
    });
    if !body.is_empty() {
        let members: Map<String, Value> = body
            .iter()
            .map(|(name, means)| ((*name).to_owned(), json!({ "description": means })))
            .collect();
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": { "type": "object", "properties": members } } },
        });
    }
    described
}

fn any(_: &mut SchemaGenerator) -> Schema {
    Schema::from(true)
}

fn list(items: Schema) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object with this member.
fn object(name: &str, member: Value) -> Schema {
    schemars::json_schema!({ "type": "object", "properties": { name: member } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_path_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        let described: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let served: BTreeSet<&str> =
            super::super::api().into_iter().map(|(path, _)| path).collect();
        assert_eq!(described, served);
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1);
        for reference in references.map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
