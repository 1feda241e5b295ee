//! What one line says, whatever its shape: the event, the spans around it, and the call that it was logged in.

use super::{
    Service,
    fields::{Field, Fields, Value},
};
use crate::call::{Context, Trace, polled};
use std::{borrow::Cow, time::SystemTime};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// One line of the log.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) time: SystemTime,
    pub(super) level: Level,
    /// The crate and its module that logs.
    pub(super) target: Cow<'a, str>,
    pub(super) message: String,
    /// The event's own fields.
    pub(super) fields: Fields,
    /// The spans of authors around it, the outermost first, with their names.
    pub(super) spans: Vec<(&'static str, Vec<Field>)>,
    pub(super) within: Option<Within>,
    pub(super) trace: Option<Trace>,
}

/// What is done where the line is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Within {
    /// A call.
    Call { module: Cow<'static, str>, method: Cow<'static, str> },
    /// Durable work of this kind, or the start of the module.
    Duty { module: String, work: Option<String> },
    /// Anything else in a module's own crate.
    Module(String),
}

impl Within {
    pub(super) fn module(&self) -> &str {
        match self {
            Self::Call { module, .. } => module,
            Self::Duty { module, .. } | Self::Module(module) => module,
        }
    }

    /// What this thread polls.
    fn now() -> Option<Self> {
        if let Some(callee) = polled::current_callee() {
            let (module, method) = (callee.module.into(), callee.method.into());
            return Some(Self::Call { module, method });
        }
        let duty = polled::current_duty()?;
        Some(Self::Duty { module: duty.module.clone(), work: duty.kind.clone() })
    }
}

impl<'a> Line<'a> {
    pub(super) fn of<S>(event: &Event<'a>, spans: Option<Scope<'_, S>>, service: &Service) -> Self
    where
        S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let target = match fields.target.take() {
            Some(target) => Cow::from(target),
            None => Cow::from(event.metadata().target()),
        };
        let mut line = Self {
            time: SystemTime::now(),
            level: *event.metadata().level(),
            message: fields.message.take().unwrap_or_default(),
            target,
            fields,
            spans: Vec::new(),
            within: None,
            trace: None,
        };
        for span in spans.into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<Fields>() else { continue };
            line.add_span(span.name(), span.metadata().target(), fields);
        }
        // What the thread polls is nearer than any span. A request that is logged where it ends has its trace as a field.
        let of_field = trace_of(&line.fields);
        line.trace = Context::look(Context::trace).or(line.trace).or(of_field);
        // A recorded call has a span of its own.
        if let (Some(trace), Some(span)) = (&mut line.trace, polled::current_span()) {
            trace.span_id = span;
        }
        let own = service.modules.iter().find(|module| line.is_of(module));
        let own = own.cloned().map(Within::Module);
        line.within = Within::now().or(line.within).or(own);
        line
    }

    fn add_span(&mut self, name: &'static str, target: &str, fields: &Fields) {
        if !is_ours(target) {
            self.spans.push((name, fields.others.clone()));
            return;
        }
        // A span of a call. A task that was spawned within it has the span alone.
        self.trace = trace_of(fields).or(self.trace);
        if let (Some(module), Some(method)) = (fields.get("module"), fields.get("method")) {
            let text = |value: &Value| Cow::from(value.plain().into_owned());
            self.within = Some(Within::Call { module: text(module), method: text(method) });
        }
    }

    /// Whether the crate that logs is that of this module.
    pub(super) fn is_of(&self, module: &str) -> bool {
        let root = self.target.split("::").next().unwrap_or_default();
        root.bytes().eq(module.bytes().map(|byte| if byte == b'-' { b'_' } else { byte }))
    }

    /// Whether it is a line of the framework, whose fields are known.
    pub(super) fn is_ours(&self) -> bool {
        is_ours(&self.target)
    }
}

fn is_ours(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or_default();
    root == "monolift" || root.starts_with("monolift_")
}

fn trace_of(fields: &Fields) -> Option<Trace> {
    Trace::parse(&fields.get("trace")?.plain())
}
