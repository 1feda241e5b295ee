//! A kept trace as spans. Their names and attributes are those of OpenTelemetry's semantic conventions, and the same in
//! every placement of the modules. Only what placement is shows it: a call between processes is a client's span and a
//! server's below it, a call within one is an internal span.
//!
//! No attribute has a value of a request: `url.path` is the template of the route, and statements have no values.

use crate::{
    messages::{
        Code, KeyValue, Kind, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, attribute,
    },
    statement::Summary,
};
use monolift_call::call::chance;
use monolift_observe::{Kept, KeptBecause, TraceCall, TraceEntry, TracePart, TraceStatement};
use std::collections::HashMap;

/// The spans of a trace, those of each process apart. `app` is the application.
pub(crate) fn spans_of(app: &str, kept: &Kept) -> Vec<ResourceSpans> {
    let parts = &kept.trace.parts;
    // Which process a call went to, by the call's span.
    let served: HashMap<&str, &str> =
        parts.iter().map(|part| (part.parent.as_str(), part.process.as_str())).collect();
    let each = parts.iter().enumerate();
    each.map(|(at, part)| {
        let mut spans = Spans { part, trace_id: bytes(&part.trace_id), all: Vec::new() };
        // The first part is that of the process where the request entered the application.
        spans.root((at == 0).then_some(kept));
        for call in &part.calls {
            spans.call(call, served.get(call.span.as_str()).copied());
        }
        for (at, statement) in (0..).zip(&part.statements) {
            spans.statement(statement, at);
        }
        ResourceSpans {
            resource: Some(resource(app, part)),
            scope_spans: vec![ScopeSpans { scope: Some(scope()), spans: spans.all }],
        }
    })
    .collect()
}

/// How many spans there are.
pub(crate) fn count(all: &[ResourceSpans]) -> u64 {
    all.iter().flat_map(|one| &one.scope_spans).map(|scope| scope.spans.len() as u64).sum()
}

