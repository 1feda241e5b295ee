//! The storm: what fails, and when. Then it heals, and all is checked.

use crate::{
    Options, check,
    client::{Ask, Client},
    logs::Logs,
    proxy::Weather,
    shop::{GATEWAY, Shop},
    traffic::{Seen, Traffic, in_peace},
};
use load::Random;
use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// After the heal, everything is ready, goes well and is drained within this.
const HEALED: Duration = Duration::from_secs(30);
/// The longest that anything is bad, which outlasts the deadline of every call; and that most of it is.
pub(crate) const LONGEST_MS: u64 = 7_000;
pub(crate) const USUAL_MS: u64 = 2_000;
/// How long connections are cut where they are slow or frozen until then.
const CUT: Duration = Duration::from_millis(50);
/// How often it says how it stands.
const SAY: Duration = Duration::from_secs(5);

/// What a storm is like.
pub(crate) struct Plan {
    /// It ends when so many processes were killed or stopped, and so many requests made,
    pub(crate) kills: u64,
    pub(crate) operations: u64,
    /// or after so long.
    pub(crate) lasts: Duration,
    pub(crate) clients: u64,
    pub(crate) seed: u64,
    /// For how long most of what fails does.
    pub(crate) usual_ms: u64,
    /// Whether it says how it stands.
    pub(crate) says: bool,
}

/// What came of it.
pub(crate) struct Ended {
    /// What happened, in words.
    pub(crate) what: String,
    pub(crate) violations: Vec<String>,
}

pub(crate) async fn run(options: &Options, folder: &Path) -> anyhow::Result<bool> {
    let mut shop = Shop::start(folder, !options.debug).await?;
    let plan = Plan {
        kills: options.kills,
        operations: options.operations,
        lasts: Duration::from_secs(options.seconds),
        clients: options.clients,
        seed: options.seed,
        usual_ms: USUAL_MS,
        says: true,
    };
    let Ended { what, violations } = storm(&mut shop, &plan).await?;
    println!("{what}: {} violations", violations.len());
    for violation in violations.iter().take(20) {
        println!("  {violation}");
    }
    Ok(violations.is_empty())
}

/// Has it all fail, and heal, and checks what came of it.
pub(crate) async fn storm(shop: &mut Shop, plan: &Plan) -> anyhow::Result<Ended> {
    ready(shop, HEALED).await?;
    let mut random = Random::new(plan.seed);
    let traffic = Traffic::start(&shop.gateways, plan.clients, &mut random).await?;
    let mut peaceful = random.fork();

    let mut storm = Storm { random, kills: 0, stops: 0, faults: 0, bad: vec![], stopped: vec![] };
    let (start, mut said) = (Instant::now(), Instant::now());
    let enough = |storm: &Storm| {
        storm.kills + storm.stops >= plan.kills && traffic.asked() >= plan.operations
    };
    while !enough(&storm) && start.elapsed() < plan.lasts {
        // If there are kills enough, the rest of the requests are made in peace and in other weather.
        let may_kill = storm.kills + storm.stops < plan.kills;
        storm.step(shop, may_kill, plan.usual_ms).await?;
        if plan.says && said.elapsed() > SAY {
            said = Instant::now();
            println!("{:>4} s: {}", start.elapsed().as_secs(), storm.so_far(traffic.asked()));
        }
    }
    let lasted = start.elapsed();
    storm.calm(shop)?;
    let asked = traffic.asked();
    let mut seen = traffic.stop().await?;
    let healing = Instant::now();
    let healed = heal(shop, &mut seen, &mut peaceful, healing + HEALED).await;
    let took = healing.elapsed();
    let stored = check::Stored::in_folder(&shop.folder);
    let mut violations = check::violations(&seen, &stored.tables().await?);
    let (late, longest) = check::too_late(&seen, &storm.stopped);
    violations.extend(late);
    violations.extend(healed.err().map(|error| format!("{error:#}")));
    let mut logs = Logs::default();
    shop.replicas.iter().try_for_each(|replica| logs.read(replica.log()))?;
    let lines = logs.lines;
    violations.extend(logs.wrong);
    let what = format!(
        "{} in {lasted:.0?}; healed after {took:.1?}; the longest answer {longest:.2?}; {}; \
         {lines} lines logged",
        storm.so_far(asked),
        outcomes(&seen),
    );
    Ok(Ended { what, violations })
}

