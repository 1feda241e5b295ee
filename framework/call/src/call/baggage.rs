//! What few calls carry, behind one pointer of their context.

use super::{Principal, Statement, TraceState, principal::Known};
use std::sync::{Arc, OnceLock};

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
pub struct Stated {
    baggage: Arc<Baggage>,
    statement: Arc<Statement>,
}

impl Stated {
    /// The user, and whether this process knows the statement to be true.
    pub fn new(principal: Arc<Principal>, statement: Arc<Statement>, is_proven: bool) -> Self {
        let known = Known::stated(principal, Arc::clone(&statement), is_proven);
        let baggage = Baggage { principal: OnceLock::from(known), ..Baggage::default() };
        Self { baggage: Arc::new(baggage), statement }
    }

    /// The statement.
    pub fn statement(&self) -> &Arc<Statement> {
        &self.statement
    }

    /// The same, not known to be true.
    #[must_use]
    pub fn unproven(&self) -> Self {
        self.of(Arc::clone(&self.statement))
    }

    /// The same with a copy of the statement, not known to be true.
    #[must_use]
    pub fn with_copy(&self, statement: Statement) -> Self {
        self.of(Arc::new(statement))
    }

    fn of(&self, statement: Arc<Statement>) -> Self {
        let known = self.baggage.principal.get().expect("it is there from the beginning");
        Self::new(Arc::clone(&known.principal), statement, false)
    }

    pub(super) fn shared(&self) -> Arc<Baggage> {
        Arc::clone(&self.baggage)
    }

    pub(super) fn known(&self) -> OnceLock<Known> {
        self.baggage.principal.clone()
    }
}
