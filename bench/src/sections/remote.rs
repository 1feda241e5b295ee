//! Calls of a module in another process, compared with their limit and with other frameworks.

use super::{Bench, ratio, running::Folder};
use crate::{
    measured::{Asked, Measured, Mix},
    part::Part,
    process::{Core, Started, Where},
    remote::{Kind, Socket},
    tls,
};
use axum::{Router, http::StatusCode};
use bytes::Bytes;
use load::{Load, Plan};
use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinSet};

pub(super) const TLS: &str = "Over mutual TLS, over TCP";

pub(super) const OBSERVED: &str = "256 calls in flight, each in a request, over TCP";

pub(super) const SLOW: &str = "One call in 100";

/// The size of an answer, in bytes, unless the size is what is measured.
const SIZE: u32 = 100;

/// The servers of all frameworks on one kind of socket.
struct Servers {
    started: BTreeMap<Kind, (Started, Where)>,
    /// The CPU of the callers.
    callers: Core,
    /// The certificates, if the calls go over mutual TLS.
    tls: Option<Folder>,
}

/// A framework with a number of connections.
#[derive(Debug, Clone)]
struct Way {
    kind: Kind,
    /// `None` for the framework's default.
    connections: Option<usize>,
    name: String,
}

impl AsRef<str> for Way {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Way {
    fn new(kind: Kind, connections: Option<usize>) -> Self {
        let name = match (kind, connections) {
            (kind, None) | (kind @ (Kind::Raw | Kind::RawTokio | Kind::Axum), _) => {
                kind.title().to_owned()
            }
            (kind, Some(1)) => format!("{}, 1 connection", kind.title()),
            (kind, Some(count)) => format!("{}, {count} connections", kind.title()),
        };
        Self { kind, connections, name }
    }
}

impl Servers {
    async fn start(
        kinds: &[Kind],
        socket: Socket,
        cores: [Core; 2],
        tls: Option<Folder>,
    ) -> anyhow::Result<Self> {
        let [servers, callers] = cores;
        let folder = tls.as_ref().map(|folder| folder.0.clone());
        let mut started = BTreeMap::new();
        for &kind in kinds {
            let address = Where(socket.address(kind)?);
            let server =
                Started::serving(&Part::Serve(kind, address.clone(), folder.clone()), servers)
                    .await?;
            started.insert(kind, (server, address));
        }
        Ok(Self { started, callers, tls })
    }

    /// Measures a server from another process.
    async fn measure(&self, way: &Way, asked: Asked) -> anyhow::Result<Measured> {
        let (server, address) = &self.started[&way.kind];
        let tls = self.tls.as_ref().map(|folder| folder.0.clone());
        let (id, connections) = (server.id()?, way.connections);
        let part = Part::Call(way.kind, address.clone(), tls, id, connections, asked);
        Started::new(&part, self.callers)?.hear().await
    }