/// Waits until all is ready, until whatever a client wants goes well at each gateway, and until no work
/// is left.
async fn heal(
    shop: &Shop,
    seen: &mut Vec<Seen>,
    random: &mut Random,
    by: Instant,
) -> anyhow::Result<()> {
    ready(shop, by.saturating_duration_since(Instant::now())).await?;
    for (number, &gateway) in shop.gateways.iter().enumerate() {
        let mut round = 0;
        loop {
            let (one, all_well) = in_peace(gateway, &format!("p{number}-{round}"), random).await;
            seen.push(one);
            if all_well {
                break;
            }
            anyhow::ensure!(
                Instant::now() < by,
                "not all goes well at {gateway} {HEALED:?} after all was put right"
            );
            round += 1;
        }
    }
    let stored = check::Stored::in_folder(&shop.folder);
    while !stored.is_settled().await? {
        anyhow::ensure!(Instant::now() < by, "work was left {HEALED:?} after all was put right");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// How the requests ended.
fn outcomes(seen: &[Seen]) -> String {
    let answers = || seen.iter().flat_map(|seen| &seen.answers);
    let of = |from: u16, to: u16| {
        answers()
            .filter(|one| one.status.is_some_and(|status| (from..to).contains(&status)))
            .count()
    };
    let unknown = answers().filter(|one| one.status.is_none()).count();
    format!(
        "{} well, {} refused, {} failed, {unknown} without an answer",
        of(200, 300),
        of(300, 500),
        of(500, 600)
    )
}

/// Waits until both gateways can do their work.
pub(crate) async fn ready(shop: &Shop, within: Duration) -> anyhow::Result<()> {
    let by = Instant::now() + within;
    for &gateway in &shop.gateways {
        is_ready(gateway, by.saturating_duration_since(Instant::now())).await?;
    }
    Ok(())
}

/// Waits until this gateway can do its work.
pub(crate) async fn is_ready(gateway: SocketAddr, within: Duration) -> anyhow::Result<()> {
    let by = Instant::now() + within;
    let mut client = Client::of(&[gateway], 0);
    loop {
        let answer = client.ask(&Ask::get("/readyz")).await;
        if answer.response.is_some_and(|(status, _)| status == 200) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < by, "the gateway {gateway} is not ready in {within:.0?}");
        sleep(Duration::from_millis(20)).await;
    }
}

struct Storm {
    random: Random,
    kills: u64,
    stops: u64,
    faults: u64,
    bad: Vec<Bad>,
    /// When which gateway was stopped, and went on.
    stopped: Vec<(usize, Instant, Instant)>,
}

/// What is wrong with a replica, and until when.
struct Bad {
    at: usize,
    until: Instant,
    how: How,
}

enum How {
    Killed,
    Stopped {
        since: Instant,
    },
    /// Its connections end with it, or not: and then all that is on its way, answers to what was done among
    /// it.
    Cut {
        at_the_end: bool,
    },
}

impl Storm {
    fn so_far(&self, asked: u64) -> String {
        format!(
            "{asked} requests, {} kills, {} stops, {} other faults",
            self.kills, self.stops, self.faults
        )
    }

    /// What has been bad for long enough is put right, and something else fails; then a moment.
    async fn step(&mut self, shop: &mut Shop, may_kill: bool, usual_ms: u64) -> anyhow::Result<()> {
        let now = Instant::now();
        let over: Vec<Bad> = self.bad.extract_if(.., |bad| now >= bad.until).collect();
        over.into_iter().try_for_each(|bad| self.put_right(shop, bad, now))?;

        let at = self.random.below(shop.replicas.len() as u64) as usize;
        let replica = &mut shop.replicas[at];
        let is_stopped =
            self.bad.iter().any(|bad| bad.at == at && matches!(bad.how, How::Stopped { .. }));
        let is_running = may_kill && replica.is_up() && !is_stopped;
        // Some of it outlasts the deadline of every call.
        let longest = if self.random.one_in(5) { LONGEST_MS } else { usual_ms };
        let until = now + Duration::from_millis(self.random.below(longest));
        match self.random.below(10) {
            0..=2 if is_running => {
                replica.kill()?;
                self.kills += 1;
                self.bad.push(Bad { at, until, how: How::Killed });
            }
            3 if is_running => {
                replica.signal("STOP")?;
                self.stops += 1;
                self.bad.push(Bad { at, until, how: How::Stopped { since: now } });
            }
            4 if is_running => {
                // As an operator restarts it.
                replica.stop().await?;
                replica.up()?;
                self.faults += 1;
            }
            _ => {
                let late = Duration::from_millis(1 + self.random.below(200));
                let weathers = [Weather::Slow(late), Weather::Frozen, Weather::Cut];
                if let Some(proxy) = &replica.proxy {
                    proxy.set(*self.random.pick(&weathers));
                    let at_the_end = self.random.one_in(2);
                    self.bad.push(Bad { at, until, how: How::Cut { at_the_end } });
                    self.faults += 1;
                }
            }
        }
        sleep(Duration::from_millis(self.random.below(400))).await;
        Ok(())
    }

    /// Puts right what has been bad for long enough.
    fn put_right(&mut self, shop: &mut Shop, bad: Bad, now: Instant) -> anyhow::Result<()> {
        let replica = &mut shop.replicas[bad.at];
        match bad.how {
            How::Killed => replica.up(),
            How::Stopped { since } => {
                replica.signal("CONT")?;
                if replica.process == GATEWAY {
                    self.stopped.push((replica.number, since, Instant::now()));
                }
                Ok(())
            }
            How::Cut { at_the_end } => {
                let weather = if at_the_end { Weather::Cut } else { Weather::Fair };
                replica.proxy.iter().for_each(|proxy| proxy.set(weather));
                if at_the_end {
                    let how = How::Cut { at_the_end: false };
                    self.bad.push(Bad { until: now + CUT, how, ..bad });
                }
                Ok(())
            }
        }
    }

    /// Puts all right.
    fn calm(&mut self, shop: &mut Shop) -> anyhow::Result<()> {
        let now = Instant::now();
        while let Some(bad) = self.bad.pop() {
            let how = match bad.how {
                How::Cut { .. } => How::Cut { at_the_end: false },
                how => how,
            };
            self.put_right(shop, Bad { how, ..bad }, now)?;
        }
        Ok(())
    }
}
