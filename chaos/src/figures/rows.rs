//! One promise after the other.

use super::{
    Promise, Sample,
    nodes::{self, Node, NodeClient, Ways, chain, client, serve, serve_at},
    open_loop, quantile,
};
use monolift::{CallErrorKind, Context};
use monolift_manifest::{Address, Connect, Retries};
use monolift_seam::serve::Limits;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// So many replicas, each with its ways, and a client of all of them.
async fn replicas(count: usize, takes: Duration) -> anyhow::Result<Replicas> {
    let mut all = Replicas { servers: Vec::new(), addresses: Vec::new(), ways: Vec::new() };
    for _ in 0..count {
        let ways = Ways::new(takes);
        let (server, address) = serve(&ways, Limits::default()).await?;
        all.servers.push(Some(server));
        all.addresses.push(address);
        all.ways.push(ways);
    }
    Ok(all)
}

struct Replicas {
    servers: Vec<Option<monolift_seam::serve::Server>>,
    addresses: Vec<Address>,
    ways: Vec<Arc<Ways>>,
}

impl Replicas {
    fn client(&self, retries: Retries) -> NodeClient {
        client::<dyn Node>(Connect::Addresses(self.addresses.clone()), retries)
    }

    fn calls(&self) -> Vec<u64> {
        self.ways.iter().map(|ways| ways.calls()).collect()
    }
}

/// Which method is called: one that may be called twice, or one that may not.
#[derive(Clone, Copy)]
enum Method {
    Read,
    Write,
}

async fn calls(
    method: Method,
    client: &NodeClient,
    rate: u64,
    time: Duration,
) -> anyhow::Result<Vec<Sample>> {
    let client = client.clone();
    open_loop(rate, time, move || {
        let client = client.clone();
        async move {
            match method {
                Method::Read => client.read().await,
                Method::Write => client.write().await,
            }
        }
    })
    .await
}

async fn reads(client: &NodeClient, rate: u64, time: Duration) -> anyhow::Result<Vec<Sample>> {
    calls(Method::Read, client, rate, time).await
}

pub(super) mod deadlines {
    use super::*;
    use crate::{
        proxy::{Proxy, Weather},
        shop::free_ports,
    };
    use load::Random;
    use monolift_call::link::Interface;
    use monolift_seam::wire::{Bounds, Interfaces, Listener, Peer, Served, receive};
    use std::net::{Ipv4Addr, SocketAddr};
    use tokio::io::AsyncReadExt as _;

    pub(in super::super) const TITLE: &str =
        "100,000 calls to peers that are stopped, silent, cut or full";
    const CALLS: usize = 100_000;
    const AT_ONCE: usize = 64;
    const LONGEST_MS: u64 = 400;

    pub(in super::super) async fn measure() -> anyhow::Result<Promise> {
        let full = Limits { running: 8, waiting: 8, ..Limits::default() };
        let mut calling = Vec::new();
        for (peer, weather) in [
            ("stopped", Some(Weather::Frozen)),
            ("cut", Some(Weather::Cut)),
            ("full", None),
            ("silent", None),
        ] {
            let ways = Ways::new(60 * SECOND);
            calling.push(tokio::spawn(async move {
                let (server, address) = match peer {
                    "silent" => (None, stay_silent().await?),
                    "full" => {
                        let (server, address) = serve(&ways, full).await?;
                        (Some(server), address)
                    }
                    _ => {
                        let (server, address) = serve(&ways, Limits::default()).await?;
                        (Some(server), address)
                    }
                };
                let way: SocketAddr = (Ipv4Addr::LOCALHOST, free_ports(1)?).into();
                let proxy = Proxy::start(way, address.to_string().parse()?).await?;
                let client =
                    client::<dyn Node>(Address::Tcp(way.to_string()).into(), Retries::default());
                // A connection first, while there is one to be had.
                let first = Context::until(Instant::now() + 100 * MS);
                let _ = first.scope(client.write()).await;
                if let Some(weather) = weather {
                    proxy.set(weather);
                }
                let seen = call_all(client).await?;
                drop(server);
                let late = ways.late.lock().expect("nobody panics with it").clone();
                anyhow::Ok((peer, seen, late))
            }));
        }
        let mut promise = Promise { lines: Vec::new(), is_kept: true };
        for calls in calling {
            let (peer, seen, late) = calls.await??;
            let (most, work) = (quantile(seen.iter().copied(), 0.999), quantile(late, 1.0));
            promise.lines.push(format!(
                "{peer}: {} calls; p99.9 ends {most:.1?} after its deadline, the last one {:.1?}; \
                 work stopped at most {work:.1?} after it",
                seen.len(),
                quantile(seen.iter().copied(), 1.0),
            ));
            promise.is_kept &= most <= 50 * MS && work <= 100 * MS;
        }
        Ok(promise)
    }

