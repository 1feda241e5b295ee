//! The statements of recorded calls, as sqlx logs them: how long each took and how many rows it was about, never its values.
//!
//! sqlx tells of a statement by an event. It builds the event only if something wants it, which is so in the span of a
//! recorded call (`monolift_call::call::held`), and nowhere else.

use crate::call::{
    Context as CallContext, held::STATEMENTS, polled::current_span, record::Recording,
};
use std::{fmt, sync::Arc};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, Filter},
    registry::LookupSpan,
};

/// The target of sqlx's events.
const QUERY: &str = "sqlx::query";
/// The longest text of a statement, in bytes.
const LONGEST: usize = 500;

/// Records the statements of recorded calls.
#[derive(Debug, Clone, Copy)]
pub struct Statements;

/// Whose statements those are that are logged in a span.
struct Whose {
    recording: Arc<Recording>,
    span: u64,
}

impl Statements {
    /// The layer, with its filter.
    pub fn layer<S>() -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        Self.with_filter(OfRecordedCalls)
    }
}

impl<S> Layer<S> for Statements
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != STATEMENTS {
            return;
        }
        let recording = CallContext::look(|context| context.recording().cloned()).flatten();
        if let (Some(recording), Some(span), Some(new)) =
            (recording, current_span(), context.span(id))
        {
            new.extensions_mut().insert(Whose { recording, span });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.lookup_current() else { return };
        let extensions = span.extensions();
        let Some(Whose { recording, span }) = extensions.get::<Whose>() else { return };
        let mut found = Found::default();
        event.record(&mut found);
        recording.statement(*span, found.nanos, found.rows, found.text().into());
    }
}

/// Lets sqlx build its events in the spans of recorded calls only.
struct OfRecordedCalls;

impl<S> Filter<S> for OfRecordedCalls
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        match metadata.target() {
            STATEMENTS => true,
            QUERY => {
                context.lookup_current().is_some_and(|span| span.metadata().target() == STATEMENTS)
            }
            _ => false,
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.target() {
            STATEMENTS => Interest::always(),
            QUERY => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

/// What an event says of a statement.
#[derive(Debug, Default)]
struct Found {
    summary: String,
    /// Empty where the summary is all of it.
    statement: String,
    nanos: u64,
    rows: u64,
}

impl Found {
    fn text(&self) -> String {
        let whole = if self.statement.trim().is_empty() { &self.summary } else { &self.statement };
        let mut text = whole.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push('…');
        }
        text
    }
}

impl Visit for Found {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.to_owned(),
            "db.statement" => self.statement = value.to_owned(),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if matches!(field.name(), "rows_affected" | "rows_returned") {
            self.rows = self.rows.max(value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.nanos = (value * 1e9) as u64;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
