//! The promise: four hops, three attempts each, the last one failing for 60 s.

use super::*;

pub(in crate::figures) const TITLE: &str =
    "four hops, three attempts each, the last one failing for 60 s";
const RATE: u64 = 500;

pub(in crate::figures) async fn measure() -> anyhow::Result<Promise> {
    let ways = Ways::new(Duration::ZERO);
    ways.fails.store(1, Relaxed);
    let (servers, first) = chain(&ways).await?;
    let samples = open_loop(RATE, 60 * SECOND, move || {
        let first = first.clone();
        async move { first.read().await }
    })
    .await?;
    drop(servers);
    let amplified = ways.calls() as f64 / samples.len() as f64;
    let line = format!(
        "{} calls at the top, {} at the last one: {amplified:.2} ×",
        samples.len(),
        ways.calls()
    );
    Ok(Promise { lines: vec![line], is_kept: amplified <= 1.3 })
}
