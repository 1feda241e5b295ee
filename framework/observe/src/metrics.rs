//! Figures as Prometheus reads them: its text format, or OpenMetrics where the scraper asks for it.
//!
//! The figures stay where they are counted and are read when someone asks. Names and labels are fixed by the program, so
//! there are few of them.

mod calls;
mod exemplars;
mod machine;

pub use calls::{call_figures, calls};
pub use exemplars::{Buckets, Exemplar, Exemplars};
pub use machine::{machine, resident};

use std::{
    fmt::{Display, Write as _},
    time::UNIX_EPOCH,
};

/// What a family of figures is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows. Its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations, in seconds.
    Histogram,
}

/// The format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// A page of figures.
#[derive(Debug)]
pub struct Page {
    text: String,
    format: Format,
}

/// The figures of one name.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

/// The durations of one set of labels.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    /// For each bound in [`BOUNDS`], how many took at most as long.
    pub at_most: Vec<u64>,
    /// How many there were.
    pub count: u64,
    /// Their sum, in nanoseconds.
    pub nanos: u64,
    /// A trace to look at, for each bucket.
    pub exemplars: Buckets,
}

/// The bounds of durations, in nanoseconds: calls within a process take microseconds, and between processes up to seconds.
pub const BOUNDS: [u64; 18] = [
    1_000,
    5_000,
    25_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

impl Format {
    /// The format that an `accept` header asks for.
    pub fn asked_by(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The content type of a page.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Page {
    /// An empty page.
    pub fn new(format: Format) -> Self {
        Self { text: String::new(), format }
    }

    /// Begins a family. Each name is used once.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // OpenMetrics names a family of counters without their suffix.
        let family = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => name.trim_end_matches("_total"),
            _ => name,
        };
        let help = escaped(help, false);
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}");
        Family { page: self, name }
    }

    /// The text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Says of the latest sample which trace is one of it. Only OpenMetrics can.
    fn exemplar(&mut self, exemplar: &Exemplar) {
        if self.format != Format::OpenMetrics {
            return;
        }
        let Exemplar { trace_id, nanos, at } = exemplar;
        let seconds = *nanos as f64 / 1e9;
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3;
        // The sample's line ends behind it.
        self.text.truncate(self.text.trim_end_matches('\n').len());
        let _ = writeln!(self.text, " # {{trace_id=\"{trace_id:032x}\"}} {seconds} {at:.3}");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &Labels<'_>, value: impl Display) {
        let _ = write!(self.text, "{name}{suffix}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let begin = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{begin}{label}=\"{}\"", escaped(value, true));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// The labels of a figure.
type Labels<'a> = [(&'a str, &'a str)];

impl Family<'_> {
    /// A figure.
    pub fn sample(&mut self, labels: &Labels<'_>, value: impl Display) -> &mut Self {
        self.page.sample(self.name, "", labels, value);
        self
    }

    /// The durations of a histogram.
    pub fn durations(&mut self, labels: &Labels<'_>, durations: &Durations) -> &mut Self {
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).zip(&durations.at_most);
        let (beyond, exemplars) = durations.exemplars.split_last().expect("there is a bucket");
        for ((bound, count), exemplar) in bounds.zip(exemplars) {
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.page.sample(self.name, "_bucket", &labels, count);
            exemplar.iter().for_each(|exemplar| self.page.exemplar(exemplar));
        }
        let all = [labels, &[("le", "+Inf")]].concat();
        self.page.sample(self.name, "_bucket", &all, durations.count);
        beyond.iter().for_each(|exemplar| self.page.exemplar(exemplar));
        self.page.sample(self.name, "_sum", labels, durations.nanos as f64 / 1e9);
        self.page.sample(self.name, "_count", labels, durations.count);
        self
    }
}

/// A bound as a label. OpenMetrics wants a decimal point.
fn seconds(nanos: u64) -> String {
    let text = (nanos as f64 / 1e9).to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn escaped(text: &str, in_quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if in_quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        page.family("shop_calls_total", Kind::Counter, "Calls,\nall of them.")
            .sample(&[("module", "stock"), ("odd", "a\"b\\c\nd")], 3)
            .sample(&[], 4);
        let mut exemplars: Buckets = [None; BOUNDS.len() + 1];
        let at = UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_250);
        exemplars[0] = Some(Exemplar { trace_id: 0xab, nanos: 500, at });
        exemplars[BOUNDS.len()] = Some(Exemplar { trace_id: 0xcd, nanos: 11_000_000_000, at });
        let durations =
            Durations { at_most: vec![1; BOUNDS.len()], count: 2, nanos: 1_500_000_000, exemplars };
        page.family("shop_seconds", Kind::Histogram, "Durations.")
            .durations(&[("a", "b")], &durations);
        page.finish()
    }

    #[test]
    fn a_page_is_as_prometheus_reads_it() {
        let text = page(Format::Prometheus);
        let begins = "# HELP shop_calls_total Calls,\\nall of them.\n# TYPE shop_calls_total counter\n\
            shop_calls_total{module=\"stock\",odd=\"a\\\"b\\\\c\\nd\"} 3\nshop_calls_total 4\n\
            # HELP shop_seconds Durations.\n# TYPE shop_seconds histogram\n\
            shop_seconds_bucket{a=\"b\",le=\"0.000001\"} 1\n";
        assert!(text.starts_with(begins), "{text}");
        let ends = "shop_seconds_bucket{a=\"b\",le=\"10.0\"} 1\n\
            shop_seconds_bucket{a=\"b\",le=\"+Inf\"} 2\nshop_seconds_sum{a=\"b\"} 1.5\n\
            shop_seconds_count{a=\"b\"} 2\n";
        assert!(text.ends_with(ends), "{text}");
    }

    #[test]
    fn open_metrics_names_counters_without_a_suffix_and_ends() {
        let text = page(Format::OpenMetrics);
        assert!(text.starts_with("# HELP shop_calls Calls"), "{text}");
        assert!(text.contains("\nshop_calls_total{module=\"stock\""), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        for exemplar in [
            "le=\"0.000001\"} 1 # {trace_id=\"000000000000000000000000000000ab\"} 0.0000005 1700000000.250\n",
            "le=\"+Inf\"} 2 # {trace_id=\"000000000000000000000000000000cd\"} 11 1700000000.250\n",
        ] {
            assert!(text.contains(exemplar), "{exemplar}: {text}");
        }
    }
}