    /// How long after its deadline each call ended.
    async fn call_all(client: NodeClient) -> anyhow::Result<Vec<Duration>> {
        let each = CALLS / 4 / AT_ONCE + 1;
        let calling = (0..AT_ONCE as u64).map(|number| {
            let (client, mut random) = (client.clone(), Random::new(number));
            tokio::spawn(async move {
                let mut late = Vec::new();
                for _ in 0..each {
                    let deadline = Instant::now() + MS * (1 + random.below(LONGEST_MS) as u32);
                    // However it ends.
                    let _ = Context::until(deadline).scope(client.write()).await;
                    late.push(Instant::now().saturating_duration_since(deadline));
                    sleep(MS * random.below(50) as u32).await;
                }
                late
            })
        });
        let calling: Vec<_> = calling.collect();
        let mut late = Vec::new();
        for caller in calling {
            late.extend(caller.await?);
        }
        Ok(late)
    }

    /// Greets, and says nothing more.
    async fn stay_silent() -> anyhow::Result<Address> {
        let listener = Listener::bind(&Address::Tcp("127.0.0.1:0".to_owned())).await?;
        let address = listener.address()?;
        tokio::spawn(async move {
            while let Ok(mut socket) = listener.accept().await {
                tokio::spawn(async move {
                    let node = <dyn Node as Interface>::descriptor();
                    let served = Served {
                        module: node.module.to_owned(),
                        name: node.name.to_owned(),
                        fingerprint: node.fingerprint(),
                        methods: node.methods.iter().map(|one| one.name().to_owned()).collect(),
                    };
                    let us = Peer::new(nodes::APP, nodes::NODE, Bounds::default());
                    let welcome = |_: &Peer| Ok(Interfaces(vec![served]));
                    if receive(&mut socket, &us, SECOND, welcome).await.is_ok() {
                        let mut heard = [0; 4096];
                        while socket.read(&mut heard).await.is_ok_and(|length| length > 0) {}
                    }
                });
            }
        });
        Ok(address)
    }
}

pub(super) mod four_hops {
    use super::*;

    pub(in super::super) const TITLE: &str =
        "four hops, three attempts each, the last one failing for 60 s";
    const RATE: u64 = 500;

    pub(in super::super) async fn measure() -> anyhow::Result<Promise> {
        let ways = Ways::new(Duration::ZERO);
        ways.fails.store(1, Relaxed);
        let (servers, first) = chain(&ways).await?;
        let samples = open_loop(RATE, 60 * SECOND, move || {
            let first = first.clone();
            async move { first.read().await }
        })
        .await?;
        drop(servers);
        let amplified = ways.calls() as f64 / samples.len() as f64;
        let line = format!(
            "{} calls at the top, {} at the last one: {amplified:.2} ×",
            samples.len(),
            ways.calls()
        );
        Ok(Promise { lines: vec![line], is_kept: amplified <= 1.3 })
    }
}

pub(super) mod one_dead {
    use super::*;

    pub(in super::super) const TITLE: &str = "one of three replicas dead, at 1,000 calls/s";
    const RATE: u64 = 1_000;
    const DIES: Duration = SECOND;
    const BACK: Duration = Duration::from_secs(11);
    const TIME: Duration = Duration::from_secs(16);

