//! Events as they are shown, and asked for between processes: plain data. This crate knows no database.

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a listener is with the events of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerOfEvents {
    /// The module that listens.
    pub listener: String,
    /// The name of the event.
    pub event: String,
    /// Events that it has not handled, without those that are parked.
    pub waiting: i64,
    /// Those of them that have failed at least once.
    pub failing: i64,
    pub parked: i64,
    /// For how long the first of those that wait has been there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<i64>,
}

/// A parked event. Its payload and its key are not shown: only the size of the payload, and the names and types in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParkedEvent {
    pub id: String,
    /// The module that could not handle it.
    pub listener: String,
    /// The name of the event.
    pub event: String,
    pub attempts: i64,
    /// How it failed last.
    pub error: String,
    pub parked_for_ms: i64,
    pub payload_bytes: usize,
    /// The names of fields and the types of values: `{order: text, cents: number}`.
    pub payload_outline: String,
}

/// The events of one module, as one process that runs it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsOfModule {
    /// The module that publishes.
    pub module: String,
    /// The process that tells it, and its process id.
    pub process: String,
    pub pid: u32,
    #[serde(default)]
    pub listeners: Vec<ListenerOfEvents>,
    #[serde(default)]
    pub parked: Vec<ParkedEvent>,
    /// How many events the question changed.
    #[serde(default)]
    pub changed: u64,
    /// Why nothing can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is asked about events. Without a module, how far the listeners of all modules are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsQuestion {
    /// The module that publishes.
    #[serde(default)]
    pub module: Option<String>,
    #[serde(default)]
    pub listener: Option<String>,
    /// The number of an event.
    #[serde(default)]
    pub id: Option<String>,
    /// The name of events.
    #[serde(default)]
    pub event: Option<String>,
    /// How many parked events to show.
    #[serde(default)]
    pub limit: u32,
    /// Whether a new build may lack what removed events told.
    #[serde(default)]
    pub partial: bool,
    /// What to do with events of the listener.
    #[serde(default)]
    pub change: Option<EventsChange>,
    /// Who wants the change.
    #[serde(default)]
    pub who: String,
}

/// What an operator does with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventsChange {
    /// A parked event, or all, are handled again with all their attempts.
    Retry,
    /// A parked event is given up for good.
    Discard,
    /// Events that are kept are handled once more.
    Replay,
    /// A listener that is gone, or that listens no more to an event, is offered nothing any more.
    Remove,
    /// The module's own read model is built anew, from the first event that is kept.
    Rebuild,
}

impl EventsChange {
    /// Its name in the log.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Retry => "events.retry",
            Self::Discard => "events.discard",
            Self::Replay => "events.replay",
            Self::Remove => "events.remove",
            Self::Rebuild => "events.rebuild",
        }
    }
}

/// The answer to a question about events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsAnswer {
    /// By module.
    pub modules: Vec<EventsOfModule>,
    /// Processes that did not answer.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Processes that let only those change events that observe the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
}

/// The events of a module that runs in this process.
pub trait ModuleEvents: Send + Sync + fmt::Debug + 'static {
    /// The module.
    fn module(&self) -> &str;

    /// How far each listener is.
    fn listeners(&self) -> BoxFuture<'_, Result<Vec<ListenerOfEvents>, String>>;

    /// The parked events that the question is about, the first published first.
    fn parked<'a>(
        &'a self,
        question: &'a EventsQuestion,
    ) -> BoxFuture<'a, Result<Vec<ParkedEvent>, String>>;

    /// Changes events of the question's listener. The result is how many.
    fn change<'a>(
        &'a self,
        change: EventsChange,
        question: &'a EventsQuestion,
    ) -> BoxFuture<'a, Result<u64, String>>;
}
