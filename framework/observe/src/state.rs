//! How a process stands, as it tells others: plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a process stands now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessState {
    /// Its name in the manifest.
    pub process: String,
    /// The replica: its process id.
    pub pid: u32,
    /// The modules that run in it.
    pub modules: Vec<String>,
    /// Where its gateway listens, and where it shows this.
    pub http: Option<String>,
    pub admin: Option<String>,
    /// Whether it has reached every process that it calls, and which it has not.
    pub ready: bool,
    #[serde(default)]
    pub waiting_for: Vec<String>,
    /// The processes that it calls.
    #[serde(default)]
    pub others: Vec<OtherState>,
    /// The events that its modules listen to.
    #[serde(default)]
    pub listens: Vec<Listening>,
    /// The calls that were made in it so far.
    #[serde(default)]
    pub calls: Vec<CallFigures>,
    /// Resident memory, in bytes.
    #[serde(default)]
    pub resident: u64,
}

/// An event that a module listens to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listening {
    pub listener: String,
    pub publisher: String,
    pub event: String,
}

/// Another process, as this one sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherState {
    pub process: String,
    /// The modules that run there.
    pub modules: Vec<String>,
    pub replicas: Vec<ReplicaView>,
}

/// A replica of another process, as its caller sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaView {
    pub address: String,
    pub connected: bool,
    /// Whether calls avoid it, because they fail there.
    pub ejected: bool,
}

/// The calls of one method by one caller, so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallFigures {
    /// The module that calls; `(edge)` for the gateway and a program's own code, `(process)` for another process.
    pub caller: String,
    pub module: String,
    pub interface: String,
    pub method: String,
    /// `local`, `remote`, or `served` for another process.
    pub placement: String,
    pub answered: u64,
    pub failed: u64,
    pub dropped: u64,
    pub total_ms: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
}

impl CallFigures {
    /// How many there were, whatever came of them.
    pub fn calls(&self) -> u64 {
        self.answered + self.failed + self.dropped
    }
}
