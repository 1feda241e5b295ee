//! A line in the Elastic Common Schema: one object of JSON with dotted names, as ECS loggers write it.
//!
//! What the schema has a field for is in that field, with its type. Everything else is in `labels`, whose values are
//! texts: a field of a log line cannot have another type than the same field of another line, or Elasticsearch would
//! refuse the line. No name is in a line twice, for the same reason.
//!
//! The fields of the framework's own lines are known here: `status` of a request is `http.response.status_code`. A
//! field of anybody else is a label, except for `error` and for those that are named like a field of the schema.

use super::{
    Service,
    fields::{Field, Value},
    line::{Line, Within},
    time::{Rfc3339, nanos},
};
use crate::call::Trace;
use std::{borrow::Cow, fmt::Write};

/// The version of the schema whose fields these are.
const VERSION: &str = "9.4.0";

/// The longest label that is written whole, in bytes. Elasticsearch refuses a line with a keyword of more than 32 KiB.
const LONGEST_KEYWORD: usize = 8 * 1024;

/// The target of the gateway's lines about each request.
const ACCESS: &str = "monolift::access";

/// Fields of the schema that a line of anybody's may set by their names.
const OPEN: [(&str, Type); 14] = [
    ("error.code", Type::Text),
    ("error.stack_trace", Type::Text),
    ("error.type", Type::Text),
    ("event.action", Type::Text),
    ("event.duration", Type::Number),
    ("event.outcome", Type::Text),
    ("event.reason", Type::Text),
    ("http.request.id", Type::Text),
    ("http.request.method", Type::Text),
    ("http.response.status_code", Type::Number),
    ("log.origin.file.line", Type::Number),
    ("log.origin.file.name", Type::Text),
    ("url.path", Type::Text),
    ("user.id", Type::Text),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Number,
}

/// What all lines of a process have in common.
#[derive(Debug)]
pub(super) struct Ecs {
    app: String,
    process: String,
    pid: u32,
    log: String,
    access: String,
}

impl Ecs {
    pub(super) fn of(service: &Service) -> Self {
        let Service { app, process, .. } = service;
        Self {
            app: app.clone(),
            process: process.clone(),
            pid: std::process::id(),
            log: format!("{app}.log"),
            access: format!("{app}.access"),
        }
    }

    /// Writes a line without its end.
    pub(super) fn write(&self, out: &mut String, line: &Line<'_>) {
        let mut object = Object { out, names: Vec::new() };
        // These three come first, so that people can read the lines too.
        object.shown("@timestamp", Rfc3339::micros(line.time));
        object.text("log.level", &line.level.as_str().to_ascii_lowercase());
        object.text("message", &line.message);
        object.text("ecs.version", VERSION);
        object.text("service.name", &self.app);
        object.text("service.node.name", &self.process);
        object.text("event.dataset", if line.target == ACCESS { &self.access } else { &self.log });
        object.text("log.logger", &line.target);
        object.number("process.pid", self.pid.into());
        if let Some(trace) = line.trace {
            object.trace(trace);
        }
        match &line.within {
            None => {}
            Some(Within::Module(module)) => object.label("module", module),
            Some(Within::Call { module, method }) => {
                object.label("module", module);
                object.label("method", method);
            }
            Some(Within::Duty { module, work }) => {
                object.label("module", module);
                if let Some(work) = work {
                    object.label("work", work);
                }
            }
        }
        for field in &line.fields.others {
            if !(line.is_ours() && object.known(field)) {
                object.field(field);
            }
        }
        // The innermost span's fields come first: they are the nearest to the line.
        for field in line.spans.iter().rev().flat_map(|(_, fields)| fields) {
            object.field(field);
        }
        if let [.., (inner, _)] = &line.spans[..] {
            object.label("span", inner);
        }
        // The line of an internal error has its text as the message.
        if object.has("error.id") {
            object.text("error.message", &line.message);
        }
        object.end();
    }
}

/// An object of JSON that is written. A name that it has is not written again.
struct Object<'a> {
    out: &'a mut String,
    names: Vec<Cow<'static, str>>,
}