    /// The number of connections, of 1, 2 and 4, with which the framework answers the most calls.
    async fn best(&self, kind: Kind, asked: Asked) -> anyhow::Result<Way> {
        let mut best: Option<(f64, Way)> = None;
        for connections in [1, 2, 4] {
            let way = Way::new(kind, Some(connections));
            let throughput = self.measure(&way, asked).await?.throughput;
            if best.as_ref().is_none_or(|(most, _)| throughput > *most) {
                best = Some((throughput, way));
            }
        }
        Ok(best.map_or_else(|| Way::new(kind, Some(1)), |(_, way)| way))
    }
}

impl Bench {
    fn asked(&self, load: Load, mix: Mix, size: u32) -> Asked {
        let timed = if load == Load::Closed(1) { 1 } else { 8 };
        Asked { plan: Plan { load, timed, ..self.pace.plan }, mix, size }
    }
}

/// Each process runs on a CPU of its own. If both share a CPU now and then, a call takes a fraction
/// of its usual time, and the comparison depends on luck.
pub(super) async fn one_at_a_time(
    bench: &mut Bench,
    title: &str,
    socket: Socket,
) -> anyhow::Result<()> {
    let mut kinds =
        vec![Kind::Raw, Kind::RawTokio, Kind::Monolift, Kind::Tarpc, Kind::Tonic, Kind::Axum];
    let mut key = "remote_p50_vs_raw_unix";
    if socket == Socket::Tcp {
        kinds.insert(4, Kind::TarpcNodelay);
        key = "remote_p50_vs_raw_tcp";
    }
    let servers = Servers::start(&kinds, socket, [Core::Only(0), Core::Only(1)], None).await?;
    let ways: Vec<Way> = kinds.iter().map(|&kind| Way::new(kind, Some(1))).collect();
    let asked = bench.asked(Load::Closed(1), Mix::Quick, SIZE);
    let measured = bench.rounds(title, &ways, async |way| servers.measure(way, asked).await);
    let measured = measured.await?;
    bench.table(title, &ways, &measured);
    bench.report.ratio(key, ratio(&measured[2], &measured[0], |measured| measured.p50));
    Ok(())
}

pub(super) async fn in_flight(bench: &mut Bench, title: &str, count: usize) -> anyhow::Result<()> {
    let kinds = [Kind::Monolift, Kind::Tarpc, Kind::TarpcNodelay, Kind::Tonic, Kind::Axum];
    let servers = Servers::start(&kinds, Socket::Tcp, [Core::Any; 2], None).await?;
    let asked = bench.asked(Load::Closed(count), Mix::Quick, SIZE);
    let ways = [
        Way::new(Kind::Monolift, None),
        servers.best(Kind::TarpcNodelay, asked).await?,
        servers.best(Kind::Tonic, asked).await?,
        servers.best(Kind::Tarpc, asked).await?,
        Way::new(Kind::Axum, None),
        Way::new(Kind::Monolift, Some(1)),
    ];
    let measured = bench.rounds(title, &ways, async |way| servers.measure(way, asked).await);
    let measured = measured.await?;
    bench.table(title, &ways, &measured);
    if let (256, [ours, tarpc, tonic, ..]) = (count, &measured[..]) {
        let throughput = |measured: &Measured| measured.throughput;
        bench.report.ratio("remote_256_vs_tarpc", ratio(ours, tarpc, throughput));
        bench.report.ratio("remote_256_vs_tonic", ratio(ours, tonic, throughput));
        bench.report.ratio("remote_cpu_vs_tarpc", ratio(ours, tarpc, |measured| measured.cpu));
    }
    Ok(())
}

/// The cost of recording, on both sides and with spans that leave the process.
pub(super) async fn observed(bench: &mut Bench) -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let kinds = [Kind::Monolift, Kind::Observed(None), Kind::Observed(Some(collector.port))];
    let servers = Servers::start(&kinds, Socket::Tcp, [Core::Any; 2], None).await?;
    let asked = bench.asked(Load::Closed(256), Mix::Quick, SIZE);
    let ways = kinds.map(|kind| Way::new(kind, None));
    let measured = bench.rounds(OBSERVED, &ways, async |way| servers.measure(way, asked).await);
    let measured = measured.await?;
    bench.table(OBSERVED, &ways, &measured);
    // A caller gathers a trace after a moment, and a short measurement is over by then.
    let is_short = bench.pace.plan.time < Duration::from_secs(1);
    let batches = collector.batches.load(Relaxed);
    anyhow::ensure!(batches > 0 || is_short, "the collector was sent nothing");
    let cpu = |measured: &Measured| measured.cpu;
    bench.report.ratio("remote_cpu_recorded_vs_not", ratio(&measured[1], &measured[0], cpu));
    bench.report.ratio("remote_cpu_exported_vs_not", ratio(&measured[2], &measured[0], cpu));
    Ok(())
}

/// What takes spans, and forgets them.
struct Collector {
    port: u16,
    batches: Arc<AtomicU64>,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Collector {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let batches = Arc::new(AtomicU64::new(0));
        let taken = Arc::clone(&batches);
        let routes = Router::new().fallback(move |_: Bytes| {
            taken.fetch_add(1, Relaxed);
            std::future::ready(StatusCode::OK)
        });
        let serving = JoinSet::from_iter([axum::serve(listener, routes).into_future()]);
        Ok(Self { port, batches, _serving: serving })
    }
}

