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
    /// The process that tells it, and its process id.
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
    /// Why nothing can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is asked about a subject: some hundreds of what is kept, or that so much is erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectQuestion {
    pub subject: String,
    /// Without a module, all are asked.
    #[serde(default)]
    pub module: Option<String>,
    /// The event and the piece that were told last.
    #[serde(default)]
    pub after_event: String,
    #[serde(default)]
    pub after_piece: String,
    #[serde(default)]
    pub erase: bool,
    /// Who asks.
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

/// What a module that runs in this process keeps of subjects.
pub trait ModuleSubjects: Send + Sync + fmt::Debug + 'static {
    /// The module.
    fn module(&self) -> &str;

    /// Some hundreds of the events and pieces that the question is about.
    fn kept<'a>(
        &'a self,
        question: &'a SubjectQuestion,
    ) -> BoxFuture<'a, Result<KeptOfSubject, String>>;

    /// Erases some hundreds of events and pieces of a subject. The result is how many of each.
    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<(u64, u64), String>>;
}
