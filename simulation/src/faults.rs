//! One run, from one seed: clients call, and meanwhile all that can fail does. Then it is put right, and
//! all has to go well again.

use crate::{
    calling::observed,
    history::{Event, History, Violation},
    model::{Clerk, Desk, DeskClient, Front, Ledger, Temper, process},
    network::Simulated,
};
use load::Random;
use monolift_call::call::chance;
use monolift_seam::{serve::Limits, wire::Network as _};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};
use turmoil::{Builder, Sim};

const LEDGERS: [&str; 3] = ["ledger-0", "ledger-1", "ledger-2"];
const DESKS: [&str; 2] = ["desk-0", "desk-1"];
const CLIENT: &str = "client";
/// Calls that a client makes one behind the other, and how many do so at once.
const CALLS: u64 = 120;
const AT_ONCE: u64 = 4;
/// How long all that can fail does.
const STORM: Duration = Duration::from_secs(12);
/// How soon all is well again after that.
const CALM: Duration = Duration::from_secs(30);
/// The calls of each client that are made when it is.
const CALLS_IN_PEACE: u64 = 10;
/// The longest deadline in the storm; in peace there is time for all.
const LONGEST_MS: u64 = 3_000;
const IN_PEACE: Duration = Duration::from_secs(10);

/// What a run comes to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) history: History,
    pub(crate) violations: Vec<Violation>,
}

