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
    let of = |way| &measured[ways.iter().position(|one| *one == way).expect("it is measured")];
    let over = |way, other, figure: fn(&Cost) -> f64| {
        let rounds = of(way).iter().zip(of(other));
        rounds.map(|(way, other)| figure(way) - figure(other)).collect::<Vec<_>>()
    };
    let nanos = |cost: &Cost| cost.nanos;
    let report = &mut bench.report;
    report.ratio("in_process_over_dyn_ns", over(Way::Monolift, Way::Dynamic, nanos));
    let allocations = over(Way::Monolift, Way::Dynamic, |cost| cost.allocations);
    report.ratio("in_process_allocs_over_dyn", allocations);
    report.ratio("in_process_recorded_over_dyn_ns", over(Way::Recorded, Way::Dynamic, nanos));
    let rules = bench.rounds(TITLE, &["a rule"], async |_| Ok(calling.rule(calls).await)).await?;
    bench.report.ratio("in_process_rule_ns", rules.concat());
    Ok(())
}
