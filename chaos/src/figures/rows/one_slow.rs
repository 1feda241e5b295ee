//! The promise: one replica ten times slower.

use super::*;

pub(in crate::figures) const TITLE: &str = "one replica ten times slower";
const RATE: u64 = 500;

pub(in crate::figures) async fn measure() -> anyhow::Result<Promise> {
    let mut lines = Vec::new();
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let all = replicas(3, 5 * MS).await?;
        let client = all.client(Retries::default());
        reads(&client, 100, SECOND).await?;
        let p99 = |samples: Vec<Sample>| quantile(samples.iter().map(|one| one.took), 0.99);
        let healthy = p99(reads(&client, RATE, 10 * SECOND).await?);
        all.ways[0].takes.store(50_000, Relaxed);
        // The client learns the replica's new latency during this second, which is not measured.
        reads(&client, RATE, SECOND).await?;
        let before = all.calls();
        let slow = p99(reads(&client, RATE, 10 * SECOND).await?);
        let calls: Vec<u64> =
            all.calls().iter().zip(before).map(|(now, then)| now - then).collect();
        let ratio = slow.as_secs_f64() / healthy.as_secs_f64();
        lines.push(format!(
            "p99 {healthy:.2?} with three healthy ones, then {slow:.2?}: {ratio:.2} ×, of calls {calls:?}"
        ));
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    Ok(Promise { lines, is_kept: ratios[1] <= 1.5 })
}