/// Runs it.
pub(crate) fn run(seed: u64) -> Run {
    chance::seed(seed);
    let mut random = Random::new(seed);
    let history = History::default();
    let mut sim = Builder::new()
        .simulation_duration(Duration::from_secs(600))
        .min_message_latency(Duration::from_micros(100))
        .max_message_latency(Duration::from_millis(1 + random.below(20)))
        .tcp_capacity(4096)
        .rng_seed(seed)
        .build();
    let temper = Temper {
        usual: Duration::from_millis(1 + random.below(20)),
        rare: Duration::from_millis(1 + random.below(4_000)),
        fails: [0, 0, 50, 10, 2][random.below(5) as usize],
    };
    let limits = Limits {
        running: [2, 16, 4096][random.below(3) as usize],
        waiting: [1, 16][random.below(2) as usize],
        connections: [8, 1024][random.below(2) as usize],
        ..Limits::default()
    };
    let hurt = Arc::new(Mutex::new((temper, limits)));
    for host in LEDGERS {
        let (history, hurt, seeds) =
            (history.clone(), Arc::clone(&hurt), Mutex::new(random.fork()));
        sim.host(host, move || {
            let (history, random) = (history.clone(), Mutex::new(lock(&seeds).fork()));
            let (temper, limits) = lock(&hurt).clone();
            async move {
                let clerk = Arc::new(Clerk { history, temper, random });
                let _server = process::serve::<dyn Ledger>(clerk, limits).await?;
                std::future::pending::<()>().await;
                Ok(())
            }
        });
    }
    for host in DESKS {
        sim.host(host, || async {
            let ledger = process::client::<dyn Ledger>("desk", &LEDGERS);
            let front = Arc::new(Front { ledger });
            let _server = process::serve::<dyn Desk>(front, Limits::default()).await?;
            std::future::pending::<()>().await;
            Ok(())
        });
    }
    let peace = Arc::new(Mutex::new(false));
    let clients = clients(&history, &mut random, &peace);
    sim.client(CLIENT, clients);
    sim.client("slow-reader", read_slowly(Arc::clone(&peace)));

    let healed = storm(&mut sim, &history, &mut random, &hurt);
    *lock(&peace) = true;
    let ended = sim.run();
    let mut violations = history.violations(healed);
    if let Err(error) = ended {
        violations.push(Violation(format!("the simulation did not end: {error}")));
    }
    Run { history, violations }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

/// Lets things fail until the storm is over, puts all right, and waits until it is calm. The result is
/// when all has to go well again.
fn storm(
    sim: &mut Sim<'_>,
    history: &History,
    random: &mut Random,
    hurt: &Mutex<(Temper, Limits)>,
) -> Duration {
    let mut next = Duration::ZERO;
    let mut down: Vec<&str> = Vec::new();
    while sim.elapsed() < STORM {
        step(sim);
        if sim.elapsed() < next {
            continue;
        }
        next = sim.elapsed() + Duration::from_millis(50 + random.below(800));
        let fault = fault(sim, history, random, &mut down);
        history.note_at(sim.elapsed(), Event::Fault(fault));
    }
    sim.set_fail_rate(0.0);
    for (one, other) in links() {
        sim.repair(one, other);
        sim.release(one, other);
        sim.set_link_max_message_latency(one, other, Duration::from_millis(5));
    }
    // Whoever starts from here on is well, and so are those who start again.
    let mut well = lock(hurt);
    well.0.fails = 0;
    well.1 = Limits::default();
    drop(well);
    for host in LEDGERS {
        history.while_crashing(|| sim.crash(host));
        sim.bounce(host);
    }
    for host in down.into_iter().filter(|host| DESKS.contains(host)) {
        sim.bounce(host);
    }
    let healed = sim.elapsed() + CALM;
    history.note_at(sim.elapsed(), Event::Fault("all is put right".to_owned()));
    while sim.elapsed() < healed {
        step(sim);
    }
    healed
}

fn step(sim: &mut Sim<'_>) {
    sim.step().expect("neither hosts nor clients end with an error");
}

/// Every two hosts that speak to each other.
fn links() -> impl Iterator<Item = (&'static str, &'static str)> {
    let to_desks = DESKS.into_iter().map(|desk| (CLIENT, desk));
    let to_ledgers =
        DESKS.into_iter().flat_map(|desk| LEDGERS.into_iter().map(move |ledger| (desk, ledger)));
    to_desks.chain(to_ledgers)
}

/// Something fails, or is put right.
fn fault(
    sim: &mut Sim<'_>,
    history: &History,
    random: &mut Random,
    down: &mut Vec<&'static str>,
) -> String {
    let hosts: Vec<&'static str> = LEDGERS.into_iter().chain(DESKS).collect();
    let links: Vec<_> = links().collect();
    let (host, (one, other)) = (*random.pick(&hosts), *random.pick(&links));
    match random.below(11) {
        0 | 1 if !down.contains(&host) => {
            history.while_crashing(|| sim.crash(host));
            down.push(host);
            format!("{host} crashes")
        }
        2 if !down.contains(&host) => {
            history.while_crashing(|| sim.crash(host));
            sim.bounce(host);
            format!("{host} crashes and is back at once")
        }
        0..=3 => match down.pop() {
            Some(host) => {
                sim.bounce(host);
                format!("{host} is back")
            }
            None => "nothing".to_owned(),
        },
        4 => {
            sim.partition(one, other);
            format!("nothing passes between {one} and {other}")
        }
        5 => {
            sim.partition_oneway(one, other);
            format!("nothing passes from {one} to {other}")
        }
        6 => {
            sim.hold(one, other);
            format!("all waits between {one} and {other}")
        }
        7 => {
            let latency = Duration::from_millis(1 + random.below(500));
            sim.set_link_max_message_latency(one, other, latency);
            format!("up to {latency:?} between {one} and {other}")
        }
        8 => {
            let rate = [0.0, 0.0, 0.001][random.below(3) as usize];
            sim.set_fail_rate(rate);
            format!("{rate} of all is lost")
        }
        _ => {
            sim.repair(one, other);
            sim.release(one, other);
            format!("all passes between {one} and {other}")
        }
    }
}

/// Those who call.
fn clients(
    history: &History,
    random: &mut Random,
    peace: &Arc<Mutex<bool>>,
) -> impl Future<Output = turmoil::Result> + 'static {
    let each: Vec<Random> = (0..AT_ONCE).map(|_| random.fork()).collect();
    let (history, peace) = (history.clone(), Arc::clone(peace));
    async move {
        let desk = process::client::<dyn Desk>("client", &DESKS);
        let calling = each.into_iter().zip(0..).map(|(mut random, number)| {
            let (desk, history, peace) = (desk.clone(), history.clone(), Arc::clone(&peace));
            tokio::spawn(async move {
                let first = number << 32;
                let storm = Instant::now() + STORM;
                for call in (first..).take(CALLS as usize) {
                    // tokio's timers know milliseconds, so that is how exact a deadline can be.
                    let within = Duration::from_millis(1 + random.below(LONGEST_MS));
                    one_call(&desk, &history, call, random.one_in(2), within).await;
                    sleep(random.up_to(Duration::from_millis(100))).await;
                    if Instant::now() > storm {
                        break;
                    }
                }
                while !*lock(&peace) {
                    sleep(Duration::from_millis(100)).await;
                }
                for call in (first + CALLS..).take(CALLS_IN_PEACE as usize) {
                    one_call(&desk, &history, call, random.one_in(2), IN_PEACE).await;
                }
            })
        });
        let calling: Vec<_> = calling.collect();
        for caller in calling {
            caller.await?;
        }
        Ok(())
    }
}

async fn one_call(
    desk: &DeskClient,
    history: &History,
    operation: u64,
    idempotent: bool,
    within: Duration,
) {
    let calling =
        async { if idempotent { desk.put(operation).await } else { desk.append(operation).await } };
    observed(history, operation, idempotent, within, calling).await;
}

/// Connects to a desk, asks for more and more, and reads nothing.
async fn read_slowly(peace: Arc<Mutex<bool>>) -> turmoil::Result {
    while !*lock(&peace) {
        let _: Result<(), io::Error> = async {
            let address = format!("{}:{}", turmoil::lookup(DESKS[0]), crate::network::PORT);
            let mut socket =
                Simulated.connect(&address.parse().map_err(io::Error::other)?, None, "").await?;
            socket.write_all(b"monolift").await?;
            for _ in 0..20 {
                socket.write_all(&[0; 64]).await?;
                sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        }
        .await;
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