/// The cost of encryption, compared with tonic: one call at a time, and many.
pub(super) async fn over_tls(bench: &mut Bench) -> anyhow::Result<()> {
    let folder = Folder::new("tls")?;
    tls::write(&folder.0)?;
    let kinds = [Kind::Monolift, Kind::MonoliftUser, Kind::Tonic];
    let servers = Servers::start(&kinds, Socket::Tcp, [Core::Any; 2], Some(folder)).await?;
    for count in [1, 16, 64, 256] {
        let asked = bench.asked(Load::Closed(count), Mix::Quick, SIZE);
        let ways = match count {
            1 => kinds.map(|kind| Way::new(kind, Some(1))),
            _ => [
                Way::new(Kind::Monolift, None),
                Way::new(Kind::MonoliftUser, None),
                servers.best(Kind::Tonic, asked).await?,
            ],
        };
        let title = format!("{TLS}, {count} in flight");
        let measured = bench.rounds(&title, &ways, async |way| servers.measure(way, asked).await);
        let measured = measured.await?;
        bench.table(&title, &ways, &measured);
    }
    Ok(())
}

pub(super) async fn sizes(
    bench: &mut Bench,
    title: &str,
    size: u32,
    count: usize,
) -> anyhow::Result<()> {
    let kinds = [Kind::Monolift, Kind::TarpcNodelay, Kind::Tonic, Kind::Axum];
    let servers = Servers::start(&kinds, Socket::Tcp, [Core::Any; 2], None).await?;
    let asked = bench.asked(Load::Closed(count), Mix::Quick, size);
    let ways = [
        Way::new(Kind::Monolift, None),
        servers.best(Kind::Tonic, asked).await?,
        servers.best(Kind::TarpcNodelay, asked).await?,
        Way::new(Kind::Axum, None),
    ];
    let measured = bench.rounds(title, &ways, async |way| servers.measure(way, asked).await);
    let measured = measured.await?;
    bench.table(title, &ways, &measured);
    if size > 100_000 {
        let rounds = ratio(&measured[0], &measured[1], |measured| measured.throughput);
        bench.report.ratio("large_vs_tonic", rounds);
    }
    Ok(())
}

pub(super) async fn slow(bench: &mut Bench) -> anyhow::Result<()> {
    let kinds = [Kind::Monolift, Kind::TarpcNodelay, Kind::Tonic];
    let servers = Servers::start(&kinds, Socket::Tcp, [Core::Any; 2], None).await?;
    let mut worst: Vec<f64> = Vec::new();
    for (mix, what) in [(Mix::Sleeps, "sleeps"), (Mix::Burns, "keeps a processor busy")] {
        let closed = bench.asked(Load::Closed(64), mix, SIZE);
        let ways = [
            Way::new(Kind::Monolift, None),
            servers.best(Kind::Tonic, closed).await?,
            servers.best(Kind::TarpcNodelay, closed).await?,
        ];
        let mut peak = f64::INFINITY;
        for way in &ways[..2] {
            peak = peak.min(servers.measure(way, closed).await?.throughput);
        }
        let rate = (peak / 2.0) as u32;
        let asked = bench.asked(Load::Open(rate), mix, SIZE);
        let title = format!("{SLOW} {what} for 1 ms; the others, at {rate} calls/s, over TCP");
        let measured = bench.rounds(&title, &ways, async |way| servers.measure(way, asked).await);
        let measured = measured.await?;
        bench.table(&title, &ways, &measured);
        let rounds = ratio(&measured[0], &measured[1], |measured| measured.p99);
        worst = match worst.is_empty() {
            true => rounds,
            false => worst.iter().zip(&rounds).map(|(one, other)| one.max(*other)).collect(),
        };
    }
    bench.report.ratio("slow_handler_p99_vs_tonic", worst);
    Ok(())
}