fn resource(app: &str, part: &TracePart) -> Resource {
    Resource {
        attributes: vec![
            attribute("service.name", part.process.as_str()),
            attribute("service.namespace", app),
            attribute("service.instance.id", format!("{}-{}", part.process, part.pid)),
            attribute("process.pid", u64::from(part.pid)),
            attribute("telemetry.sdk.name", "monolift"),
            attribute("telemetry.sdk.language", "rust"),
            attribute("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ],
    }
}

fn scope() -> Scope {
    Scope { name: "monolift".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// The spans of one part.
struct Spans<'a> {
    part: &'a TracePart,
    trace_id: Vec<u8>,
    all: Vec<Span>,
}

impl Spans<'_> {
    /// The span of the request or of the work itself. A call of another process has its own.
    fn root(&mut self, kept: Option<&Kept>) {
        let part = self.part;
        let mut attributes = Vec::new();
        let (kind, name, error) = match &part.entry {
            TraceEntry::Call(_) => return,
            TraceEntry::Request(route) => {
                let (verb, path) = route.split_once(' ').unwrap_or(("_OTHER", route));
                attributes.extend([
                    attribute("http.request.method", verb),
                    attribute("http.route", path),
                    attribute("url.path", path),
                    attribute("url.scheme", "http"),
                ]);
                let status = part.status.map(u64::from);
                attributes.extend(status.map(|code| attribute("http.response.status_code", code)));
                let failed = status.filter(|code| *code >= 500).map(|code| code.to_string());
                (Kind::Server, route.clone(), failed)
            }
            TraceEntry::Work(work) => {
                attributes.push(attribute("monolift.work", work.as_str()));
                (Kind::Consumer, work.clone(), part.failed.then(|| OTHER.to_owned()))
            }
        };
        let error = error.or_else(|| part.dropped.then(|| CANCELLED.to_owned()));
        if let Some(kept) = kept {
            let because = match kept.because {
                KeptBecause::Failed => "failed",
                KeptBecause::Slow => "slow",
                KeptBecause::Sampled => "sampled",
            };
            attributes.push(attribute("monolift.kept", because));
            if !kept.trace.missing.is_empty() {
                attributes.push(attribute("monolift.missing", kept.trace.missing.join(",")));
            }
        }
        if part.left_out > 0 {
            attributes.push(attribute("monolift.left_out", part.left_out as u64));
        }
        let (began, nanos) = (0, part.nanos);
        let (span, parent) = (bytes(&part.span), bytes(&part.parent));
        self.push(Shape { span, parent, name, kind, began, nanos, attributes, error });
    }

    /// A call. `process` is where it went, if it left this one.
    fn call(&mut self, call: &TraceCall, process: Option<&str>) {
        let served =
            matches!(self.part.entry, TraceEntry::Call(_)) && call.parent == self.part.span;
        let (kind, placement) = match (call.remote, served) {
            (true, _) => (Kind::Client, "remote"),
            (false, true) => (Kind::Server, "served"),
            (false, false) => (Kind::Internal, "local"),
        };
        let service = format!("{}.{}", call.module, call.interface);
        let mut attributes = vec![
            attribute("rpc.system", "monolift"),
            attribute("rpc.service", service.as_str()),
            attribute("rpc.method", call.method.as_str()),
            attribute("monolift.outcome", call.outcome.as_str()),
            attribute("monolift.placement", placement),
        ];
        if let (true, Some(process)) = (call.remote, process) {
            attributes.push(attribute("server.address", process));
        }
        if call.untimed {
            attributes.push(attribute("monolift.untimed", "true"));
        }
        let error = match call.outcome.as_str() {
            "answered" | "declared" => None,
            "dropped" => Some(CANCELLED.to_owned()),
            kind => Some(kind.to_owned()),
        };
        let name = format!("{service}/{}", call.method);
        let (span, parent) = (bytes(&call.span), bytes(&call.parent));
        let (began, nanos) = (call.began, call.nanos);
        self.push(Shape { span, parent, name, kind, began, nanos, attributes, error });
    }

    /// A statement has no span of its own where it is recorded.
    fn statement(&mut self, statement: &TraceStatement, at: u64) {
        let parent = u64::from_str_radix(&statement.span, 16).unwrap_or_default();
        let mut seed = parent ^ at.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let span = chance::next(&mut seed).max(1).to_be_bytes().to_vec();
        let summary = Summary::of(&statement.text);
        let system = statement.system.as_deref().unwrap_or("other_sql");
        let mut attributes = vec![
            attribute("db.system.name", system),
            attribute("db.operation.name", summary.operation.as_str()),
            attribute("db.query.text", statement.text.as_str()),
            attribute("db.response.returned_rows", statement.rows),
        ];
        let table = summary.table.as_deref();
        attributes.extend(table.map(|table| attribute("db.collection.name", table)));
        let (began, nanos) = (statement.began, statement.nanos);
        let (parent, name, kind) = (bytes(&statement.span), summary.name(), Kind::Client);
        self.push(Shape { span, parent, name, kind, began, nanos, attributes, error: None });
    }

    fn push(&mut self, shape: Shape) {
        let Shape { span, parent, name, kind, began, nanos, mut attributes, error } = shape;
        let start = self.part.began_us.saturating_mul(1_000).saturating_add(began);
        let status = error.map(|error| {
            attributes.push(attribute("error.type", error));
            Status { message: String::new(), code: Code::Error as i32 }
        });
        self.all.push(Span {
            trace_id: self.trace_id.clone(),
            span_id: span,
            // Where the trace begins there is none.
            parent_span_id: if parent.iter().all(|byte| *byte == 0) { Vec::new() } else { parent },
            name,
            kind: kind as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(nanos),
            attributes,
            status,
        });
    }
}

/// `error.type` of what has no kind of its own.
const OTHER: &str = "_OTHER";
/// `error.type` of what its caller went away from.
const CANCELLED: &str = "cancelled";

/// What a span is made of.
struct Shape {
    span: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    kind: Kind,
    /// In nanoseconds since the part began.
    began: u64,
    nanos: u64,
    attributes: Vec<KeyValue>,
    error: Option<String>,
}

/// An id, from hex.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |all, byte| all << 4 | digit(*byte)))
        .collect()
}