    pub(in super::super) async fn measure() -> anyhow::Result<Promise> {
        let mut promise = Promise { lines: Vec::new(), is_kept: true };
        let mut all = replicas(3, 2 * MS).await?;
        let client = all.client(Retries::default());
        reads(&client, 100, SECOND).await?;
        let calling = tokio::spawn(async move { calls(Method::Write, &client, RATE, TIME).await });
        sleep(DIES).await;
        drop(all.servers[0].take());
        sleep(BACK - DIES).await;
        let before = all.ways[0].calls();
        let address = all.addresses[0].clone();
        all.servers[0] = Some(serve_at(&address, &all.ways[0], Limits::default()).await?.0);
        let back = Instant::now();
        while all.ways[0].calls() == before && back.elapsed() < 5 * SECOND {
            sleep(MS).await;
        }
        let back = back.elapsed();
        let samples = calling.await??;
        let failed = |from: Duration, to: Duration| {
            let within = samples.iter().filter(|one| (from..to).contains(&one.at));
            let (all, failed): (Vec<_>, Vec<_>) =
                (within.clone().collect(), within.filter(|one| one.error.is_some()).collect());
            (failed.len(), all.len())
        };
        let (at_once, _) = failed(DIES, DIES + 2 * SECOND);
        let (after, of) = failed(DIES + 2 * SECOND, TIME);
        promise.lines.push(format!(
            "by a method that is not idempotent: {at_once} errors in the first 2 s, then {after} of \
             {of} ({:.3} %); in use again {back:.2?} after its return",
            percent(after, of)
        ));
        promise.is_kept = percent(after, of) <= 0.1 && back <= 2 * SECOND;
        Ok(promise)
    }
}

pub(super) mod half_failing {
    use super::*;

    pub(in super::super) const TITLE: &str = "a replica failing half its calls";

    pub(in super::super) async fn measure() -> anyhow::Result<Promise> {
        let all = replicas(3, 2 * MS).await?;
        let client = all.client(Retries { attempts: 1, ..Retries::default() });
        reads(&client, 100, SECOND).await?;
        all.ways[0].fails.store(2, Relaxed);
        let before = all.calls();
        let samples = reads(&client, 300, 20 * SECOND).await?;
        let after = all.calls();
        let last = samples.iter().filter(|one| one.error.is_some()).map(|one| one.at);
        let seconds: Vec<usize> = (0..20)
            .map(|second| last.clone().filter(|at| at.as_secs() == second).count())
            .collect();
        let shares: Vec<u64> = after.iter().zip(&before).map(|(now, then)| now - then).collect();
        // Once it is out there is a probe now and then: less than one call in a hundred.
        let late: usize = seconds[10..].iter().sum();
        let lines = vec![
            format!("errors in each second: {seconds:?}"),
            format!("calls that each has had: {shares:?}"),
        ];
        Ok(Promise { lines, is_kept: late <= samples.len() / 200 })
    }
}

pub(super) mod one_slow {
    use super::*;

    pub(in super::super) const TITLE: &str = "one replica ten times slower";
    const RATE: u64 = 500;

    pub(in super::super) async fn measure() -> anyhow::Result<Promise> {
        let mut lines = Vec::new();
        let mut ratios = Vec::new();
        for _ in 0..3 {
            let all = replicas(3, 5 * MS).await?;
            let client = all.client(Retries::default());
            reads(&client, 100, SECOND).await?;
            let p99 = |samples: Vec<Sample>| quantile(samples.iter().map(|one| one.took), 0.99);
            let healthy = p99(reads(&client, RATE, 10 * SECOND).await?);
            all.ways[0].takes.store(50_000, Relaxed);
            // In the first moments nobody knows it.
            reads(&client, RATE, SECOND).await?;
            let before = all.calls();
            let slow = p99(reads(&client, RATE, 10 * SECOND).await?);
            let calls: Vec<u64> =
                all.calls().iter().zip(before).map(|(now, then)| now - then).collect();
            let ratio = slow.as_secs_f64() / healthy.as_secs_f64();
            lines.push(format!(
                "p99 {healthy:.2?} with three healthy ones, then {slow:.2?}: {ratio:.2} ×, of calls {calls:?}"
            ));
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        Ok(Promise { lines, is_kept: ratios[1] <= 1.5 })
    }
}

pub(super) mod more_replicas {
    use super::*;

