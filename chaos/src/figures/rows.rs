//! What the promises share: replicas that do as they are told, and calls at a rate. Each promise has a file.

pub(super) mod deadlines;
pub(super) mod four_hops;
pub(super) mod half_failing;
pub(super) mod more_replicas;
pub(super) mod one_dead;
pub(super) mod one_slow;
pub(super) mod overload;

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
