//! The promise: a replica failing half its calls.

use super::*;

pub(in crate::figures) const TITLE: &str = "a replica failing half its calls";

pub(in crate::figures) async fn measure() -> anyhow::Result<Promise> {
    let all = replicas(3, 2 * MS).await?;
    let client = all.client(Retries { attempts: 1, ..Retries::default() });
    reads(&client, 100, SECOND).await?;
    all.ways[0].fails.store(2, Relaxed);
    let before = all.calls();
    let samples = reads(&client, 300, 20 * SECOND).await?;
    let after = all.calls();
    let last = samples.iter().filter(|one| one.error.is_some()).map(|one| one.at);
    let seconds: Vec<usize> =
        (0..20).map(|second| last.clone().filter(|at| at.as_secs() == second).count()).collect();
    let shares: Vec<u64> = after.iter().zip(&before).map(|(now, then)| now - then).collect();
    // Once it is out there is a probe now and then: less than one call in a hundred.
    let late: usize = seconds[10..].iter().sum();
    let lines = vec![
        format!("errors in each second: {seconds:?}"),
        format!("calls that each has had: {shares:?}"),
    ];
    Ok(Promise { lines, is_kept: late <= samples.len() / 200 })
}
