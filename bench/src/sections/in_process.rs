//! A call inside a process: a function, a trait object, and Monolift.

use super::Bench;
use crate::{
    in_process::{self, Cost, Way},
    report::{Row, Table},
};
use load::Spread;

pub(super) const TITLE: &str = "A call within a process";

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let calling = in_process::Calling::start().await?;
    let calls = (bench.pace.plan.time.as_nanos() as u64 / 250).max(1_000);
    let ways = Way::ALL;
    let measured = bench.rounds(TITLE, &ways, async |way| Ok(calling.measure(*way, calls).await));
    let measured = measured.await?;
    let spread = |rounds: &[Cost], figure: fn(&Cost) -> f64| Spread::of(rounds.iter().map(figure));
    let row = |(way, rounds): (&Way, &Vec<Cost>)| Row {
        name: way.as_ref().to_owned(),
        cells: vec![spread(rounds, |cost| cost.nanos), spread(rounds, |cost| cost.allocations)],
    };
    bench.add(Table {
        title: TITLE.to_owned(),
        columns: vec!["ns", "allocations"],
        rows: ways.iter().zip(&measured).map(row).collect(),
    });
    let over = |way: usize, figure: fn(&Cost) -> f64| {
        let rounds = measured[way].iter().zip(&measured[1]);
        rounds.map(|(ours, dynamic)| figure(ours) - figure(dynamic)).collect::<Vec<_>>()
    };
    bench.report.ratio("in_process_over_dyn_ns", over(2, |cost| cost.nanos));
    bench.report.ratio("in_process_allocs_over_dyn", over(2, |cost| cost.allocations));
    bench.report.ratio("in_process_recorded_over_dyn_ns", over(3, |cost| cost.nanos));
    Ok(())
}
