//! Who holds a piece of work: each claim has a name of its own.
//!
//! A worker claims a piece again when the lease of its own earlier claim has run out. What is left of that
//! earlier claim (an outcome that it was slow to write down, say) must then change nothing, as if it were
//! another worker's. So it is not enough to name the worker.

use crate::call::planted;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Names the claims of one worker.
#[derive(Debug)]
pub(super) struct Holders {
    worker: u64,
    claims: AtomicU64,
}

impl Holders {
    pub(super) fn new() -> Self {
        Self { worker: rand::random(), claims: AtomicU64::new(0) }
    }

    /// The name of one more claim.
    pub(super) fn of_a_claim(&self) -> String {
        let claim = self.claims.fetch_add(1, Relaxed);
        let claim = if planted!("claims-share-a-name") { 0 } else { claim };
        format!("{:016x}-{claim:x}", self.worker)
    }
}
