//! The storm: what fails, and when. Then it heals, and all is checked.

use crate::{
    Options, check,
    client::{Ask, Client},
    proxy::Weather,
    shop::{GATEWAY, Replica, Shop},
    traffic::{Seen, Traffic},
};
use load::Random;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// After the heal, everything is ready and drained within this.
const HEALED: Duration = Duration::from_secs(30);
/// The longest that anything is bad, and that most of it is.
const LONGEST_MS: u64 = 7_000;
const USUAL_MS: u64 = 2_000;
/// How often it says how it stands.
const SAY: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: &Options, folder: &Path) -> anyhow::Result<bool> {
    let mut shop = Shop::start(folder, !options.debug).await?;
    ready(&shop, HEALED).await?;
    let mut random = Random::new(options.seed);
    let traffic = Traffic::start(&shop.gateways, options.clients, &mut random).await?;

    let mut storm =
        Storm { random, kills: 0, stops: 0, faults: 0, bad: Vec::new(), stopped: Vec::new() };
    let (start, mut said) = (Instant::now(), Instant::now());
    let enough = |storm: &Storm| {
        storm.kills + storm.stops >= options.kills && traffic.asked() >= options.operations
    };
    while !enough(&storm) && start.elapsed() < Duration::from_secs(options.seconds) {
        // If there are kills enough, the rest of the requests are made in peace and in other weather.
        let may_kill = storm.kills + storm.stops < options.kills;
        storm.step(&mut shop, may_kill).await?;
        if said.elapsed() > SAY {
            said = Instant::now();
            println!("{:>4} s: {}", start.elapsed().as_secs(), storm.so_far(traffic.asked()));
        }
    }
    let lasted = start.elapsed();
    Storm::calm(&mut shop)?;
    let asked = traffic.asked();
    let seen = traffic.stop().await?;
    let healing = Instant::now();
    let healed = ready(&shop, HEALED).await;
    let stored = check::Stored::in_folder(&shop.folder);
    while healed.is_ok() && !stored.is_settled().await? && healing.elapsed() < HEALED {
        sleep(Duration::from_millis(50)).await;
    }
    let took = healing.elapsed();
    let mut violations = check::violations(&seen, &stored.tables().await?);
    let (late, longest) = check::too_late(&seen, &storm.stopped);
    violations.extend(late);
    violations.extend(healed.err().map(|error| format!("{error:#}")));
    if took >= HEALED {
        violations.push(format!("work was left {HEALED:?} after all was put right"));
    }
    println!(
        "{} in {lasted:.0?}; healed after {took:.1?}; the longest answer {longest:.2?}; {}: {} violations",
        storm.so_far(asked),
        outcomes(&seen),
        violations.len()
    );
    for violation in violations.iter().take(20) {
        println!("  {violation}");
    }
    Ok(violations.is_empty())
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
        let mut client = Client::of(&[gateway], 0);
        loop {
            let answer = client.ask(&Ask::get("/readyz")).await;
            if answer.response.is_some_and(|(status, _)| status == 200) {
                break;
            }
            anyhow::ensure!(
                Instant::now() < by,
                "the gateway {gateway} is not ready in {within:?}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

struct Storm {
    random: Random,
    kills: u64,
    stops: u64,
    faults: u64,
    /// Which replicas are bad, and until when.
    bad: Vec<(usize, Instant)>,
    /// When which gateway was stopped, and went on.
    stopped: Vec<(usize, Instant, Instant)>,
}

impl Storm {
    fn so_far(&self, asked: u64) -> String {
        format!(
            "{asked} requests, {} kills, {} stops, {} other faults",
            self.kills, self.stops, self.faults
        )
    }

    /// What has been bad for long enough is put right, and something else fails; then a moment.
    async fn step(&mut self, shop: &mut Shop, may_kill: bool) -> anyhow::Result<()> {
        let now = Instant::now();
        for (at, _) in self.bad.extract_if(.., |(_, until)| now >= *until) {
            put_right(&mut shop.replicas[at])?;
        }
        let at = self.random.below(shop.replicas.len() as u64) as usize;
        let replica = &mut shop.replicas[at];
        // Some of it outlasts the deadline of every call.
        let longest = if self.random.below(5) == 0 { LONGEST_MS } else { USUAL_MS };
        let while_bad = Duration::from_millis(self.random.below(longest));
        match self.random.below(10) {
            0..=3 if may_kill && replica.is_up() => {
                replica.kill()?;
                self.kills += 1;
                self.bad.push((at, now + while_bad));
            }
            4 | 5 if may_kill && replica.is_up() => {
                self.stops += 1;
                replica.signal("STOP")?;
                sleep(while_bad).await;
                replica.signal("CONT")?;
                if replica.process == GATEWAY {
                    self.stopped.push((replica.number, now, Instant::now()));
                }
            }
            6 if may_kill && replica.is_up() => {
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
                    self.bad.push((at, now + while_bad));
                    self.faults += 1;
                }
            }
        }
        sleep(Duration::from_millis(self.random.below(400))).await;
        Ok(())
    }

    /// Puts all right.
    fn calm(shop: &mut Shop) -> anyhow::Result<()> {
        shop.replicas.iter_mut().try_for_each(put_right)
    }
}

fn put_right(replica: &mut Replica) -> anyhow::Result<()> {
    if let Some(proxy) = &replica.proxy {
        proxy.set(Weather::Fair);
    }
    replica.up()
}
