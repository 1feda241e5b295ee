//! Levels of logs as they are changed between processes: plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be logged, such as `stock=debug`, and who wants it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WantedLevels {
    pub levels: String,
    #[serde(default)]
    pub who: String,
}

/// What one process logs now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LevelsOf {
    pub process: String,
    pub pid: u32,
    pub levels: String,
}

/// What was changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct LevelsAnswer {
    /// What the process logs now that was asked.
    pub levels: Option<String>,
    /// The same of all processes that were changed, that one first.
    pub processes: Vec<LevelsOf>,
    /// Processes that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Processes that were not asked, since the one that was asked does not observe the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
}
