//! A mean of recent durations, which any thread can add to.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Each duration moves the mean by this part of the difference.
const PART: u64 = 16;

/// The mean, in nanoseconds.
#[derive(Debug, Default)]
pub struct Mean(AtomicU64);

impl Mean {
    /// Two threads that learn at the same moment may lose one of the durations. The mean bears that.
    pub fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.0.load(Relaxed);
        self.0.store(mean - mean / PART + took / PART, Relaxed);
    }

    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}
