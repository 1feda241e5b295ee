//! The layer of `tracing-subscriber`: from an event to a written line.

use super::{LogLines, Service, Shape, ecs::Ecs, fields::Fields, line::Line, text};
use std::{
    cell::Cell,
    fmt,
    io::{self, Write},
    sync::Arc,
};
use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

/// A buffer that is longer is not kept.
const LONGEST_KEPT: usize = 64 * 1024;

thread_local! {
    /// The line that is written. It is taken meanwhile, because a field may log something itself.
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
}

/// Writes each event as a line.
///
/// It has no filter of its own. Each line is written at once, and whole.
pub struct LogLayer<W = fn() -> io::Stderr> {
    shape: Shape,
    service: Service,
    ecs: Ecs,
    writer: W,
    /// Where the latest lines are remembered, if they are.
    lines: Option<Arc<LogLines>>,
}

/// Lines for machines: an object of the Elastic Common Schema each.
pub fn ecs_layer(service: Service) -> LogLayer {
    LogLayer::new(Shape::Ecs, service)
}

/// Lines for people.
pub fn text_layer(service: Service, colours: bool) -> LogLayer {
    LogLayer::new(Shape::Text { colours }, service)
}

impl LogLayer {
    /// Lines of this shape on standard error.
    pub fn new(shape: Shape, service: Service) -> Self {
        Self { shape, ecs: Ecs::of(&service), service, writer: io::stderr, lines: None }
    }
}

impl<W> LogLayer<W> {
    /// The same, written elsewhere.
    pub fn with_writer<V>(self, writer: V) -> LogLayer<V>
    where
        V: for<'a> MakeWriter<'a> + 'static,
    {
        let Self { shape, service, ecs, lines, .. } = self;
        LogLayer { shape, service, ecs, writer, lines }
    }

    /// The same, which remembers its latest lines there. [`super::LogControl::lines`] has those that the admin address shows.
    #[must_use]
    pub fn remembered_in(self, lines: Arc<LogLines>) -> Self {
        Self { lines: Some(lines), ..self }
    }
}

impl<W> fmt::Debug for LogLayer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLayer")
            .field("shape", &self.shape)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let line = Line::of(event, context.event_scope(event), &self.service);
        if let Some(lines) = &self.lines {
            lines.remember(&line, &self.service);
        }
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        buffer.clear();
        match self.shape {
            Shape::Text { colours } => text::write(&mut buffer, &line, colours),
            Shape::Ecs => self.ecs.write(&mut buffer, &line),
        }
        buffer.push('\n');
        // Where standard error is gone, there is nowhere to say so.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(buffer.as_bytes());
        if buffer.capacity() <= LONGEST_KEPT {
            let _ = BUFFER.try_with(|kept| kept.set(buffer));
        }
    }
}
