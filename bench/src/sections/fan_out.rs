//! One request that asks four modules, over HTTP.

use super::{
    Bench, ratio,
    running::{Application, Running, best},
};
use crate::{
    fan_out::{MODULES, Page, Part},
    measured::Measured,
    part,
    process::{Where, free_port},
};
use bytes::Bytes;
use hyper::Request;
use load::{Caller, Load, Plan, http::Pool};
use std::sync::Arc;

pub(super) const TITLE: &str = "One request that asks four modules, over HTTP, 32 requests at once";

/// The number of requests in flight.
const REQUESTS: usize = 32;

/// The Monolift application. `process_of` places each module.
async fn ours(name: &str, process_of: impl Fn(&str) -> &str) -> anyhow::Result<Running> {
    let modules = [&MODULES[..], &["pages"]].concat();
    let app = Application::new("fan", "front", &modules, |module| match module {
        "pages" => "front",
        module => process_of(module),
    })?;
    let Application { manifest, processes, at } = app;
    let part = |process| Part::Ours { manifest: manifest.clone(), process };
    Running::start(name, at, processes.into_iter().map(part).map(part::Part::FanOut)).await
}

/// axum in front of tonic services, written by hand.
async fn services(connections: usize) -> anyhow::Result<Running> {
    let (mut parts, mut services) = (Vec::new(), Vec::new());
    for module in MODULES {
        let at = Where(free_port()?);
        services.push(at.clone());
        parts.push(Part::Service(module.to_owned(), at));
    }
    let at = Where(free_port()?);
    parts.push(Part::Front(at.clone(), services, connections));
    let several = if connections == 1 { "connection" } else { "connections" };
    let name = format!("by hand, tonic services, {connections} {several} to each");
    Running::start(name, at, parts.into_iter().map(part::Part::FanOut)).await
}

async fn measure(running: &Running, plan: Plan) -> anyhow::Result<Measured> {
    let caller = Browser(Arc::new(Pool::new(running.at.0.clone(), REQUESTS)));
    let plan = Plan { load: Load::Closed(REQUESTS), timed: 1, ..plan };
    Measured::of(&load::drive(caller, plan, &running.ids()?, |_| {}).await?)
}

/// Requests one page after the other.
#[derive(Clone)]
struct Browser(Arc<Pool>);

impl Caller for Browser {
    async fn call(&self, at: u64) -> anyhow::Result<Option<usize>> {
        let id = at % 1_000;
        let request = Request::get(format!("/pages/{id}")).header("host", "bench");
        let answer = self.0.send(request.body(Bytes::new())?).await?;
        anyhow::ensure!(answer.status() == 200, "{}", answer.status());
        let page: Page = serde_json::from_slice(answer.body())?;
        anyhow::ensure!(page.title.id == id, "another page");
        Ok(Some(0))
    }
}

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let plan = bench.pace.plan;
    let best = best(services, async |running| measure(running, plan).await).await?;
    let at = Where(free_port()?);
    let axum = part::Part::FanOut(Part::Axum(at.clone()));
    let mut ways = vec![
        ours("Monolift, monolith", |_| "front").await?,
        Running::start("by hand, one axum program", at, [axum]).await?,
        ours("Monolift, split", |module| module).await?,
    ];
    ways.extend(best);
    let measured = bench.rounds(TITLE, &ways, async |way| measure(way, plan).await).await?;
    bench.table(TITLE, &ways, &measured);
    if let [_, _, split, services] = &measured[..] {
        let rounds = ratio(split, services, |measured| measured.throughput);
        bench.report.ratio("fanout_split_vs_tonic", rounds);
    }
    Ok(())
}
