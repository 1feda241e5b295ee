//! What the calling and the serving side promise, measured: over TCP on loopback, in real time, with
//! callers and called in one process.

mod nodes;
mod rows;

use nodes::NodeError;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// Measures all whose title has `only` in it. The result is whether all promises are kept.
pub(crate) async fn run(only: &str) -> anyhow::Result<bool> {
    let mut kept = true;
    println!("{}\n", load::machine());
    macro_rules! rows {
        ($($row:ident),*) => {$(
            if rows::$row::TITLE.contains(only) {
                println!("## {}", rows::$row::TITLE);
                let Promise { lines, is_kept } = rows::$row::measure().await?;
                lines.iter().for_each(|line| println!("  {line}"));
                println!("  {}\n", if is_kept { "kept" } else { "NOT KEPT" });
                kept &= is_kept;
            }
        )*};
    }
    rows!(deadlines, four_hops, one_dead, half_failing, one_slow, more_replicas, overload);
    Ok(kept)
}

/// What was measured, and whether it is what was promised.
pub(crate) struct Promise {
    lines: Vec<String>,
    is_kept: bool,
}

/// One call.
#[derive(Debug, Clone)]
struct Sample {
    /// When it was due, from the beginning on.
    at: Duration,
    took: Duration,
    error: Option<monolift::CallErrorKind>,
}

/// Calls at this rate, whether or not the ones before have ended.
async fn open_loop<F, C>(per_second: u64, time: Duration, call: F) -> anyhow::Result<Vec<Sample>>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<(), NodeError>> + Send,
{
    const TICK: Duration = Duration::from_millis(1);
    let call = Arc::new(call);
    let start = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut made = 0;
    let mut calls = Vec::new();
    while start.elapsed() < time {
        ticks.tick().await;
        let due = (start.elapsed().as_secs_f64() * per_second as f64) as u64;
        for _ in made..due {
            let call = Arc::clone(&call);
            calls.push(tokio::spawn(async move {
                let began = Instant::now();
                let error = call().await.err().map(|error| error.kind());
                Sample { at: began - start, took: began.elapsed(), error }
            }));
        }
        made = due;
    }
    let mut samples = Vec::new();
    for call in calls {
        samples.push(call.await?);
    }
    Ok(samples)
}

/// The time that this part of them took at most.
fn quantile(times: impl IntoIterator<Item = Duration>, part: f64) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort();
    let at = ((times.len() as f64 * part).ceil() as usize).clamp(1, times.len().max(1)) - 1;
    times.get(at).copied().unwrap_or_default()
}
