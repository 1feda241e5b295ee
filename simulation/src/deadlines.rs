//! A hundred thousand calls to processes that do not answer: one that is stopped, one that is silent, one
//! that is cut off, and one that is full. Each has to end by its deadline, exactly, and so has its work.

use crate::{
    calling::observed,
    history::{Event, History, Outcome},
    model::{Clerk, Ledger, LedgerClient, Temper, process},
    network::Listening,
};
use load::Random;
use monolift_call::call::chance;
use monolift_seam::{
    serve::Limits,
    wire::{Accept, Bounds, Interfaces, Peer, Served, receive},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{io::AsyncReadExt, time::sleep};
use turmoil::Builder;

const STOPPED: &str = "stopped";
const SILENT: &str = "silent";
const CUT: &str = "cut";
const FULL: &str = "full";
const PEERS: [&str; 4] = [STOPPED, SILENT, CUT, FULL];
const CALLS: u64 = 100_000;
/// Calls to each of them that are under way at once.
const AT_ONCE: u64 = 64;
const LONGEST_MS: u64 = 400;
/// By then everybody has a connection.
const CONNECTED: Duration = Duration::from_secs(1);

/// What is seen of the calls to one of them.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) calls: usize,
    pub(crate) outcomes: BTreeMap<String, usize>,
    pub(crate) most_late: Duration,
    /// How long after the caller's deadline the last work for it stopped.
    pub(crate) longest_work: Duration,
}

/// Runs them. By the name of the process that was called.
pub(crate) fn run(seed: u64) -> BTreeMap<&'static str, Seen> {
    chance::seed(seed);
    let mut random = Random::new(seed);
    let history = History::default();
    let latency = Duration::from_millis(5);
    let mut sim = Builder::new()
        .simulation_duration(Duration::from_secs(3_600))
        .max_message_latency(latency)
        .tcp_capacity(1 << 16)
        .rng_seed(seed)
        .build();
    for host in [STOPPED, CUT, FULL] {
        let (history, seeds) = (history.clone(), Mutex::new(random.fork()));
        sim.host(host, move || {
            let (usual, rare) = (Duration::from_secs(60), Duration::from_secs(60));
            let temper = Temper { usual, rare, fails: 0 };
            let random = seeds.lock().expect("nobody panics with it").fork();
            let clerk = Clerk { history: history.clone(), temper, random: Mutex::new(random) };
            async move {
                let limits = Limits { running: 8, waiting: 8, ..Limits::default() };
                let _server = process::serve::<dyn Ledger>(Arc::new(clerk), limits).await?;
                std::future::pending::<()>().await;
                Ok(())
            }
        });
    }
    sim.host(SILENT, || async { stay_silent().await });
    for (peer, number) in PEERS.into_iter().zip(0..) {
        let (history, random) = (history.clone(), random.fork());
        sim.client(format!("caller-of-{peer}"), async move {
            let ledger = process::client::<dyn Ledger>("desk", &[peer]);
            call_all(ledger, number << 32, history, random).await
        });
    }
    while sim.elapsed() < CONNECTED {
        sim.step().expect("no host ends");
    }
    sim.hold(format!("caller-of-{STOPPED}"), STOPPED);
    sim.partition(format!("caller-of-{CUT}"), CUT);
    sim.run().expect("all calls end");
    see(&history)
}

/// Greets, and says nothing more.
async fn stay_silent() -> turmoil::Result {
    let listener = Listening::here().await?;
    loop {
        let mut socket = listener.accept().await?;
        tokio::spawn(async move {
            let served = Served::of(<dyn Ledger as monolift_call::link::Interface>::descriptor());
            let us = Peer::new(process::APP, SILENT, Bounds::default());
            let welcome = |_: &Peer| Ok(Interfaces(vec![served]));
            if receive(&mut socket, &us, Duration::from_secs(5), welcome).await.is_ok() {
                let mut heard = [0; 4096];
                while socket.read(&mut heard).await.is_ok_and(|length| length > 0) {}
            }
        });
    }
}

/// Calls one of them, many times.
async fn call_all(
    ledger: LedgerClient,
    first: u64,
    history: History,
    mut random: Random,
) -> turmoil::Result {
    let each = CALLS.div_ceil(PEERS.len() as u64 * AT_ONCE);
    let calling: Vec<_> = (0..AT_ONCE)
        .map(|caller| {
            let (ledger, history, mut random) = (ledger.clone(), history.clone(), random.fork());
            tokio::spawn(async move {
                // A connection first, while there is one to be had.
                if caller > 0 {
                    sleep(CONNECTED).await;
                }
                for call in (first + caller * each..).take(each as usize) {
                    let within = Duration::from_millis(1 + random.below(LONGEST_MS));
                    observed(&history, call, false, within, ledger.append(call)).await;
                    // Most are refused at once: that is soon told, and another one then.
                    sleep(Duration::from_millis(random.below(100))).await;
                }
            })
        })
        .collect();
    for caller in calling {
        caller.await?;
    }
    Ok(())
}

fn see(history: &History) -> BTreeMap<&'static str, Seen> {
    let mut deadlines = BTreeMap::new();
    let mut seen: BTreeMap<&'static str, Seen> = BTreeMap::new();
    history.look(|at, event| {
        let of = |operation: &u64| PEERS[(operation >> 32) as usize];
        match event {
            Event::Asked { operation, within, .. } => {
                deadlines.insert(*operation, at + *within);
            }
            Event::Told { operation, outcome, late } => {
                let seen = seen.entry(of(operation)).or_default();
                let name = match outcome {
                    Outcome::Done => "Done",
                    Outcome::NotBegun(why) | Outcome::Unknown(why) => {
                        why.split(':').next().unwrap_or_default()
                    }
                };
                seen.calls += 1;
                *seen.outcomes.entry(name.to_owned()).or_default() += 1;
                seen.most_late = seen.most_late.max(*late);
            }
            Event::Stopped { operation, .. } => {
                let seen = seen.entry(of(operation)).or_default();
                let after = at.saturating_sub(deadlines[operation]);
                seen.longest_work = seen.longest_work.max(after);
            }
            Event::Begun { .. } | Event::Written { .. } | Event::Fault(_) => {}
        }
    });
    seen
}
