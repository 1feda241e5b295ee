//! When a process counts as failing, and how long calls stay away from it.
//!
//! Applications have the defaults. These are no settings: tests and simulations of short runs set others.

use super::breaker::BreakerThresholds;
use crate::{call::Backoff, wire::PulseThresholds};
use std::time::Duration;

/// The thresholds of the calling side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// When a replica is left out.
    pub breaker: BreakerThresholds,
    /// The pauses between attempts at one call.
    pub retry_pauses: Backoff,
    /// When a connection is silent, and when it ends.
    pub pulse: PulseThresholds,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            breaker: BreakerThresholds::default(),
            retry_pauses: Backoff::full(Duration::from_millis(10), Duration::from_secs(1)),
            pulse: PulseThresholds::default(),
        }
    }
}
