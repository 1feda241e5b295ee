//! A bad day: the shop, in one process and split, while it is flooded, while clients and peers keep what they
//! are given and take nothing, and while a module that others depend on fails.
//!
//! Honest requests go on beside it. They are compared with what they take while the same flood goes to a
//! program that only reads it, so that what counts is what the shop makes of a flood, and not that a
//! processor is shared.

mod aim;
mod bodies;
mod connections;
mod hellos;
mod honest;
mod kind;
mod logins;
mod memory;
mod payments;
mod peer;
mod place;
mod refused;
mod reports;
mod sink;
mod table;
mod unread;

pub(crate) use sink::{ARGUMENT as SINK, run as be_a_sink};

use aim::{Aim, BYTES, Tally};
use anyhow::Context as _;
use clap::Parser;
use honest::{Honest, Seen};
use kind::FloodKind;
use load::Spread;
use memory::Watch;
use place::{AbusedShop, Programs, Shape};
use sink::Sink;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use table::{Row, table};
use tokio::{sync::oneshot, time::sleep};

/// Floods the shop, keeps its connections, and has its payments fail, in one process and split; and measures
/// honest requests and memory meanwhile.
#[derive(Debug, Clone, Parser)]
#[command(bin_name = "cargo xtask abuse")]
pub(crate) struct Options {
    /// A short pass on a debug build: fewer connections and requests, each for two seconds.
    #[arg(long)]
    quick: bool,
    /// Only what has this text in its name.
    #[arg(long, default_value = "")]
    only: String,
    /// How often the shop and the program that only reads are flooded in turn. Medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Lists the names.
    #[arg(long)]
    list: bool,
    /// Keeps what was stored and said in this folder.
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
}

/// The p99 of honest requests may be this many times the p99 beside the program that only reads,
const TIMES: f64 = 1.5;
/// or this many milliseconds more.
const MORE_MS: f64 = 20.0;
/// How long after a flood it is seen what memory has stayed.
const LATER: Duration = Duration::from_secs(10);
/// Between two floods.
const REST: Duration = Duration::from_secs(1);
/// What a short pass makes of the connections and requests of a long one, and of its time.
const SIZE: f64 = 0.1;
const SHORT: Duration = Duration::from_secs(2);

/// Does all of it. The result is whether all of it held.
pub(crate) async fn run(options: &Options, folder: &Path) -> anyhow::Result<bool> {
    let kinds: Vec<FloodKind> =
        FloodKind::ALL.into_iter().filter(|kind| kind.name().contains(&options.only)).collect();
    let failing: Vec<payments::Failing> = payments::Failing::ALL
        .into_iter()
        .filter(|failing| failing.name().contains(&options.only))
        .collect();
    if options.list {
        kinds.iter().for_each(|kind| println!("{}", kind.name()));
        failing.iter().for_each(|failing| println!("{}", failing.name()));
        return Ok(true);
    }
    anyhow::ensure!(options.rounds > 0, "at least one round");
    anyhow::ensure!(
        !(kinds.is_empty() && failing.is_empty()),
        "nothing has `{}` in its name: --list lists the names",
        options.only
    );
    enough_files()?;
    println!("{}{}\n", load::machine(), if options.quick { ", a debug build" } else { "" });
    let mut rows = Vec::new();
    let say = |row: Row, rows: &mut Vec<Row>| {
        let Row { under, shape, requests, memory, holds } = &row;
        let holds = if *holds { "" } else { "  DOES NOT HOLD" };
        println!("{under} ({shape}): {requests}; {memory}{holds}");
        rows.push(row);
    };
    for shape in [Shape::Monolith, Shape::Split] {
        let kinds: Vec<FloodKind> =
            kinds.iter().copied().filter(|kind| kind.shapes().contains(&shape)).collect();
        let failing: Vec<payments::Failing> =
            failing.iter().copied().filter(|failing| failing.shapes().contains(&shape)).collect();
        if kinds.is_empty() && failing.is_empty() {
            continue;
        }
        let programs = Programs::build(shape, folder, !options.quick)?;
        for kind in kinds {
            let row = measure(kind, &programs, options).await.context(kind.name())?;
            say(row, &mut rows);
        }
        for failing in failing {
            let row = payments::measure(failing, &programs, options.quick).await;
            say(row.context(failing.name())?, &mut rows);
        }
    }
    println!("\n{}", table(&rows));
    let all = rows.len();
    let held = rows.iter().filter(|row| row.holds).count();
    println!("{held} of {all} hold");
    Ok(held == all)
}

