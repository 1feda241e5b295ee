//! Whether the processes that this one calls have been reached.

/// Whether a process can do its work, and if not, what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What is not there yet, each as `payments at 127.0.0.1:7104: connection refused`.
    pub waiting_for: Vec<String>,
    /// The modules that cannot be called until then.
    pub missing: Vec<String>,
    /// Whether the process is stopping: it ends what it has, and should be sent nothing new.
    pub stopping: bool,
}

impl Readiness {
    /// Whether nothing stands in the way.
    pub fn is_ready(&self) -> bool {
        self.waiting_for.is_empty() && !self.stopping
    }
}
