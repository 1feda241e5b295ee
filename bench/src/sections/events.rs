//! Events: how many a second, how soon, with many that wait, and what publishing costs.

use super::{Bench, ratio, running::Folder};
use crate::{
    events::{ByHand, Idle, Ours, Postgres, Server},
    process::Pace,
    report::{Row, Table},
};
use load::{Spread, processes};
use monolift::testing::Mode;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::time::sleep;

pub(super) const TITLE: &str = "Events from one module to another";

/// How much is measured.
struct Counts {
    handled: u64,
    published: u64,
    ticks: i64,
    waiting: u64,
}

impl Counts {
    fn of(pace: &Pace) -> Self {
        match pace.rounds {
            1 => Self { handled: 200, published: 20, ticks: 5, waiting: 2_000 },
            2 => Self { handled: 5_000, published: 500, ticks: 100, waiting: 100_000 },
            _ => Self { handled: 20_000, published: 2_000, ticks: 300, waiting: 1_000_000 },
        }
    }
}

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let counts = Counts::of(&bench.pace);
    let folder = Folder::new("events")?;
    let postgres = Postgres::start()?;
    let sqlite = Server::Sqlite(&folder.0);
    let keys = ["events_vs_by_hand_sqlite", "events_publish_vs_by_hand_sqlite"];
    all_of(bench, "SQLite", &sqlite, &counts, keys).await?;
    match &postgres {
        None => println!("PostgreSQL is not installed: its rows are left out"),
        Some(postgres) => {
            let keys = ["events_vs_by_hand_postgres", "events_publish_vs_by_hand_postgres"];
            all_of(bench, "PostgreSQL", &Server::Postgres(postgres), &counts, keys).await?;
        }
    }
    Ok(())
}

/// A name that no database has yet.
fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("e{}", NEXT.fetch_add(1, Relaxed))
}

async fn all_of(
    bench: &mut Bench,
    on: &str,
    server: &Server<'_>,
    counts: &Counts,
    [handling, publishing]: [&'static str; 2],
) -> anyhow::Result<()> {
    let ways = ["Monolift", "by hand, an outbox polled in batches of 100"];
    let title = format!("{TITLE}, {on}: handled and acknowledged");
    let handled = bench.rounds(&title, &ways, async |way| {
        let (name, count) = (fresh(), counts.handled);
        let took = if *way == ways[0] {
            let ours = Ours::new(server, &name).await?;
            ours.register().await?;
            ours.fill(count).await?;
            ours.drain(count).await?
        } else {
            let theirs = ByHand::new(server, &name).await?;
            theirs.fill(count).await?;
            let begun = Instant::now();
            theirs.drain().await?;
            begun.elapsed()
        };
        Ok(count as f64 / took.as_secs_f64())
    });
    let handled = handled.await?;
    bench.report.ratio(handling, ratio(&handled[0], &handled[1], |rate| *rate));
    add(bench, title, "events/s", &ways, &handled);

    let title = format!("{TITLE}, {on}: a transaction with an INSERT and one event");
    let published = bench.rounds(&title, &ways, async |way| {
        let (name, count) = (fresh(), counts.published);
        let (ours, theirs);
        let begun = if *way == ways[0] {
            ours = Ours::new(server, &name).await?;
            ours.register().await?;
            let begun = Instant::now();
            for number in 0..count {
                ours.publish(number).await?;
            }
            begun
        } else {
            theirs = ByHand::new(server, &name).await?;
            let begun = Instant::now();
            for number in 0..count {
                theirs.publish(number).await?;
            }
            begun
        };
        Ok(begun.elapsed().as_secs_f64() * 1e6 / count as f64)
    });
    let published = published.await?;
    bench.report.ratio(publishing, ratio(&published[0], &published[1], |micros| *micros));
    add(bench, title, "µs", &ways, &published);

    let ways = [("in one process", Mode::InProcess), ("split", Mode::OverAConnection)];
    let title = format!("{TITLE}, {on}: from commit to effect, idle");
    let mut rows = Vec::new();
    for (name, mode) in ways {
        let mut idle = Idle::start(server, &fresh(), mode).await?;
        let mut micros = Vec::new();
        for tick in 0..counts.ticks {
            // At different times of what looks now and then.
            sleep(Duration::from_millis(20 + tick.unsigned_abs() * 7 % 31)).await;
            micros.push(idle.tick(tick).await?.as_secs_f64() * 1e6);
        }
        idle.stop().await;
        micros.sort_by(f64::total_cmp);
        let at = |share: f64| Spread::of([micros[((micros.len() - 1) as f64 * share) as usize]]);
        rows.push(Row { name: name.to_owned(), cells: vec![at(0.5), at(0.99)] });
    }
    bench.add(Table { title, columns: vec!["p50 µs", "p99 µs"], rows });

    let title = format!("{TITLE}, {on}: the listener is back, and events wait");
    let mut rows = Vec::new();
    for waiting in [counts.handled, counts.waiting] {
        let ours = Ours::new(server, &fresh()).await?;
        ours.register().await?;
        ours.pile_up(waiting).await?;
        let before = resident()?;
        let count = counts.handled.min(waiting);
        let took = ours.handle(count).await?;
        let grown = resident()?.saturating_sub(before);
        let cells = [took.as_secs_f64() * 1e6 / count as f64, grown as f64 / (1024.0 * 1024.0)];
        let cells = cells.into_iter().map(|cell| Spread::of([cell])).collect();
        rows.push(Row { name: format!("{waiting} wait, {count} are handled"), cells });
    }
    bench.add(Table { title, columns: vec!["µs an event", "MiB more memory"], rows });
    Ok(())
}

/// The memory of this process.
fn resident() -> anyhow::Result<u64> {
    Ok(processes::memory_of(std::process::id())?)
}

fn add(
    bench: &mut Bench,
    title: String,
    column: &'static str,
    ways: &[&str],
    figures: &[Vec<f64>],
) {
    let row = |(way, rounds): (&&str, &Vec<f64>)| Row {
        name: (*way).to_owned(),
        cells: vec![Spread::of(rounds.iter().copied())],
    };
    let rows = ways.iter().zip(figures).map(row).collect();
    bench.add(Table { title, columns: vec![column], rows });
}