/// One kind of flood.
async fn measure(kind: FloodKind, programs: &Programs, options: &Options) -> anyhow::Result<Row> {
    let sink = Sink::start().await?;
    let mut place = AbusedShop::start(programs).await?;
    let mut under = kind.title().to_owned();
    let mut answer = 0;
    if kind.wants_a_page() {
        answer = place.fill_a_page().await?;
        under = format!("{under} of {:.2} MB", answer as f64 / 1e6);
    }
    if kind.wants_a_customer() {
        place.register().await?;
    }
    let (size, lasts) = if options.quick { (SIZE, SHORT) } else { (1.0, kind.lasts()) };
    let rounds = if options.quick { 1 } else { options.rounds };
    let at_the_shop = Aim {
        gateway: place.gateway,
        peers: place.peers,
        numbers: place.numbers,
        lasts,
        answer,
        size,
        pace: None,
        tally: Tally::default(),
    };
    let (mut shop, mut beside) = (Vec::new(), Vec::new());
    let mut memory = Vec::new();
    let mut did = String::new();
    for round in 0..rounds {
        sleep(REST).await;
        let aim = Aim { tally: Tally::default(), ..at_the_shop.clone() };
        let mut watch = Watch::begin(&place);
        if kind.stops_a_service() {
            place.signal_users("STOP")?;
        }
        let flooding = flood(kind, aim.clone(), &place);
        let seen = watch.during(&mut place, flooding).await?;
        if kind.stops_a_service() {
            place.signal_users("CONT")?;
        }
        shop.push(seen);
        if round == 0 {
            did = aim.tally.to_string();
            let later = if options.quick { SHORT } else { LATER };
            let later = if kind.is_about_memory() { later } else { Duration::ZERO };
            memory = watch.end(&mut place, later).await;
        }
        if memory.iter().any(|(_, memory)| memory.was_killed()) {
            break;
        }
        sleep(REST).await;
        let pace = kind.is_paced().then(|| aim.tally.of(BYTES) as f64 / lasts.as_secs_f64());
        let aim = Aim {
            gateway: sink.address,
            peers: sink.address,
            pace,
            tally: Tally::default(),
            ..at_the_shop.clone()
        };
        if kind.times_without().is_some() {
            beside.push(without(kind, &aim, &place).await?);
            continue;
        }
        let flooding = flood(kind, aim, &place);
        beside.push(flooding.await?);
    }
    Ok(row(kind, &place, under, (&shop, &beside), &memory, &did))
}

fn row(
    kind: FloodKind,
    place: &AbusedShop,
    under: String,
    (shop, beside): (&[Seen], &[Seen]),
    memory: &[(&'static str, memory::Memory)],
    did: &str,
) -> Row {
    let median = |seen: &[Seen], part: f64| {
        let ms = seen.iter().map(|seen| seen.times.quantile(part) as f64 / 1e6);
        Spread::of(ms).map_or(f64::NAN, |spread| spread.median)
    };
    let (p50, p99) = (median(shop, 0.5), median(shop, 0.99));
    let (beside_p50, beside_p99) = (median(beside, 0.5), median(beside, 0.99));
    let failed: u64 = shop.iter().map(|seen| seen.failed).sum();
    let asked: u64 = shop.iter().map(|seen| seen.asked).sum();
    let mut requests = format!(
        "p50 {p50:.1} ms, p99 {p99:.1} ms (beside: {beside_p50:.1}, {beside_p99:.1}); {failed} of \
         {asked} failed"
    );
    if let Some(failure) = shop.iter().find_map(|seen| seen.failure.as_ref()) {
        requests = format!("{requests} (first: {failure})");
    }
    requests = format!("{requests}; {did}");
    let memory_holds = !kind.is_about_memory() || memory.iter().all(|(_, memory)| memory.holds());
    let shown = memory.iter().take(if kind.is_about_memory() { 2 } else { 1 });
    let memory: Vec<String> =
        shown.map(|(process, memory)| format!("{process} {memory}")).collect();
    // A comparison with nothing does not hold.
    let bound = match kind.times_without() {
        Some(times) => times * beside_p99,
        None => bound(beside_p99),
    };
    let holds = p99 <= bound && failed == 0 && memory_holds;
    Row { under, shape: place.shape.name(), requests, memory: memory.join("; "), holds }
}

/// What the p99 may be, in milliseconds, where it is this beside the program that only reads.
fn bound(beside_p99: f64) -> f64 {
    (TIMES * beside_p99).max(beside_p99 + MORE_MS)
}

/// Makes honest requests without a flood.
fn without(
    kind: FloodKind,
    aim: &Aim,
    place: &AbusedShop,
) -> impl Future<Output = anyhow::Result<Seen>> + use<> {
    let honest = Honest::new(kind.mix(), place);
    let lasts = aim.lasts;
    let asking = on_a_thread(async move || anyhow::Ok(honest.ask(lasts, || ()).await));
    async move { asking.await? }
}

/// Floods while honest requests are made. Each has a thread of its own, so that neither waits for the
/// other but for a processor.
fn flood(
    kind: FloodKind,
    aim: Aim,
    place: &AbusedShop,
) -> impl Future<Output = anyhow::Result<Seen>> + use<> {
    let honest = Honest::new(kind.mix(), place);
    let lasts = aim.lasts;
    let (begin, begun) = oneshot::channel();
    let asking =
        on_a_thread(async move || anyhow::Ok(honest.ask(lasts, || _ = begin.send(())).await));
    let flooding = on_a_thread(async move || {
        begun.await.context("no honest request was made")?;
        // Most floods go on until they are ended.
        match tokio::time::timeout(lasts, kind.flood(aim)).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    });
    async move {
        let (asked, flooded) = tokio::join!(asking, flooding);
        flooded?.context("the flood")?;
        asked?
    }
}

/// Does this on a thread, and a runtime, of its own.
fn on_a_thread<T: Send + 'static, F: Future<Output = anyhow::Result<T>>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> tokio::task::JoinHandle<anyhow::Result<T>> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work())
    })
}

/// Files that a process may have open, as far as these floods want them.
fn enough_files() -> anyhow::Result<()> {
    const WANTED: u64 = 4096;
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    anyhow::ensure!(
        soft.is_none_or(|soft| soft >= WANTED),
        "a process may open too few files here: run `ulimit -n {WANTED}` first"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_larger_of_two_and_nothing_holds_without_a_comparison() {
        assert!(bound(2.0) == 22.0 && bound(100.0) == 150.0);
        assert!(bound(f64::NAN).is_nan(), "nothing is below it");
    }
}
