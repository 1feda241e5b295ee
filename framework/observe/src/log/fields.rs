//! The values of an event's or a span's fields.

use std::{borrow::Cow, error::Error, fmt};
use tracing::field::{Field as Key, Visit};

/// All fields of one event or span.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The text of an event.
    pub(super) message: Option<String>,
    /// The target of a record of the crate `log`, which has come here through a bridge.
    pub(super) target: Option<String>,
    /// The others, in their order.
    pub(super) others: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// What a `Display` or a `Debug` has written.
    Shown(String),
    Integer(i64),
    Natural(u64),
    Float(f64),
    Truth(bool),
    /// An error, and each of its sources.
    Error(String, Vec<String>),
}

impl Value {
    /// The value without quotes, as a search finds it.
    pub(super) fn plain(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Shown(text) | Self::Error(text, _) => text.into(),
            Self::Integer(number) => number.to_string().into(),
            Self::Natural(number) => number.to_string().into(),
            Self::Float(number) => number.to_string().into(),
            Self::Truth(truth) => truth.to_string().into(),
        }
    }

    /// The value as a number that is not negative, if it is one.
    pub(super) fn natural(&self) -> Option<u64> {
        match self {
            Self::Natural(number) => Some(*number),
            Self::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// As people read it: a text has quotes.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Error(text, sources) => {
                f.write_str(text)?;
                sources.iter().try_for_each(|source| write!(f, ": {source}"))
            }
            other => f.write_str(&other.plain()),
        }
    }
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.others.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    fn add(&mut self, key: &Key, value: Value) {
        match (key.name(), value) {
            ("message", value) => self.message = Some(value.plain().into_owned()),
            ("log.target", value) => self.target = Some(value.plain().into_owned()),
            ("log.module_path" | "log.file" | "log.line", _) => {}
            (name, value) => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                // A span's field that is recorded again.
                self.others.retain(|field| field.name != name);
                self.others.push(Field { name, value });
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, key: &Key, value: &str) {
        self.add(key, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, key: &Key, value: &dyn fmt::Debug) {
        self.add(key, Value::Shown(format!("{value:?}")));
    }

    fn record_i64(&mut self, key: &Key, value: i64) {
        self.add(key, Value::Integer(value));
    }

    fn record_u64(&mut self, key: &Key, value: u64) {
        self.add(key, Value::Natural(value));
    }

    fn record_f64(&mut self, key: &Key, value: f64) {
        self.add(key, Value::Float(value));
    }

    fn record_bool(&mut self, key: &Key, value: bool) {
        self.add(key, Value::Truth(value));
    }

    fn record_error(&mut self, key: &Key, value: &(dyn Error + 'static)) {
        let mut sources = Vec::new();
        let mut next = value.source();
        while let Some(source) = next {
            sources.push(source.to_string());
            next = source.source();
        }
        self.add(key, Value::Error(value.to_string(), sources));
    }
}
