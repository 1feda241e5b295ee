//! What an event is: a fact that a module publishes, by name and version, for the modules that listen.

use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A type of event, as [`event`](macro@crate::event) implements it.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The module that publishes it.
    const MODULE: &'static str;
    /// Its name in the tables. Releases that overlap know the event by it.
    const NAME: &'static str;
    /// The version of its fields. A listener waits for a release that knows a later version.
    const VERSION: u32 = 1;
    /// How long it is kept after it was published, at least. It is kept longer while a listener has not handled it.
    const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    /// How long its fields are kept at least, if that is shorter. Then only its row is left, without the subject.
    const PAYLOAD: Option<Duration> = None;

    /// Its key as JSON text. Events of one type and key are handled in the order in which they were published.
    fn key(&self) -> Option<String> {
        None
    }

    /// Whose data it holds: the name by which a person's data is exported and erased.
    fn subject(&self) -> Option<String> {
        None
    }

    /// Makes one from the JSON text of an earlier version. Without an upcaster the old fields have to be enough.
    fn upcast(_version: u32, old: &str) -> Result<Self, String> {
        serde_json::from_str(old).map_err(|error| error.to_string())
    }
}

/// Reads an event of this version.
#[doc(hidden)]
pub fn read<E: Event>(version: u32, text: &str) -> Result<E, String> {
    if version < E::VERSION {
        return E::upcast(version, text);
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The key of an event, as text. A key that JSON cannot express is no key.
#[doc(hidden)]
pub fn key_of(key: &impl Serialize) -> Option<String> {
    serde_json::to_string(key).ok()
}

/// The subject of an event, as a person types it: text without quotes.
#[doc(hidden)]
pub fn subject_of(subject: &impl Serialize) -> Option<String> {
    match serde_json::to_value(subject).ok()? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