impl Object<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    fn name(&mut self, name: Cow<'static, str>) {
        self.out.push(if self.names.is_empty() { '{' } else { ',' });
        quote(self.out, &name);
        self.out.push(':');
        self.names.push(name);
    }

    fn text(&mut self, name: &'static str, text: &str) {
        if !self.has(name) {
            self.name(name.into());
            quote(self.out, text);
        }
    }

    /// A text without anything that JSON escapes.
    fn shown(&mut self, name: &'static str, value: impl std::fmt::Display) {
        if !self.has(name) {
            self.name(name.into());
            // Writing to a string cannot fail.
            let _ = write!(self.out, "\"{value}\"");
        }
    }

    fn number(&mut self, name: &'static str, number: u64) {
        if !self.has(name) {
            self.name(name.into());
            let _ = write!(self.out, "{number}");
        }
    }

    fn trace(&mut self, trace: Trace) {
        self.shown("trace.id", format_args!("{:032x}", trace.trace_id));
        self.shown("span.id", format_args!("{:016x}", trace.span_id));
    }

    /// A label. If the line has one of the name, this one gets a longer name.
    fn label(&mut self, name: &str, text: &str) {
        // A dot would be an object, and the other two mean something in patterns.
        let mut name = format!("labels.{}", name.replace(['.', '*', '\\'], "_"));
        while self.has(&name) {
            name.push('_');
        }
        self.name(name.into());
        quote(self.out, &cut(text));
    }

    /// A field of anybody's.
    fn field(&mut self, field: &Field) {
        let Field { name, value } = field;
        match (*name, value) {
            ("error" | "err", value) if !self.has("error.message") => self.error(value),
            (name, value) => {
                if !self.open(name, value) {
                    self.label(name, &value.plain());
                }
            }
        }
    }

    fn error(&mut self, value: &Value) {
        self.text("error.message", &value.plain());
        if let Value::Error(text, sources) = value
            && !sources.is_empty()
        {
            let causes: String =
                sources.iter().map(|source| format!("\ncaused by: {source}")).collect();
            self.text("error.stack_trace", &format!("{text}{causes}"));
        }
    }

    /// Writes a field that is named as the schema does. Says whether it was written.
    fn open(&mut self, name: &str, value: &Value) -> bool {
        let Some(&(name, is)) = OPEN.iter().find(|(known, _)| *known == name) else { return false };
        if self.has(name) {
            return false;
        }
        match (is, value.natural()) {
            (Type::Number, Some(number)) => self.number(name, number),
            (Type::Number, None) => return false,
            (Type::Text, _) if name == "error.stack_trace" => self.text(name, &value.plain()),
            (Type::Text, _) => self.text(name, &cut(&value.plain())),
        }
        true
    }

    /// Writes a field of the framework's own lines. Says whether it is one that the schema has a field for.
    fn known(&mut self, field: &Field) -> bool {
        let text = field.value.plain();
        match field.name {
            "route" => self.route(&text),
            "status" => match field.value.natural() {
                Some(status) => self.number("http.response.status_code", status),
                None => return false,
            },
            "took" => match nanos(&text) {
                Some(nanos) => self.number("event.duration", nanos),
                None => return false,
            },
            "request_id" => {
                self.text("http.request.id", &text);
                if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    self.text("trace.id", &text);
                }
            }
            "trace" => match Trace::parse(&text) {
                Some(trace) => self.trace(trace),
                None => return false,
            },
            // Of the access log.
            "client" => self.text("client.ip", &text),
            "code" => self.text("error.code", &text),
            "why" => self.text("error.message", &text),
            "reference" => self.text("error.id", &text),
            "at" => match place(&text) {
                Some((file, line)) => {
                    self.text("log.origin.file.name", file);
                    self.number("log.origin.file.line", line);
                }
                None => return false,
            },
            // Of durable work.
            "name" => self.label("work", &text),
            _ => return false,
        }
        true
    }

    /// The template of a route, with its verb: `GET /products/{sku}/stock`.
    fn route(&mut self, route: &str) {
        let (verb, path) = route.split_once(' ').unwrap_or((route, ""));
        self.text("http.request.method", verb);
        if path.starts_with('/') {
            self.text("url.path", path);
        }
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// The file and the line of a place in code, `src/lib.rs:12:5`.
fn place(text: &str) -> Option<(&str, u64)> {
    let (file, rest) = text.split_once(".rs:")?;
    let line = rest.split(':').next()?.parse().ok()?;
    Some((&text[..file.len() + ".rs".len()], line))
}

/// The beginning of a text, as long as Elasticsearch takes it as a keyword.
fn cut(text: &str) -> Cow<'_, str> {
    let beginning = &text[..text.floor_char_boundary(LONGEST_KEYWORD)];
    if beginning.len() < text.len() { format!("{beginning}…").into() } else { text.into() }
}

/// Writes a text as JSON does.
fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a text can be written as JSON"));
}
