//! What few calls carry, behind one pointer of their context.

use super::{Principal, Statement, TraceState, principal::Known};
use std::sync::{Arc, OnceLock};

/// Both are set where a user is made.
const SET: &str = "a user has a principal and a statement";

#[derive(Debug, Clone, Default)]
pub(super) struct Baggage {
    /// Set once: at the edge, or below the layer of an existing program.
    pub(super) principal: OnceLock<Known>,
    pub(super) idempotency_key: Option<String>,
    pub(super) trace_state: Option<TraceState>,
}

/// A user with the statement about it, as another process calls for it. All calls for it share this.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Stated(Arc<Baggage>);

impl Stated {
    /// The user, and whether this process knows the statement to be true.
    pub fn new(principal: Arc<Principal>, statement: Arc<Statement>, is_proven: bool) -> Self {
        let principal = OnceLock::from(Known::stated(principal, statement, is_proven));
        Self(Arc::new(Baggage { principal, ..Baggage::default() }))
    }

    /// The statement.
    pub fn statement(&self) -> &Arc<Statement> {
        self.known().statement.get().expect(SET)
    }

    /// The same, not known to be true.
    #[must_use]
    pub fn unproven(&self) -> Self {
        Self::new(Arc::clone(&self.known().principal), Arc::clone(self.statement()), false)
    }

    fn known(&self) -> &Known {
        self.0.principal.get().expect(SET)
    }

    /// What a context is given that carries nothing else.
    pub(super) fn into_baggage(self) -> Arc<Baggage> {
        self.0
    }
}
