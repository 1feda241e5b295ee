//! Durable work: what must follow a commit is written down by the same commit, and done afterwards.
//!
//! A *piece* is a row of the table `monolift_work`, in the module's own database. A worker in each
//! process that runs the module claims due pieces for a short while (a *lease*), which it renews as
//! long as it is at work; when it dies, the lease runs out and another one takes the piece. So a
//! piece runs at least once, and on one worker at a time. Whoever has lost the lease is stopped.
//!
//! While most pieces of a kind fail for calls to one module, the kind is held back: see [`Circuit`].
//!
//! The database's clock decides what is due, so that the clocks of processes need not agree. A
//! worker claims only pieces whose names it knows: a newer release's pieces wait for it.

mod circuit;
mod cron;
mod held_back;
mod holders;
mod kind;
mod ledger;
#[cfg(test)]
mod model;
mod pieces;
mod queue;
mod statements;
mod subject;
mod tables;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
mod worker;

pub use circuit::Circuit;
pub use cron::{Cron, CronError};
pub use kind::WorkKind;
pub use ledger::{Ledger, Parked, Standing};
pub(crate) use pieces::Attended;
pub use pieces::{AnyLedger, LedgerPiece, PieceFilter, PieceState, outline};
pub(crate) use queue::milliseconds;
pub use queue::{UnlistedWork, Work};
pub use subject::PieceOfSubject;
pub use tables::history;
pub use worker::Worker;

use crate::call::Backoff;
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, time::Duration};

/// A kind of work: what is written down of it, and how it is tried again.
///
/// ```
/// # use monolift_data::work::{Piece, Retry}; use serde::{Deserialize, Serialize}; use std::time::Duration;
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Settle { order: u64 }
///
/// impl Piece for Settle {
///     const NAME: &'static str = "settle";
///     const RETRY: Retry = Retry { most: Duration::from_secs(5), ..Retry::DEFAULT };
/// }
/// ```
pub trait Piece: Serialize + DeserializeOwned + Send + 'static {
    /// Its name in the table. Releases that overlap know each other's pieces by it.
    const NAME: &'static str;
    /// How it is tried again.
    const RETRY: Retry = Retry::DEFAULT;
    /// How it is held back while a module that it calls fails.
    const CIRCUIT: Circuit = Circuit::DEFAULT;
    /// How long one attempt may take.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Whose data it holds: the name by which a person's data is exported and erased.
    fn subject(&self) -> Option<String> {
        None
    }

    /// When it recurs, and what is done then.
    fn recurring() -> Option<Recurring<Self>> {
        None
    }
}

/// How a kind of work is done: implemented by the module, which lists it as
/// `#[module(…, work = [Settle])]`.
#[async_trait]
pub trait Perform<P: Piece>: Send + Sync + 'static {
    /// Does it. It may have been done before, in part or as a whole, by a process that died: it must
    /// not matter. An error has it tried again.
    async fn perform(&self, piece: P) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// How a kind of work is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The pause after the first failure. It doubles with each one, give or take a fifth.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// After so many attempts it is parked: left alone until somebody runs it again.
    pub attempts: u32,
}

/// No pause is longer, whatever a module states: a longer one would overflow when a fifth is added.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Retry {
    /// From one second to thirty, and parked after a hundred attempts, which is most of an hour.
    pub const DEFAULT: Self =
        Self { first: Duration::from_secs(1), most: Duration::from_secs(30), attempts: 100 };

    /// The pause after the attempt of this number, from 1.
    pub fn pause(&self, attempt: u32) -> Duration {
        self.backoff().pause(attempt.saturating_sub(1))
    }

    fn backoff(&self) -> Backoff {
        Backoff::fifth(self.first, self.most.min(YEAR))
    }
}

/// Work that recurs: one piece, however many processes run the module. Runs that were missed while
/// nobody was there are made up for by one.
#[derive(Debug)]
pub struct Recurring<P> {
    /// Minute, hour, day of month, month, day of week, in UTC: `30 3 * * 1-5`; or `@every 10s`.
    pub schedule: &'static str,
    /// What is done.
    pub piece: P,
}
