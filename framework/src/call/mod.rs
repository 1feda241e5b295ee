//! What a call is: who asks, until when, and how it can end.
//!
//! This floor knows nothing of interfaces, processes or sockets. Everything above uses it.

mod clock;
mod context;
mod error;
mod guard;
mod interface_error;
mod report;

pub use clock::{CallSettings, MAX_DEADLINE};
pub use context::{Context, Principal, Trace, spawn};
pub use error::{CallError, CallErrorKind};
pub use guard::{Guarded, Side, guard};
pub use interface_error::{ErrorResponse, InterfaceError};
pub use report::Reference;
pub(crate) use report::{chain, panic_text};

/// The facts of a method that a call carries with it, fixed when the program is compiled.
#[derive(Debug)]
pub struct Callee {
    /// The module that owns the interface, such as `stock`.
    pub module: &'static str,
    /// The interface's name, such as `Stock`.
    pub interface: &'static str,
    /// The method's name, such as `reserve`.
    pub method: &'static str,
    /// The method's own deadline, when it states one.
    pub deadline: Option<std::time::Duration>,
    /// How its calls ended in this program, counted.
    pub counts: Counts,
}

impl std::fmt::Display for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.module, self.method)
    }
}

/// How a method's calls ended, whichever way they came.
#[derive(Debug)]
pub struct Counts {
    answered: std::sync::atomic::AtomicU64,
    failed: std::sync::atomic::AtomicU64,
    dropped: std::sync::atomic::AtomicU64,
}

impl Counts {
    /// All at zero.
    #[allow(clippy::new_without_default, reason = "it must be const, to stand in a static")]
    pub const fn new() -> Self {
        use std::sync::atomic::AtomicU64;
        Self { answered: AtomicU64::new(0), failed: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// Calls that the module answered, with a result or an error of its own.
    pub fn answered(&self) -> u64 {
        self.answered.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Calls that ended with a [`CallError`].
    pub fn failed(&self) -> u64 {
        self.failed.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Calls whose caller went away before they ended.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn count(which: &std::sync::atomic::AtomicU64) {
        which.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}
