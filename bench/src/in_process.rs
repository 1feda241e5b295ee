//! The ways to call a function inside a process.

use crate::{
    allocations,
    remote::{Items, ItemsClient, ItemsError, ItemsHere, in_one_process},
};
use load::Spread;
use monolift::{Context, Principal, app::RunningApp};
use monolift_call::call::{
    CallSettings,
    record::{Entry, Part, Recorder, Recording},
};
use std::{hint::black_box, sync::Arc, time::Instant};

/// One of the ways to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// An async function.
    Direct,
    /// A trait object, by async-trait.
    Dynamic,
    /// Monolift's client, outside of any request that is recorded.
    Monolift,
    /// Monolift's client, in requests of a hundred calls that are recorded, as a gateway's are.
    Recorded,
    /// Monolift's client, in a request whose trace is sampled.
    Sampled,
    /// Monolift's client on behalf of a user.
    ForUser,
    /// The same, of a method that only users may call.
    Ruled,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 7] = [
        Self::Direct,
        Self::Dynamic,
        Self::Monolift,
        Self::Recorded,
        Self::Sampled,
        Self::ForUser,
        Self::Ruled,
    ];
}

impl AsRef<str> for Way {
    fn as_ref(&self) -> &str {
        match self {
            Self::Direct => "an async fn",
            Self::Dynamic => "`Arc<dyn Trait>` with async-trait",
            Self::Monolift => "Monolift, not in a recorded request",
            Self::Recorded => "Monolift, in recorded requests of 100 calls",
            Self::Sampled => "Monolift, in a sampled request",
            Self::ForUser => "Monolift, for a user",
            Self::Ruled => "Monolift, for a user, of a method with `#[auth(user)]`",
        }
    }
}

/// The cost of a call.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Nanoseconds per call.
    pub nanos: f64,
    /// Allocations per call.
    pub allocations: f64,
}

impl Cost {
    /// The cost of one call where `calls` were measured as one.
    fn of_each(self, calls: u64) -> Self {
        let calls = calls as f64;
        Self { nanos: self.nanos / calls, allocations: self.allocations / calls }
    }
}

/// The calls of a recorded request.
const A_REQUEST: u64 = 100;

/// How many turns calls with and without a rule take in a round.
const TURNS: u64 = 500;

/// Records everything and keeps nothing.
#[derive(Debug)]
struct Drops;

impl Recorder for Drops {
    fn records(&self, _: &Entry) -> bool {
        true
    }

    fn ended(&self, part: Part) {
        black_box(part);
    }
}

/// The values that the calls need.
pub struct Calling {
    items: Arc<dyn Items>,
    client: ItemsClient,
    plain: Context,
    sampled: Context,
    user: Context,
    recorder: Arc<dyn Recorder>,
    _running: RunningApp,
}

async fn count(at: u64) -> Result<u64, ItemsError> {
    Ok(black_box(at) + 1)
}

impl Calling {
    /// Starts the module.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let running = in_one_process().await?;
        let hour = std::time::Duration::from_secs(3600);
        let plain = Context::edge(&CallSettings { deadline: hour, ..CallSettings::default() });
        let mut trace = plain.trace();
        trace.sampled = true;
        let sampled = plain.clone().with_trace(trace);
        let user = plain.clone().with_principal(Principal::user("ada"));
        // Waits until the time-stamp counter of a release build is calibrated.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let client = running.client();
        Ok(Self {
            items: Arc::new(ItemsHere),
            client,
            plain,
            sampled,
            user,
            recorder: Arc::new(Drops),
            _running: running,
        })
    }

    /// Makes `calls` calls of a function that returns a number.
    pub async fn measure(&self, way: Way, calls: u64) -> Cost {
        let monolift = async |at| self.client.count(at).await.unwrap_or(0);
        match way {
            Way::Direct => measure(calls * 4, async |at| count(at).await.unwrap_or(0)).await,
            Way::Dynamic => {
                measure(calls, async |at| self.items.count(at).await.unwrap_or(0)).await
            }
            Way::Monolift => self.plain.clone().scope(measure(calls, monolift)).await,
            Way::Recorded => {
                // The cost of a request is part of that of its calls.
                let request = async |at: u64| {
                    let entry = || Entry::Request { route: "".into() };
                    let (context, end) =
                        Recording::begin(&self.recorder, self.plain.clone(), entry);
                    let calls = async {
                        let mut sum = 0;
                        for call in 0..A_REQUEST {
                            sum += monolift(at + call).await;
                        }
                        sum
                    };
                    let sum = context.scope(calls).await;
                    drop(end);
                    sum
                };
                measure(calls / A_REQUEST, request).await.of_each(A_REQUEST)
            }
            Way::Sampled => self.sampled.clone().scope(measure(calls, monolift)).await,
            Way::ForUser => self.user.clone().scope(measure(calls, monolift)).await,
            Way::Ruled => {
                let ruled = async |at| self.client.count_for_users(at).await.unwrap_or(0);
                self.user.clone().scope(measure(calls, ruled)).await
            }
        }
    }

    /// The nanoseconds that a method's rule adds to a call for a user. The machine's speed varies by more than that within a
    /// second, so calls with and without the rule take short turns, and this is the median difference.
    pub async fn rule(&self, calls: u64) -> f64 {
        let mut differences = Vec::new();
        for _ in 0..TURNS {
            let without = self.measure(Way::ForUser, calls / TURNS).await;
            let with = self.measure(Way::Ruled, calls / TURNS).await;
            differences.push(with.nanos - without.nanos);
        }
        Spread::of(differences).expect("there are turns").median
    }
}

async fn measure(calls: u64, call: impl AsyncFn(u64) -> u64) -> Cost {
    let mut sum = 0u64;
    for at in 0..calls / 10 {
        sum = sum.wrapping_add(call(at).await);
    }
    let (since, before) = (Instant::now(), allocations::on_this_thread());
    for at in 0..calls {
        sum = sum.wrapping_add(call(at).await);
    }
    let (took, made) = (since.elapsed(), allocations::on_this_thread() - before);
    black_box(sum);
    Cost { nanos: took.as_nanos() as f64 / calls as f64, allocations: made as f64 / calls as f64 }
}
