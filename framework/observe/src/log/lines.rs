//! The latest lines of the log, in memory: for the admin address, where a person looks at them beside traces.
//!
//! A line is remembered as it is written, under the same levels. They take a bounded number of bytes, and the oldest go first.

use super::{
    Service,
    fields::Field,
    line::{Line, Within},
};
use crate::bounded::Bounded;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::UNIX_EPOCH,
};

/// What lines may take, unless the settings say otherwise.
const MOST_BYTES: usize = 1 << 20;
/// The longest message and the longest value of a field that are remembered whole, in bytes, and the most fields.
const LONGEST_MESSAGE: usize = 4 * 1024;
const LONGEST_FIELD: usize = 512;
const MOST_FIELDS: usize = 32;
/// Lines that are shown when no number is asked for, and the most that can be.
const SHOWN: usize = 200;
const MOST_SHOWN: usize = 2_000;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Its number in its process. Numbers rise.
    pub number: u64,
    pub process: String,
    pub pid: u32,
    /// When, in microseconds since 1970 by this machine's clock.
    pub at_us: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// What logs: a crate and a module of Rust.
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The kind of durable work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    pub message: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Which lines are asked for. Without anything, the latest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogFilter {
    pub module: Option<String>,
    /// This level and those above: `warn` has errors too.
    pub level: Option<String>,
    /// The id of a trace.
    pub trace: Option<String>,
    /// Part of the message, of a field or of the target, in any case.
    pub text: Option<String>,
    pub process: Option<String>,
    /// The earliest, in microseconds since 1970.
    pub since_us: Option<u64>,
    pub limit: Option<usize>,
}

/// The lines of processes, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogAnswer {
    pub lines: Vec<LogLine>,
    /// Processes that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// The latest lines of a process.
#[derive(Debug)]
pub struct LogLines(Mutex<Held>);

#[derive(Debug)]
struct Held {
    number: u64,
    lines: Bounded<Arc<LogLine>>,
}

impl Default for LogLines {
    fn default() -> Self {
        Self(Mutex::new(Held { number: 0, lines: Bounded::new(MOST_BYTES) }))
    }
}

impl LogLines {
    /// Holds lines of so many bytes from now on.
    pub fn hold(&self, bytes: usize) {
        self.held().lines.hold(bytes);
    }

    /// The lines that the filter lets through, the oldest first.
    pub fn find(&self, filter: &LogFilter) -> Vec<LogLine> {
        // The lock is not held while texts are compared: the program logs meanwhile.
        let all: Vec<Arc<LogLine>> = self.held().lines.latest_first().map(Arc::clone).collect();
        let shown = all.iter().filter(|line| filter.shows(line)).take(filter.most());
        let mut shown: Vec<LogLine> = shown.map(|line| LogLine::clone(line)).collect();
        shown.reverse();
        shown
    }

    pub(super) fn remember(&self, line: &Line<'_>, service: &Service) {
        let mut line = LogLine::of(line, service);
        let bytes = line.bytes();
        let mut held = self.held();
        held.number += 1;
        line.number = held.number;
        held.lines.push(Arc::new(line), bytes);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogFilter {
    /// How many lines are asked for.
    pub(crate) fn most(&self) -> usize {
        self.limit.unwrap_or(SHOWN).min(MOST_SHOWN)
    }

    fn shows(&self, line: &LogLine) -> bool {
        let is = |wanted: &Option<String>, there: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| Some(wanted) == there.as_ref())
        };
        let has_text = |text: &String| {
            let text = text.to_lowercase();
            let has = |there: &String| there.to_lowercase().contains(&text);
            has(&line.message) || has(&line.target) || line.fields.values().any(has)
        };
        is(&self.module, &line.module)
            && is(&self.trace, &line.trace_id)
            && self.process.as_ref().is_none_or(|process| *process == line.process)
            && self.level.as_ref().is_none_or(|level| rank(&line.level) <= rank(level))
            && self.since_us.is_none_or(|since| line.at_us >= since)
            && self.text.as_ref().is_none_or(has_text)
    }
}

/// The place of a level: errors come first. A word that is no level is below all.
fn rank(level: &str) -> usize {
    let all = ["error", "warn", "info", "debug", "trace"];
    all.iter().position(|known| known.eq_ignore_ascii_case(level)).unwrap_or(all.len())
}

