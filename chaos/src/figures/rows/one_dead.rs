//! The promise: one of three replicas dead, at 1,000 calls/s.

use super::*;

pub(in crate::figures) const TITLE: &str = "one of three replicas dead, at 1,000 calls/s";
const RATE: u64 = 1_000;
const DIES: Duration = SECOND;
const BACK: Duration = Duration::from_secs(11);
const TIME: Duration = Duration::from_secs(16);

pub(in crate::figures) async fn measure() -> anyhow::Result<Promise> {
    let mut promise = Promise { lines: Vec::new(), is_kept: true };
    let mut all = replicas(3, 2 * MS).await?;
    let client = all.client(Retries::default());
    reads(&client, 100, SECOND).await?;
    let calling = tokio::spawn(async move { calls(Method::Write, &client, RATE, TIME).await });
    sleep(DIES).await;
    drop(all.servers[0].take());
    sleep(BACK - DIES).await;
    let before = all.ways[0].calls();
    let address = all.addresses[0].clone();
    all.servers[0] = Some(serve_at(&address, &all.ways[0], Limits::default()).await?.0);
    let back = Instant::now();
    while all.ways[0].calls() == before && back.elapsed() < 5 * SECOND {
        sleep(MS).await;
    }
    let back = back.elapsed();
    let samples = calling.await??;
    let failed = |from: Duration, to: Duration| {
        let within = samples.iter().filter(|one| (from..to).contains(&one.at));
        let (all, failed): (Vec<_>, Vec<_>) =
            (within.clone().collect(), within.filter(|one| one.error.is_some()).collect());
        (failed.len(), all.len())
    };
    let (at_once, _) = failed(DIES, DIES + 2 * SECOND);
    let (after, of) = failed(DIES + 2 * SECOND, TIME);
    promise.lines.push(format!(
        "by a method that is not idempotent: {at_once} errors in the first 2 s, then {after} of \
         {of} ({:.3} %); in use again {back:.2?} after its return",
        percent(after, of)
    ));
    promise.is_kept = percent(after, of) <= 0.1 && back <= 2 * SECOND;
    Ok(promise)
}