    pub(in super::super) const TITLE: &str = "one to three replicas, without a restart";

    pub(in super::super) async fn measure() -> anyhow::Result<Promise> {
        let all = replicas(3, 2 * MS).await?;
        let file = std::env::temp_dir().join(format!("monolift-addresses-{}", std::process::id()));
        std::fs::write(&file, format!("{}\n", all.addresses[0]))?;
        let client = client::<dyn Node>(Connect::File(file.clone()), Retries::default());
        let alone = reads(&client, 300, 2 * SECOND).await?;
        let lines: Vec<String> = all.addresses.iter().map(Address::to_string).collect();
        std::fs::write(&file, lines.join("\n"))?;
        let joined = reads(&client, 300, 15 * SECOND).await?;
        let before = all.calls();
        let samples = reads(&client, 300, 5 * SECOND).await?;
        std::fs::remove_file(&file)?;
        let shares: Vec<f64> = all
            .calls()
            .iter()
            .zip(&before)
            .map(|(now, then)| percent((now - then) as usize, samples.len()))
            .collect();
        let failed =
            [alone, joined, samples].concat().iter().filter(|one| one.error.is_some()).count();
        let line = format!("after 15 s each carries {shares:.0?} %; {failed} calls failed");
        let is_kept = failed == 0 && shares.iter().all(|share| *share >= 20.0);
        Ok(Promise { lines: vec![line], is_kept })
    }
}

pub(super) mod overload {
    use super::*;

    pub(in super::super) const TITLE: &str = "four times the load that it can serve";
    /// At once, each for 10 ms: 2,000 calls/s.
    const PLACES: usize = 20;
    const TAKES: Duration = Duration::from_millis(10);
    const PEAK: u64 = 2_000;
    const TIME: Duration = Duration::from_secs(10);

    pub(in super::super) async fn measure() -> anyhow::Result<Promise> {
        let mut promise = Promise { lines: Vec::new(), is_kept: true };
        for attempts in [1, 3] {
            let ways = Ways::new(TAKES);
            ways.capacity.forget_permits(tokio::sync::Semaphore::MAX_PERMITS - PLACES);
            let limits = Limits { running: PLACES, waiting: PLACES, ..Limits::default() };
            let (server, address) = serve(&ways, limits).await?;
            let retries = Retries { attempts, ..Retries::default() };
            let client = client::<dyn Node>(address.into(), retries);
            let unloaded = reads(&client, PEAK / 4, 5 * SECOND).await?;
            let unloaded = quantile(unloaded.iter().map(|one| one.took), 0.99);
            // What it can do: as many at once as it takes, and as may wait.
            let (peak, _) = rates(&reads(&client, PEAK, TIME).await?);
            let loaded = reads(&client, 4 * PEAK, TIME).await?;
            drop(server);
            let (goodput, refused) = rates(&loaded);
            let of = |refused: bool, part: f64| {
                let samples = loaded
                    .iter()
                    .filter(|one| one.error == refused.then_some(CallErrorKind::Overloaded));
                quantile(samples.map(|one| one.took), part)
            };
            let (accepted, refusals) = (of(false, 0.99), of(true, 0.99));
            let goodput_part = 100.0 * goodput / peak;
            promise.lines.push(format!(
                "with {attempts} attempts: {goodput:.0} calls/s of {peak:.0} at the peak \
                 ({goodput_part:.0} %), {refused:.0}/s refused; p99 of the accepted {accepted:.1?}, \
                 unloaded {unloaded:.1?}; p99 of the refusals {refusals:.1?}"
            ));
            // Those that wait have one more round before them, of as many as run.
            let bound = 2 * unloaded + TAKES;
            let in_time = attempts > 1 || (accepted <= bound && refusals <= 10 * MS);
            promise.is_kept &= goodput_part >= 80.0 && in_time;
        }
        Ok(promise)
    }

    /// Calls that went well, and that were refused, a second.
    fn rates(samples: &[Sample]) -> (f64, f64) {
        let (well, refused): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|one| one.error.is_none());
        let seconds = TIME.as_secs_f64();
        (well.len() as f64 / seconds, refused.len() as f64 / seconds)
    }
}
