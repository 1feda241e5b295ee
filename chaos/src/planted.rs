//! Whether the checks find mistakes in a shop at work: one is planted after the other, a storm raised for
//! each, and something has to be wrong after it. After such a storm without a mistake, nothing may be.
//!
//! They are in a build with `--cfg planted` only, which `cargo xtask chaos --planted` makes; the framework's
//! `planted` says where.

use crate::{
    Options,
    shop::Shop,
    storm::{Ended, LONGEST_MS, Plan, USUAL_MS, storm},
};
use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

/// The mistakes, and for how long most of what fails has to fail for them to show, in milliseconds.
const MISTAKES: [(&str, u64); 14] = [
    // A request that may have been done is made again, whatever it asks for.
    ("retries-any-method", USUAL_MS),
    // A connection that was lost with a call on it is taken for one that never carried it.
    ("lost-is-not-sent", USUAL_MS),
    // The same, towards the caller, who hears that nothing was begun.
    ("lost-is-undone", USUAL_MS),
    // A caller waits for its answer, however late.
    ("callers-wait-on", 2 * LONGEST_MS),
    // A late answer goes to whoever calls by then.
    ("answers-go-astray", LONGEST_MS),
    // A connection that was lost is not made again.
    ("connects-once", USUAL_MS),
    // Durable work is acknowledged before what it does is committed.
    ("acknowledges-first", USUAL_MS),
    // Durable work that has failed is not tried again.
    ("failed-is-done", USUAL_MS),
    // A dead worker's pieces stay its own.
    ("leases-never-end", USUAL_MS),
    // The key by which a client repeats its request is not passed on.
    ("keys-are-lost", USUAL_MS),
    // An event is noted as handled in a transaction of its own, before its effect.
    ("inbox-apart", USUAL_MS),
    // An event that is delivered again has its effect again.
    ("inbox-forgets", USUAL_MS),
    // Events are read by their numbers, each once.
    ("outbox-by-id", USUAL_MS),
    // An event is acknowledged before its effect is committed.
    ("event-acknowledged-first", USUAL_MS),
];
/// How long each storm is, and how many there may be for a mistake.
const LASTS: Duration = Duration::from_secs(30);
const TRIES: u64 = 5;

pub(crate) async fn run(options: &Options, folder: &Path) -> anyhow::Result<bool> {
    let how = "`cargo xtask chaos --planted` makes one that has";
    anyhow::ensure!(cfg!(planted), "this build has no mistakes in it: {how}");
    let mut shop = Shop::start(folder, false).await?;
    let start = Instant::now();
    let chosen = MISTAKES.iter().filter(|(mistake, _)| mistake.contains(&options.only));
    let chosen: Vec<_> = chosen.collect();
    let mut false_alarms = 0;
    for usual_ms in chosen.iter().map(|(_, usual_ms)| *usual_ms).collect::<BTreeSet<_>>() {
        let found = raise(&mut shop, options, None, usual_ms, options.seed).await?;
        let (passed, count) = (start.elapsed().as_secs(), found.len());
        println!("{passed:>4} s: no mistake, up to {usual_ms} ms: {count} violations");
        found.iter().take(5).for_each(|violation| println!("        {violation}"));
        false_alarms += count;
    }
    let mut missed = 0;
    for &&(mistake, usual_ms) in &chosen {
        let mut found = None;
        for seed in options.seed..options.seed + TRIES {
            let violations = raise(&mut shop, options, Some(mistake), usual_ms, seed).await?;
            if let Some(violation) = violations.into_iter().next() {
                found = Some(violation);
                break;
            }
        }
        missed += usize::from(found.is_none());
        let found = found.unwrap_or_else(|| format!("not found in {TRIES} storms"));
        println!("{:>4} s: {mistake}: {found}", start.elapsed().as_secs());
    }
    println!("{} mistakes planted, {missed} missed", chosen.len());
    Ok(missed == 0 && false_alarms == 0)
}

/// What is wrong after a storm over a shop that makes this mistake.
async fn raise(
    shop: &mut Shop,
    options: &Options,
    mistake: Option<&'static str>,
    usual_ms: u64,
    seed: u64,
) -> anyhow::Result<Vec<String>> {
    shop.begin_anew(mistake)?;
    let plan = Plan {
        kills: u64::MAX,
        operations: u64::MAX,
        lasts: LASTS,
        clients: options.clients,
        seed,
        usual_ms,
        says: false,
    };
    let Ended { violations, .. } = storm(shop, &plan).await?;
    Ok(violations)
}
