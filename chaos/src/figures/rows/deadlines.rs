//! The promise: 100,000 calls to peers that are stopped, silent, cut or full.

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

pub(in crate::figures) const TITLE: &str =
    "100,000 calls to peers that are stopped, silent, cut or full";
const CALLS: usize = 100_000;
const AT_ONCE: usize = 64;
const LONGEST_MS: u64 = 400;

pub(in crate::figures) async fn measure() -> anyhow::Result<Promise> {
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
            let late = ways.late.lock().expect("no holder of the lock panics").clone();
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
                let served = Served::of(<dyn Node as Interface>::descriptor());
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
