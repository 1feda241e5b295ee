//! A rolling restart: each process is stopped and started again, one behind the other, under load. No
//! request may fail.

use crate::{
    Options, check,
    shop::Shop,
    storm::ready,
    traffic::{Timing, Traffic},
};
use load::Random;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How soon a process is ready that was restarted; and how long it is then left alone before the next one
/// is stopped, which is shorter than the longest pause of those who look for it.
const READY: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn run(options: &Options, folder: &Path) -> anyhow::Result<bool> {
    let mut shop = Shop::start(folder, !options.debug).await?;
    ready(&shop, READY).await?;
    let mut random = Random::new(options.seed);
    let traffic = Traffic::start(&shop.gateways, options.clients, &mut random).await?;
    sleep(PAUSE).await;
    let start = Instant::now();
    for at in 0..shop.replicas.len() {
        let replica = &mut shop.replicas[at];
        replica.stop().await?;
        replica.up()?;
        replica.listens(READY).await?;
        println!("{:>4} s: {} is new", start.elapsed().as_secs(), replica.name());
        sleep(PAUSE).await;
    }
    let seen = traffic.stop().await?;
    let stored = check::Stored::in_folder(&shop.folder);
    let healing = Instant::now();
    while !stored.is_settled().await? && healing.elapsed() < READY {
        sleep(Duration::from_millis(50)).await;
    }
    let violations = check::violations(&seen, &stored.tables().await?);
    let answers = || seen.iter().flat_map(|seen| &seen.answers);
    let failed: Vec<&Timing> =
        answers().filter(|one| one.status.is_none_or(|status| status >= 500)).collect();
    println!(
        "{} processes restarted in {:.0?}: {} requests, {} failed, {} violations",
        shop.replicas.len(),
        start.elapsed(),
        answers().count(),
        failed.len(),
        violations.len()
    );
    for one in failed.iter().take(20) {
        let at = one.began.saturating_duration_since(start);
        println!(
            "  after {at:.3?}, at gateway {}: {:?} after {:.3?}",
            one.gateway, one.status, one.took
        );
    }
    for violation in violations.iter().take(20) {
        println!("  {violation}");
    }
    Ok(failed.is_empty() && violations.is_empty())
}
