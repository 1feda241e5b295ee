//! Figures of the databases of the modules here: their pools, their durable work, and the listeners of their events.
//!
//! Pools are counted where they are. Durable work and events are in tables, so they are asked for in the background: at
//! most once in [`AGAIN_AFTER`], and only while the figures are read. A page shows what was found last.

use monolift_data::{Gauge, PoolFigures, events::Lag, work::Standing};
use monolift_observe::metrics::{Kind, Page};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// How old figures of durable work may be before they are asked for again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long one module's database may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The databases of the modules here.
#[derive(Debug)]
pub(super) struct DatabaseFigures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    modules: Vec<(&'static str, Vec<Arc<dyn Gauge>>)>,
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    /// When it was last asked for, and whether that has ended.
    asked: Option<Instant>,
    is_asking: bool,
    standing: BTreeMap<&'static str, Vec<Standing>>,
    lag: BTreeMap<&'static str, Vec<Lag>>,
}

impl DatabaseFigures {
    pub(super) fn of(modules: Vec<(&'static str, Vec<Arc<dyn Gauge>>)>) -> Self {
        Self(Arc::new(Inner { modules, work: Mutex::default() }))
    }

    /// Adds them to a page of metrics.
    pub(super) fn show(&self, page: &mut Page) {
        self.pools(page);
        self.refresh();
        let found = self.0.work();
        work(page, &found.standing);
        events(page, &found.lag);
    }

    fn pools(&self, page: &mut Page) {
        let all: Vec<(&str, PoolFigures)> = self
            .0
            .modules
            .iter()
            .flat_map(|(module, gauges)| {
                gauges.iter().flat_map(|gauge| gauge.pools()).map(|pool| (*module, pool))
            })
            .collect();
        if all.is_empty() {
            return;
        }
        let help =
            "Connections of a module's pool. Of a shared pool only those that the module uses.";
        let mut family = page.family("monolift_db_connections", Kind::Gauge, help);
        for (module, pool) in &all {
            let mut state = |state, count: usize| {
                family.sample(&[("module", module), ("pool", pool.name), ("state", state)], count);
            };
            state("in_use", pool.in_use);
            if let Some(idle) = pool.idle {
                state("idle", idle);
            }
        }
        let mut one = |name, help, value: fn(&PoolFigures) -> usize| {
            let mut family = page.family(name, Kind::Gauge, help);
            for (module, pool) in &all {
                family.sample(&[("module", module), ("pool", pool.name)], value(pool));
            }
        };
        one("monolift_db_connections_limit", "The most that a module uses at once.", |pool| {
            pool.most
        });
        one("monolift_db_waiting_calls", "Calls that wait for a connection.", |pool| pool.waiting);
    }

    /// Asks the tables of durable work, unless that was done a moment ago.
    fn refresh(&self) {
        let mut work = self.0.work();
        if work.is_asking || work.asked.is_some_and(|asked| asked.elapsed() < AGAIN_AFTER) {
            return;
        }
        (work.is_asking, work.asked) = (true, Some(Instant::now()));
        drop(work);
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            for (module, gauges) in &inner.modules {
                for gauge in gauges {
                    // What cannot be read now is read later; until then the figures are those of before.
                    if let Ok(Ok(Some(standing))) = timeout(ANSWER, gauge.standing()).await {
                        inner.work().standing.insert(module, standing);
                    }
                    if let Ok(Ok(Some(lag))) = timeout(ANSWER, gauge.lag()).await {
                        inner.work().lag.insert(module, lag);
                    }
                }
            }
            inner.work().is_asking = false;
        });
    }
}

impl Inner {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(page: &mut Page, standing: &BTreeMap<&'static str, Vec<Standing>>) {
    if standing.is_empty() {
        return;
    }
    let all =
        || standing.iter().flat_map(|(module, each)| each.iter().map(move |one| (*module, one)));
    let help =
        "Pieces of durable work: to be done, being done, and left alone after too many failures.";
    let mut family = page.family("monolift_work_pieces", Kind::Gauge, help);
    for (module, one) in all() {
        for (state, count) in
            [("waiting", one.waiting), ("at_work", one.at_work), ("parked", one.parked)]
        {
            family.sample(&[("module", module), ("kind", &one.name), ("state", state)], count);
        }
    }
    let help = "Of those to be done or being done, how many have failed at least once.";
    let mut family = page.family("monolift_work_failing_pieces", Kind::Gauge, help);
    for (module, one) in all() {
        family.sample(&[("module", module), ("kind", &one.name)], one.failing);
    }
    let help = "For how long the piece has been due that has waited the longest.";
    let mut family = page.family("monolift_work_oldest_seconds", Kind::Gauge, help);
    for (module, one) in all() {
        family.sample(&[("module", module), ("kind", &one.name)], one.oldest_ms as f64 / 1e3);
    }
}

/// A module that nobody listens to has no figures.
fn events(page: &mut Page, lag: &BTreeMap<&'static str, Vec<Lag>>) {
    let all = || lag.iter().flat_map(|(module, each)| each.iter().map(move |one| (*module, one)));
    if all().next().is_none() {
        return;
    }
    let help = "Events that a listener has not handled: to be handled, and left alone after too many failures.";
    let mut family = page.family("monolift_events_unhandled", Kind::Gauge, help);
    for (module, one) in all() {
        let of =
            [("module", module), ("event", one.name.as_str()), ("listener", one.listener.as_str())];
        for (state, count) in [("waiting", one.waiting), ("parked", one.parked)] {
            family.sample(&[&of[..], &[("state", state)]].concat(), count);
        }
    }
    let help = "Of those to be handled, how many have failed at least once.";
    let mut family = page.family("monolift_events_failing", Kind::Gauge, help);
    for (module, one) in all() {
        let of =
            [("module", module), ("event", one.name.as_str()), ("listener", one.listener.as_str())];
        family.sample(&of, one.failing);
    }
    let help = "For how long the event has been there that has waited the longest.";
    let mut family = page.family("monolift_events_oldest_seconds", Kind::Gauge, help);
    for (module, one) in all() {
        let of =
            [("module", module), ("event", one.name.as_str()), ("listener", one.listener.as_str())];
        family.sample(&of, one.oldest_ms.unwrap_or_default() as f64 / 1e3);
    }
}
