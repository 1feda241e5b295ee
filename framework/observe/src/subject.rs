//! What is kept of a subject, as it is exported and erased, and asked for between processes: plain data. This crate knows no
//! database.

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An event that holds data of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptEvent {
    pub id: String,
    /// The name of the event.
    pub event: String,
    /// Its key, as JSON.
    pub key: Option<String>,
    /// Its fields, as JSON.
    pub payload: String,
    /// When it was published, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// The listeners that have not handled it.
    pub listeners: Vec<KeptOffer>,
}

/// An event that a listener has not handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptOffer {
    pub listener: String,
    pub parked: bool,
    /// How it failed last.
    pub error: Option<String>,
}

/// A piece of durable work that holds data of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptPiece {
    pub id: String,
    pub kind: String,
    pub key: Option<String>,
    /// What is to be done, as JSON.
    pub payload: String,
    pub parked: bool,
    /// How it failed last.
    pub error: Option<String>,
}

/// What one module keeps of a subject, and how much of it was erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectOfModule {
    pub module: String,
    /// The process that answered, and its process id.
    pub process: String,
    pub pid: u32,
    #[serde(default)]
    pub events: Vec<KeptEvent>,
    #[serde(default)]
    pub work: Vec<KeptPiece>,
    #[serde(default)]
    pub erased_events: u64,
    #[serde(default)]
    pub erased_work: u64,
    /// Why the module could not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A request to export, or to erase, at most 128 events and 128 pieces of each module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectQuestion {
    pub subject: String,
    /// The module to ask. `None` asks all modules.
    #[serde(default)]
    pub module: Option<String>,
    /// The last event and the last piece of the previous page, or empty for the first page.
    #[serde(default)]
    pub after_event: String,
    #[serde(default)]
    pub after_piece: String,
    #[serde(default)]
    pub erase: bool,
    /// The operator who asks, for the audit log.
    #[serde(default)]
    pub who: String,
}

/// The answer to a question about a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectAnswer {
    /// By module.
    pub modules: Vec<SubjectOfModule>,
    /// Processes that did not answer, or that this one does not ask.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Processes that answer only those that observe the application.
    #[serde(default)]
    pub denied: Vec<String>,
}

/// Some of the events and the pieces of work that are kept.
pub type KeptOfSubject = (Vec<KeptEvent>, Vec<KeptPiece>);

/// What was erased of a subject in a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many events.
    pub events: u64,
    /// How many pieces of durable work.
    pub work: u64,
    /// Why it is not all.
    pub error: Option<String>,
}

/// What a module that runs in this process keeps of subjects.
pub trait ModuleSubjects: Send + Sync + fmt::Debug + 'static {
    /// The module.
    fn module(&self) -> &str;

    /// A page of the events and pieces that the question asks for, at most 128 of each.
    fn kept<'a>(
        &'a self,
        question: &'a SubjectQuestion,
    ) -> BoxFuture<'a, Result<KeptOfSubject, String>>;

    /// Erases at most 128 events and 128 pieces of a subject.
    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Erased>;
}
