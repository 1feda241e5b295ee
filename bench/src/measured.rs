//! One measurement of a peer, and its result.

use load::{Caller, Outcome, Plan};
use serde::{Deserialize, Serialize};
use std::{future::Future, sync::Arc};

/// The kinds of calls in a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mix {
    /// Fast calls only.
    Quick,
    /// One call in a hundred sleeps for a millisecond. The others are timed.
    Sleeps,
    /// One call in a hundred keeps the CPU busy for a millisecond. The others are timed.
    Burns,
}

/// A measurement to make.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Asked {
    /// The load and the duration.
    pub plan: Plan,
    /// The kinds of calls.
    pub mix: Mix,
    /// The size of an answer, in bytes.
    pub size: u32,
}

/// The result of a measurement.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measured {
    /// Calls answered per second.
    pub throughput: f64,
    /// The median latency, in microseconds.
    pub p50: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub p99: f64,
    /// CPU time per call in all processes, in microseconds.
    pub cpu: f64,
}

impl Measured {
    /// Summarises an outcome.
    ///
    /// # Errors
    ///
    /// If calls failed: a server with failures is not compared.
    pub fn of(outcome: &Outcome) -> anyhow::Result<Self> {
        let why = outcome.failure.as_deref().unwrap_or_default();
        anyhow::ensure!(outcome.failed == 0, "{} calls failed: {why}", outcome.failed);
        let times = outcome.all_times();
        let at = |quantile| times.quantile(quantile) as f64 / 1_000.0;
        Ok(Self {
            throughput: outcome.throughput(),
            p50: at(0.5),
            p99: at(0.99),
            cpu: outcome.cpu_per_call(),
        })
    }
}

/// The calls that every peer supports.
pub trait Peer: Send + Sync + 'static {
    /// Runs `calls` as part of one request, if the peer has requests.
    fn within<F: Future + Send>(&self, calls: F) -> impl Future<Output = F::Output> + Send {
        calls
    }

    /// Gets an item. The server answers at once.
    fn get(&self, id: u64, size: u32) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// A call that sleeps for a millisecond.
    fn sleep(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// A call that keeps the CPU busy for a millisecond.
    fn burn(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Makes the calls of a measurement.
pub struct Calls<P> {
    peer: Arc<P>,
    asked: Asked,
}

impl<P> Clone for Calls<P> {
    fn clone(&self) -> Self {
        Self { peer: Arc::clone(&self.peer), asked: self.asked }
    }
}

impl<P: Peer> Caller for Calls<P> {
    fn within<F: Future + Send>(&self, calls: F) -> impl Future<Output = F::Output> + Send {
        self.peer.within(calls)
    }

    async fn call(&self, at: u64) -> anyhow::Result<Option<usize>> {
        let slow = at.is_multiple_of(100);
        match self.asked.mix {
            Mix::Sleeps if slow => self.peer.sleep().await.map(|()| None),
            Mix::Burns if slow => self.peer.burn().await.map(|()| None),
            _ => self.peer.get(at, self.asked.size).await.map(|()| Some(0)),
        }
    }
}

/// Measures `peer` from this process. `servers` are the processes of the peer.
///
/// # Errors
///
/// If calls fail.
pub async fn measure(peer: impl Peer, asked: Asked, servers: &[u32]) -> anyhow::Result<Measured> {
    let both = [servers, &[std::process::id()]].concat();
    let calls = Calls { peer: Arc::new(peer), asked };
    Measured::of(&load::drive(calls, asked.plan, &both, |_| {}).await?)
}
