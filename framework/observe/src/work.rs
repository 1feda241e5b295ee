//! Durable work as it is shown, and asked for between processes: plain data. This crate knows no database.

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a piece stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    /// It is to be done, now or later.
    Waiting,
    /// A worker has claimed it.
    Running,
    /// It is left alone until somebody runs it again.
    Parked,
}

/// How many pieces of one kind are where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KindOfWork {
    pub kind: String,
    pub waiting: i64,
    pub running: i64,
    /// Those of the waiting and the running ones that have failed at least once.
    pub failing: i64,
    pub parked: i64,
}

/// One piece of work. Its payload is not shown: only its size, and the names and types in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PieceOfWork {
    pub id: String,
    pub kind: String,
    pub state: WorkState,
    pub attempts: i64,
    /// How it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The time until its next attempt. Negative when it is due already; absent when it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_in_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked_for_ms: Option<i64>,
    /// For how long it has been there.
    pub age_ms: i64,
    /// The trace that enqueued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    pub payload_bytes: usize,
    /// The names of fields and the types of values: `{order: text, cents: number}`.
    pub payload_outline: String,
}

/// The durable work of one module, as one process that runs it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkOfModule {
    pub module: String,
    /// The process that tells it, and its process id.
    pub process: String,
    pub pid: u32,
    #[serde(default)]
    pub kinds: Vec<KindOfWork>,
    #[serde(default)]
    pub pieces: Vec<PieceOfWork>,
    /// How many pieces the question changed.
    #[serde(default)]
    pub changed: u64,
    /// Why nothing can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is asked about durable work. Without a module, how many pieces all modules have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkQuestion {
    #[serde(default)]
    pub module: Option<String>,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub state: Option<WorkState>,
    /// How many pieces to show.
    #[serde(default)]
    pub limit: u32,
    /// What to do with the parked piece `id`; without one, with all parked pieces of the module.
    #[serde(default)]
    pub change: Option<WorkChange>,
    /// Who wants the change.
    #[serde(default)]
    pub who: String,
}

/// What an operator does with parked work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkChange {
    /// It is done again, with all its attempts.
    Retry,
    /// It is given up for good.
    Discard,
}

impl WorkChange {
    /// Its name in the log.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Retry => "work.retry",
            Self::Discard => "work.discard",
        }
    }
}

/// The answer to a question about durable work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkAnswer {
    /// By module.
    pub modules: Vec<WorkOfModule>,
    /// Processes that did not answer.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Processes that let only those change work that observe the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
}

/// The durable work of a module that runs in this process.
pub trait ModuleWork: Send + Sync + fmt::Debug + 'static {
    /// The module.
    fn module(&self) -> &str;

    /// How many pieces there are of each kind.
    fn kinds(&self) -> BoxFuture<'_, Result<Vec<KindOfWork>, String>>;

    /// The pieces that the question is about: parked ones first, then those that are due first.
    fn pieces<'a>(
        &'a self,
        question: &'a WorkQuestion,
    ) -> BoxFuture<'a, Result<Vec<PieceOfWork>, String>>;

    /// Changes parked pieces: the one of this id, or all. The result is how many.
    fn change(&self, change: WorkChange, id: Option<String>) -> BoxFuture<'_, Result<u64, String>>;
}
