//! One request that asks four modules, over HTTP.

use super::{Bench, ratio};
use crate::{
    fan_out::{MODULES, Page, Part},
    measured::Measured,
    process::{self, Core, Started, Where, free_port},
};
use bytes::Bytes;
use hyper::Request;
use load::{Caller, Load, Plan, http::Pool};
use std::sync::Arc;

pub(super) const TITLE: &str = "One request that asks four modules, over HTTP, 32 requests at once";

/// Requests at once.
const REQUESTS: usize = 32;

/// The processes of one of the four ways, and where they are asked.
struct Running {
    name: String,
    at: Where,
    processes: Vec<Started>,
}

impl AsRef<str> for Running {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Running {
    async fn start(name: &str, at: Where, parts: Vec<Part>) -> anyhow::Result<Self> {
        let mut processes = Vec::new();
        for part in parts {
            processes.push(Started::serving(&process::Part::FanOut(part), Core::Any).await?);
        }
        Ok(Self { name: name.to_owned(), at, processes })
    }

    /// Monolift's, with each module where `process_of` says.
    async fn ours(name: &str, process_of: impl Fn(&str) -> &str) -> anyhow::Result<Self> {
        let at = Where(free_port()?);
        let mut manifest = "app = \"fan\"\n[modules]\npages = \"front\"\n".to_owned();
        for module in MODULES {
            manifest += &format!("{module} = \"{}\"\n", process_of(module));
        }
        manifest += &format!("[process.front]\nhttp = \"{}\"\n", at.0);
        let mut processes: Vec<&str> = MODULES.iter().map(|&module| process_of(module)).collect();
        processes.retain(|process| *process != "front");
        for process in &processes {
            manifest += &format!("[process.{process}]\nlisten = \"{}\"\n", free_port()?);
        }
        // Those that are called come first.
        processes.push("front");
        let parts = processes
            .iter()
            .map(|&process| Part::Ours { manifest: manifest.clone(), process: process.to_owned() });
        Self::start(name, at, parts.collect()).await
    }

    /// axum before tonic services, by hand.
    async fn services(connections: usize) -> anyhow::Result<Self> {
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
        Self::start(&name, at, parts).await
    }

    async fn measure(&self, plan: Plan) -> anyhow::Result<Measured> {
        let caller = Browser(Arc::new(Pool::new(self.at.0.clone(), REQUESTS)));
        let processes: Vec<u32> =
            self.processes.iter().map(Started::id).collect::<anyhow::Result<_>>()?;
        let plan = Plan { load: Load::Closed(REQUESTS), timed: 1, ..plan };
        Measured::of(&load::drive(caller, plan, &processes, |_| {}).await?)
    }
}

/// Asks for one page after the other.
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
    let mut services: Option<(f64, Running)> = None;
    for connections in [1, 2, 4] {
        let running = Running::services(connections).await?;
        let throughput = running.measure(plan).await?.throughput;
        if services.as_ref().is_none_or(|(most, _)| throughput > *most) {
            services = Some((throughput, running));
        }
    }
    let at = Where(free_port()?);
    let mut ways = vec![
        Running::ours("Monolift, monolith", |_| "front").await?,
        Running::start("by hand, one axum program", at.clone(), vec![Part::Axum(at)]).await?,
        Running::ours("Monolift, split", |module| module).await?,
    ];
    ways.extend(services.map(|(_, running)| running));
    let measured = bench.rounds(TITLE, &ways, async |way| way.measure(plan).await).await?;
    bench.table(TITLE, &ways, &measured);
    if let [_, _, split, services] = &measured[..] {
        let rounds = ratio(split, services, |measured| measured.throughput);
        bench.report.ratio("fanout_split_vs_tonic", rounds);
    }
    Ok(())
}
