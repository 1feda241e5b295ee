//! The promise: one to three replicas, without a restart.

use super::*;

pub(in crate::figures) const TITLE: &str = "one to three replicas, without a restart";

pub(in crate::figures) async fn measure() -> anyhow::Result<Promise> {
    let all = replicas(3, 2 * MS).await?;
    let file = std::env::temp_dir().join(format!("monolift-addresses-{}", std::process::id()));
    std::fs::write(&file, format!("{}\n", all.addresses[0]))?;
    let client = client::<dyn Node>(Connect::File(file.clone()), Retries::default());
    let alone = reads(&client, 300, 2 * SECOND).await?;
    let lines: Vec<String> = all.addresses.iter().map(Address::to_string).collect();
    std::fs::write(&file, lines.join("\n"))?;
    let joined = reads(&client, 300, 15 * SECOND).await?;
    let before = all.calls();
    let samples = reads(&client, 300, 5 * SECOND).await?;
    std::fs::remove_file(&file)?;
    let shares: Vec<f64> = all
        .calls()
        .iter()
        .zip(&before)
        .map(|(now, then)| percent((now - then) as usize, samples.len()))
        .collect();
    let failed = [alone, joined, samples].concat().iter().filter(|one| one.error.is_some()).count();
    let line = format!("after 15 s each carries {shares:.0?} %; {failed} calls failed");
    let is_kept = failed == 0 && shares.iter().all(|share| *share >= 20.0);
    Ok(Promise { lines: vec![line], is_kept })
}
