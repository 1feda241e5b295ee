//! What is asked of a peer in one measurement, and what came of it.

use load::{Caller, Outcome, Plan};
use serde::{Deserialize, Serialize};
use std::{future::Future, sync::Arc};

/// Which calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mix {
    /// Quick ones only.
    Quick,
    /// One in a hundred sleeps for a millisecond; the others are timed.
    Sleeps,
    /// One in a hundred keeps a processor for a millisecond; the others are timed.
    Burns,
}

/// One measurement to make.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Asked {
    /// How the calls come, and for how long.
    pub plan: Plan,
    /// Which they are.
    pub mix: Mix,
    /// The size of an answer, in bytes.
    pub size: u32,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measured {
    /// Calls answered in a second.
    pub throughput: f64,
    /// Half of the calls took no longer, in microseconds.
    pub p50: f64,
    /// Of a hundred calls, 99 took no longer.
    pub p99: f64,
    /// Time on a processor for each call, on all sides, in microseconds.
    pub cpu: f64,
}

impl Measured {
    /// What an outcome comes to.
    ///
    /// # Errors
    ///
    /// When calls failed: nothing is compared with a server that fails.
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

/// What a caller can ask of the process at the other end.
pub trait Peer: Send + Sync + 'static {
    /// Makes calls as part of one request, where a peer has such a thing.
    fn within<F: Future + Send>(&self, calls: F) -> impl Future<Output = F::Output> + Send {
        calls
    }

    /// An item, which is there at once.
    fn get(&self, id: u64, size: u32) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// A call that waits for a millisecond.
    fn sleep(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// A call that works for a millisecond.
    fn burn(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Makes a peer's calls, as they are asked for.
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

/// Measures `peer`, whose processes `servers` are, with this one as its caller.
///
/// # Errors
///
/// When calls fail.
pub async fn measure(peer: impl Peer, asked: Asked, servers: &[u32]) -> anyhow::Result<Measured> {
    let both = [servers, &[std::process::id()]].concat();
    let calls = Calls { peer: Arc::new(peer), asked };
    Measured::of(&load::drive(calls, asked.plan, &both, |_| {}).await?)
}
