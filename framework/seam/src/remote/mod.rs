//! The calling side of a connection: another process, its replicas, and the connections to them.
//!
//! It knows nothing of modules beyond their names in a hello, and never falls back to anything.

mod breaker;
mod budget;
mod calls;
mod connection;
mod each;
mod find;
mod finder;
mod lane;
mod load;
mod process;
mod readiness;
mod replica;
mod replicas;
mod retry;
mod srv;
mod thresholds;
mod versions;

pub use breaker::BreakerThresholds;
pub use each::{OneReplica, ReplicaState};
pub use process::{Remote, Whereabouts};
pub use readiness::Readiness;
pub use thresholds::Thresholds;

use process::ReplicaAddress;
