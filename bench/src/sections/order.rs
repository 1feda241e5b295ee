//! The shop's order from end to end over HTTP, until its durable work is done.

use super::{
    Bench, ratio,
    running::{Application, Folder, Running, best},
};
use crate::{
    measured::Measured,
    order::{MODULES, Part, SERVICES},
    part,
    process::{Where, free_port},
};
use anyhow::Context as _;
use bytes::Bytes;
use hyper::{Request, StatusCode};
use load::{Caller, Load, Plan, http::Pool, processes};
use sqlx::{Connection, SqliteConnection};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

pub(super) const TITLE: &str =
    "The shop's order over HTTP, until it is fulfilled, 16 requests at once, SQLite";

/// The number of requests in flight.
const REQUESTS: usize = 16;
/// The minimum time of a measurement. Orders are slow in a debug build.
const LEAST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 300 });
/// How long placed orders may take to be fulfilled.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose tokens the shop takes: its own.
const IDENTITY: &str = "[identity.issuers.shop]\nissuer = \"http://127.0.0.1:8080\"\naudience = \"shop\"\n\
                        jwks = \"/.well-known/jwks.json\"\n";

/// The shop itself. `process_of` places each module.
async fn ours(
    name: &str,
    front: &'static str,
    process_of: impl Fn(&'static str) -> &'static str,
) -> anyhow::Result<Running> {
    let folder = Folder::new(front)?;
    let app = Application::new("shop", front, &MODULES, process_of)?;
    let Application { manifest, processes, at } = app;
    let manifest = manifest + IDENTITY;
    let path = folder.0.clone();
    let part = |process| Part::Ours { manifest: manifest.clone(), process, folder: path.clone() };
    let parts = processes.into_iter().map(part).map(part::Part::Order);
    let running = Running::start(name, at, parts).await?.keeping(folder);
    let product = r#"{"sku": "bench", "name": "Tea", "price": 450, "on_hand": 4000000000}"#;
    let pool = Pool::new(running.at.0.clone(), 1);
    let staff = log_in(&pool, "staff@example.org").await?;
    post(&pool, staff.as_deref(), "/products", product).await?;
    Ok(running)
}

/// The token of a customer. `None` for a program written by hand, which authenticates no one.
async fn log_in(pool: &Pool, email: &str) -> anyhow::Result<Option<Arc<str>>> {
    let session = format!(r#"{{"email": "{email}", "password": "demo-password"}}"#);
    let answer = pool.send(request(None, "/sessions", &session)?).await?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    anyhow::ensure!(answer.status().is_success(), "a log-in was answered {}", answer.status());
    let session: serde_json::Value = serde_json::from_slice(answer.body())?;
    Ok(Some(session["token"].as_str().context("a log-in without a token")?.into()))
}

/// One program, written by hand.
async fn by_hand(
    name: &str,
    folder: &str,
    part: impl FnOnce(Where, std::path::PathBuf) -> Part,
) -> anyhow::Result<Running> {
    let (folder, at) = (Folder::new(folder)?, Where(free_port()?));
    let part = part::Part::Order(part(at.clone(), folder.0.clone()));
    Ok(Running::start(name, at, [part]).await?.keeping(folder))
}

/// axum in front of tonic services, written by hand.
async fn services(connections: usize) -> anyhow::Result<Running> {
    let folder = Folder::new(&format!("services-{connections}"))?;
    let all: Vec<Where> =
        SERVICES.iter().map(|_| free_port().map(Where)).collect::<Result<_, _>>()?;
    let service = |(name, at): (&&str, &Where)| {
        let (name, at, folder) = ((*name).to_owned(), at.clone(), folder.0.clone());
        Part::Service(name, at, all.clone(), connections, folder)
    };
    let mut parts: Vec<Part> = SERVICES.iter().zip(&all).map(service).collect();
    let (at, orders) = (Where(free_port()?), all[SERVICES.len() - 1].clone());
    parts.push(Part::Front(at.clone(), orders, connections));
    let several = if connections == 1 { "connection" } else { "connections" };
    let name = format!("by hand, tonic services, {connections} {several} to each");
    let parts = parts.into_iter().map(part::Part::Order);
    Ok(Running::start(name, at, parts).await?.keeping(folder))
}

fn request(token: Option<&str>, path: &str, body: &str) -> anyhow::Result<Request<Bytes>> {
    let mut request =
        Request::post(path).header("host", "bench").header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    Ok(request.body(Bytes::copy_from_slice(body.as_bytes()))?)
}

async fn post(pool: &Pool, token: Option<&str>, path: &str, body: &str) -> anyhow::Result<()> {
    let answer = pool.send(request(token, path, body)?).await?;
    let (status, text) = (answer.status(), String::from_utf8_lossy(answer.body()));
    anyhow::ensure!(status.is_success(), "{status}: {text}");
    Ok(())
}

/// Orders one pound of tea after the other.
#[derive(Clone)]
struct Customer {
    pool: Arc<Pool>,
    token: Option<Arc<str>>,
    placed: Arc<AtomicU64>,
}

impl Caller for Customer {
    async fn call(&self, _: u64) -> anyhow::Result<Option<usize>> {
        let order = r#"{"user": "demo", "lines": [{"sku": "bench", "quantity": 1}]}"#;
        post(&self.pool, self.token.as_deref(), "/orders", order).await?;
        self.placed.fetch_add(1, Relaxed);
        Ok(Some(0))
    }
}

/// The number of jobs that are not done yet, from the database that has them.
async fn yet_to_do(folder: &Path) -> anyhow::Result<i64> {
    let ours = folder.join("data/orders.db");
    let by_hand = folder.join("orders.sqlite");
    let (file, sql) = if ours.exists() {
        (ours, "SELECT COUNT(*) FROM monolift_work WHERE module = 'orders'")
    } else if by_hand.exists() {
        (by_hand, "SELECT COUNT(*) FROM jobs")
    } else {
        return Ok(0);
    };
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
    let (count,): (i64,) = sqlx::query_as(sql).fetch_one(&mut database).await?;
    database.close().await?;
    Ok(count)
}

/// Places orders for a while and counts the time until the last one is fulfilled. Otherwise a shop
/// that defers its work would seem faster.
async fn measure(running: &Running, plan: Plan) -> anyhow::Result<Measured> {
    let pool = Arc::new(Pool::new(running.at.0.clone(), REQUESTS));
    let token = log_in(&pool, "demo@example.org").await?;
    let customer = Customer { pool, token, placed: Arc::default() };
    let (ids, folder) = (running.ids()?, running.folder().unwrap_or(Path::new("")));
    let (since, before) = (Instant::now(), processes::time_of_all(&ids)?);
    let plan = Plan { load: Load::Closed(REQUESTS), timed: 1, ..plan };
    let outcome = load::drive(customer.clone(), plan, &ids, |_| {}).await?;
    while yet_to_do(folder).await? > 0 {
        anyhow::ensure!(since.elapsed() < PATIENCE, "orders are not fulfilled in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let placed = customer.placed.load(Relaxed) as f64;
    let cpu = processes::time_of_all(&ids)?.saturating_sub(before);
    Ok(Measured {
        throughput: placed / since.elapsed().as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1e6 / placed,
        ..Measured::of(&outcome)?
    })
}

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let plan = bench.pace.plan;
    let plan = Plan { time: plan.time.max(LEAST), ..plan };
    let best = best(services, async |running| measure(running, plan).await).await?;
    let mut ways = vec![
        ours("Monolift, monolith", "monolith", |_| "monolith").await?,
        by_hand("by hand, one axum program", "axum", Part::Axum).await?,
        by_hand("the same with one transaction", "one", Part::OneTransaction).await?,
        ours("Monolift, split", "gateway", |module| module).await?,
    ];
    ways.extend(best);
    let measured = bench.rounds(TITLE, &ways, async |way| measure(way, plan).await).await?;
    bench.table(TITLE, &ways, &measured);
    if let [monolith, axum, one, split, services] = &measured[..] {
        let throughput = |measured: &Measured| measured.throughput;
        let report = &mut bench.report;
        report.ratio("order_monolith_vs_axum", ratio(monolith, axum, throughput));
        report.ratio("order_monolith_vs_axum_one_transaction", ratio(monolith, one, throughput));
        report.ratio("order_split_vs_tonic", ratio(split, services, throughput));
    }
    Ok(())
}