impl LogLine {
    fn of(line: &Line<'_>, service: &Service) -> Self {
        let (module, method, work) = match &line.within {
            None => (None, None, None),
            Some(Within::Module(module)) => (Some(module.clone()), None, None),
            Some(Within::Call { module, method }) => {
                (Some(module.to_string()), Some(method.to_string()), None)
            }
            Some(Within::Duty { module, work }) => (Some(module.clone()), None, work.clone()),
        };
        // The line's own come first, then those of the innermost span.
        let spans = line.spans.iter().rev().flat_map(|(_, fields)| fields);
        let mut fields = BTreeMap::new();
        let all = line.fields.others.iter().chain(spans);
        // The trace has a place of its own.
        let all = all.filter(|field| field.name != "trace" || line.trace.is_none());
        for Field { name, value } in all.take(MOST_FIELDS) {
            fields
                .entry((*name).to_owned())
                .or_insert_with(|| cut(&value.to_string(), LONGEST_FIELD));
        }
        let since = line.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            number: 0,
            process: service.process.clone(),
            pid: std::process::id(),
            at_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            level: line.level.as_str().to_ascii_lowercase(),
            target: line.target.to_string(),
            module,
            method,
            work,
            trace_id: line.trace.map(|trace| format!("{:032x}", trace.trace_id)),
            message: cut(&line.message, LONGEST_MESSAGE),
            fields,
        }
    }

    /// About what it takes.
    fn bytes(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| 96 + name.len() + value.len());
        size_of::<Self>() + 160 + self.message.len() + self.target.len() + fields.sum::<usize>()
    }
}

fn cut(text: &str, longest: usize) -> String {
    let beginning = &text[..text.floor_char_boundary(longest)];
    if beginning.len() < text.len() { format!("{beginning}…") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogLayer, Shape};
    use std::io;
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    fn logging(lines: &Arc<LogLines>, log: impl FnOnce()) {
        let service = Service::new("shop", "web").with_modules(["stock"]);
        let layer = LogLayer::new(Shape::Ecs, service).with_writer(io::sink);
        let subscriber = Registry::default().with(layer.remembered_in(Arc::clone(lines)));
        tracing::subscriber::with_default(subscriber, log);
    }

    fn messages(lines: &LogLines, filter: LogFilter) -> Vec<String> {
        lines.find(&filter).into_iter().map(|line| line.message).collect()
    }

    #[test]
    fn lines_are_found_by_module_level_trace_and_text() {
        let lines = Arc::new(LogLines::default());
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        logging(&lines, || {
            tracing::info!(target: "stock::shelf", sku = "tea", "looked");
            tracing::warn!(target: "monolift_call", trace, "slow");
            tracing::error!(target: "stock", error = "no shelf", "fell");
        });
        let by = |filter: LogFilter| messages(&lines, filter);
        assert_eq!(by(LogFilter::default()), ["looked", "slow", "fell"]);
        let module = Some("stock".to_owned());
        assert_eq!(by(LogFilter { module, ..LogFilter::default() }), ["looked", "fell"]);
        let level = Some("warn".to_owned());
        assert_eq!(by(LogFilter { level, ..LogFilter::default() }), ["slow", "fell"]);
        let id = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
        assert_eq!(by(LogFilter { trace: id, ..LogFilter::default() }), ["slow"]);
        let text = Some("NO SHELF".to_owned());
        assert_eq!(by(LogFilter { text, ..LogFilter::default() }), ["fell"]);
        assert_eq!(by(LogFilter { limit: Some(1), ..LogFilter::default() }), ["fell"]);
        let first = &lines.find(&LogFilter::default())[0];
        assert_eq!(
            (first.number, first.process.as_str(), first.level.as_str()),
            (1, "web", "info")
        );
        assert_eq!(first.fields["sku"], "\"tea\"");
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let lines = Arc::new(LogLines::default());
        lines.hold(20_000);
        logging(&lines, || {
            for at in 0..100 {
                tracing::info!("{at} {}", "x".repeat(10_000));
            }
        });
        let left = messages(&lines, LogFilter::default());
        assert!((2..=4).contains(&left.len()), "{}", left.len());
        assert!(left.last().unwrap().starts_with("99 x") && left[0].len() < 4_200);
    }
}
