//! What a call is: who asks, until when, and how it can end.
//!
//! This floor knows nothing of interfaces, processes or sockets. Everything above uses it.

pub mod access;
mod backoff;
mod baggage;
#[cfg(test)]
mod captured;
pub mod chance;
pub mod clock;
mod context;
mod counter;
#[cfg(feature = "sqlx")]
pub mod database;
mod error;
mod guard;
pub mod held;
mod interface_error;
pub mod local;
mod mean;
mod meter;
mod origin;
mod planted;
pub mod polled;
mod principal;
pub mod record;
mod report;
mod rule;
pub mod stages;
mod statement;
mod trace;
mod trace_state;
pub mod turns;
mod window;

pub use crate::planted;
pub use backoff::Backoff;
pub use baggage::Stated;
pub use clock::{CallSettings, MAX_DEADLINE};
pub use context::{Context, spawn};
pub use counter::Figures;
pub use error::{CallError, CallErrorKind, RetryAdvice};
pub use guard::{Guarded, Side, guard, overdue};
pub use interface_error::{ErrorResponse, InterfaceError};
pub use local::LocalTx;
pub use mean::Mean;
pub use meter::{Caller, Meter};
pub use origin::{Origin, network_of};
pub use planted::{is_chosen, is_planted_here, plant};
pub use principal::{NotTheirs, Principal};
pub use report::{Reference, chain, panic_text};
pub use rule::{Grant, Rule};
pub use stages::{Stages, Timed};
pub use statement::{Signer, SignerId, Statement};
pub use trace::{Sampling, TRACEPARENT, TRACESTATE, Trace, Traced, trace_headers};
pub use trace_state::TraceState;
pub use window::Window;

/// The trace of the call that is running, if there is one.
fn current_trace() -> Option<String> {
    Context::current().map(|context| context.trace().to_string())
}

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
    /// What it asks of its callers, when it says so.
    pub rule: Option<&'static Rule>,
    /// How its calls went in this program.
    pub meter: Meter,
}

impl std::fmt::Display for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.module, self.method)
    }
}
