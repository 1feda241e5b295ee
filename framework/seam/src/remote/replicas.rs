//! The replicas of a process, and which of them takes the next call.
//!
//! Draws two healthy replicas at random and takes the one with the lower expected cost. A replica is unhealthy while its
//! breaker is open, while it does not answer pings, or when it has asked to be left alone. If none is healthy, any
//! connected replica is taken.

use super::{
    ReplicaAddress, Whereabouts,
    breaker::Complaint,
    connection::Connection,
    find::{Find, FindError},
    finder::finder,
    replica::{Replica, Turn},
    retry::Verdict,
    versions::Told,
};
use crate::call::{CallError, CallErrorKind, chance, clock};
use arc_swap::ArcSwap;
use monolift_manifest::Address;
use std::{
    sync::{Arc, Mutex, Once, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

/// The longest that a call waits for a connection to any replica.
const PATIENCE: Duration = Duration::from_millis(950);
/// A replica is preferred to another if it costs less than this part of it. Otherwise chance decides, so
/// that a small difference does not bring all calls to one replica.
const MUCH_LESS: f64 = 0.6;
/// A replica with less than this part of the others' success rate is left out.
const MUCH_WORSE: f64 = 0.8;
/// The least time between two look-ups of the addresses.
const SOONEST: Duration = Duration::from_millis(500);
/// Random draws before the replicas are looked at one by one.
const DRAWS: usize = 4;

#[derive(Debug)]
pub(super) struct Replicas {
    whereabouts: Arc<Whereabouts>,
    connections: usize,
    list: ArcSwap<Vec<Arc<Replica>>>,
    /// Changes whenever a connection is made or ends, and with the list.
    news: watch::Sender<()>,
    /// The versions of the process that the log has told of.
    told: Arc<Told>,
    finder: Mutex<Option<Box<dyn Find>>>,
    /// Why no addresses are known.
    unknown: Mutex<Option<String>>,
    begun: Once,
    /// Requests an early look-up of the addresses.
    wanted: Arc<Notify>,
}

/// The connection that takes a call; and, where there are several replicas, the record of the call.
pub(super) struct Chosen {
    pub(super) connection: Arc<Connection>,
    pub(super) turn: Option<Turn>,
}

impl Replicas {
    pub(super) fn new(whereabouts: Arc<Whereabouts>, connections: usize) -> Arc<Self> {
        let (addresses, finder) = match finder(&whereabouts.connect, &whereabouts.network) {
            Ok(addresses) => (addresses, None),
            Err(finder) => (Vec::new(), Some(finder)),
        };
        let replicas = Self {
            whereabouts,
            connections,
            list: ArcSwap::default(),
            news: watch::Sender::new(()),
            told: Arc::default(),
            finder: Mutex::new(finder),
            unknown: Mutex::new(None),
            begun: Once::new(),
            wanted: Arc::default(),
        };
        replicas.set(addresses);
        Arc::new(replicas)
    }

    /// Replaces the list. Replicas that stay keep their connections, and calls in flight to removed ones go on.
    fn set(&self, mut addresses: Vec<Address>) {
        addresses.sort();
        addresses.dedup();
        let before = self.list.load();
        if before.iter().map(|replica| replica.address()).eq(&addresses) {
            return;
        }
        let make = |address: Address| {
            let known = before.iter().find(|replica| *replica.address() == address);
            known.cloned().unwrap_or_else(|| {
                let (whereabouts, news) = (Arc::clone(&self.whereabouts), self.news.clone());
                let told = Arc::clone(&self.told);
                let target = ReplicaAddress { address, whereabouts, news, told };
                Arc::new(Replica::new(target, self.connections))
            })
        };
        let now: Vec<Arc<Replica>> = addresses.into_iter().map(make).collect();
        if self.begun.is_completed() {
            now.iter().for_each(|replica| replica.begin());
        }
        self.list.store(Arc::new(now));
        self.news.send_replace(());
    }

    /// Connects at the first call, and whenever no replica is connected.
    fn begin(self: &Arc<Self>) {
        self.begun.call_once(|| {
            let finder = self.finder.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(finder) = finder {
                let wanted = Arc::clone(&self.wanted);
                tokio::spawn(keep_finding(Arc::downgrade(self), finder, wanted));
            }
        });
        self.wanted.notify_one();
        self.list.load().iter().for_each(|replica| replica.begin());
    }

    /// All replicas that are known.
    pub(super) fn all(&self) -> Arc<Vec<Arc<Replica>>> {
        self.list.load_full()
    }

    /// Picks a replica for the next call, if one is connected now; one other than `other_than`, if possible.
    pub(super) fn choose(&self, other_than: Option<&Arc<Replica>>) -> Option<Chosen> {
        let list = self.list.load();
        if let [only] = &list[..] {
            return Some(Chosen { connection: only.up()?, turn: None });
        }
        let now = clock::now();
        let is_other =
            |replica: &Arc<Replica>| other_than.is_none_or(|other| !Arc::ptr_eq(other, replica));
        let well = |replica: &Arc<Replica>| is_other(replica) && replica.is_well(now);
        let probe = list.iter().find_map(|replica| {
            let may_be = !replica.breaker.is_closed()
                && replica.up().is_some_and(|connection| !connection.is_silent());
            let probe = may_be.then(|| replica.breaker.begin_probe(now)).flatten()?;
            probe.change.into_iter().for_each(|change| replica.log(change));
            Some(replica)
        });
        let (replica, is_probe) = match probe {
            Some(replica) => (replica, true),
            None => {
                let chosen = cheaper(&list, well, now)
                    .or_else(|| cheaper(&list, |replica| replica.is_well(now), now))
                    .or_else(|| cheaper(&list, |replica| replica.up().is_some(), now))?;
                (chosen, false)
            }
        };
        let turn = Turn::begin(Arc::clone(replica), now, is_probe);
        Some(Chosen { connection: replica.up()?, turn: Some(turn) })
    }

    /// Picks a replica for the next call. If none is connected, waits until every replica has been tried once
    /// since this call began, 950 ms at most.
    pub(super) async fn wait(
        self: &Arc<Self>,
        other_than: Option<&Arc<Replica>>,
    ) -> Result<Chosen, CallError> {
        let mut news = self.news.subscribe();
        let since = Instant::now();
        loop {
            news.mark_unchanged();
            self.begin();
            if let Some(chosen) = self.choose(other_than) {
                return Ok(chosen);
            }
            if let Some(why) = self.why_nobody(since) {
                return Err(self.unreachable(&why));
            }
            if timeout_at(since + PATIENCE, news.changed()).await.is_err() {
                let connect = &self.whereabouts.connect;
                return Err(self.unreachable(&format!("at {connect}: no connection yet")));
            }
        }
    }

    /// Why no replica is connected, if each has been tried after `since`.
    fn why_nobody(&self, since: Instant) -> Option<String> {
        let list = self.list.load();
        if list.is_empty() {
            let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            let connect = &self.whereabouts.connect;
            return unknown.as_ref().map(|why| format!("at {connect}: {why}"));
        }
        let whys: Option<Vec<String>> = list
            .iter()
            .map(|replica| Some(format!("at {}: {}", replica.address(), replica.why_down(since)?)))
            .collect();
        Some(whys?.join("; "))
    }

    fn unreachable(&self, why: &str) -> CallError {
        let process = &self.whereabouts.process;
        CallError::new(
            CallErrorKind::Unreachable,
            format!("the process `{process}` cannot be reached {why}"),
        )
    }

    /// Records how a call ended. Opens the breaker of a replica that does worse than the others.
    pub(super) fn learn(&self, turn: Turn, verdict: Verdict) {
        let now = clock::now();
        let replica = Arc::clone(&turn.replica);
        let Some(complaint) = turn.end(now, verdict) else { return };
        let list = self.list.load();
        let others = || list.iter().filter(|other| !Arc::ptr_eq(other, &replica));
        let is_out = match complaint {
            Complaint::InARow(_) => others().any(|other| other.is_well(now)),
            Complaint::Rate(own) => {
                let well = others().filter(|other| other.is_well(now));
                let rates: Vec<f64> =
                    well.map(|other| other.breaker.rate(now).unwrap_or(1.0)).collect();
                let mean = rates.iter().sum::<f64>() / rates.len() as f64;
                !rates.is_empty() && own < mean * MUCH_WORSE
            }
        };
        if is_out && let Some(change) = replica.breaker.open(now) {
            replica.log(change);
        }
    }
}

/// Draws two of the healthy replicas and takes the cheaper one.
fn cheaper(
    list: &[Arc<Replica>],
    will_do: impl Fn(&Arc<Replica>) -> bool,
    now: Instant,
) -> Option<&Arc<Replica>> {
    let first = draw(list, &will_do)?;
    let another = |replica: &Arc<Replica>| !Arc::ptr_eq(replica, first) && will_do(replica);
    let Some(second) = draw(list, another) else { return Some(first) };
    let much_less = second.load.cost(now) < first.load.cost(now) * MUCH_LESS;
    Some(if much_less { second } else { first })
}

/// One of the healthy replicas, each with the same chance.
fn draw(list: &[Arc<Replica>], will_do: impl Fn(&Arc<Replica>) -> bool) -> Option<&Arc<Replica>> {
    if list.is_empty() {
        return None;
    }
    for _ in 0..DRAWS {
        let drawn = &list[chance::below(list.len())];
        if will_do(drawn) {
            return Some(drawn);
        }
    }
    let all: Vec<_> = list.iter().filter(|replica| will_do(replica)).collect();
    (!all.is_empty()).then(|| all[chance::below(all.len())])
}

/// Looks the addresses up at intervals until the list is dropped, and sooner while none of the known ones answers.
async fn keep_finding(replicas: Weak<Replicas>, finder: Box<dyn Find>, wanted: Arc<Notify>) {
    let mut said = None;
    loop {
        let found = finder.find().await;
        let Some(replicas) = replicas.upgrade() else { return };
        let process = &replicas.whereabouts.process;
        let found = found.and_then(|addresses| {
            if addresses.is_empty() { Err(FindError::Nowhere) } else { Ok(addresses) }
        });
        let why = match found {
            Ok(addresses) => {
                if said.is_some() {
                    tracing::info!(process, ?addresses, "its addresses are known again");
                }
                replicas.set(addresses);
                None
            }
            Err(error) => {
                let why = error.to_string();
                if said.as_ref() != Some(&why) {
                    tracing::warn!(process, why, "its addresses are not known; the last ones stay");
                }
                Some(why)
            }
        };
        said.clone_from(&why);
        *replicas.unknown.lock().unwrap_or_else(PoisonError::into_inner) = why;
        replicas.news.send_replace(());
        drop(replicas);
        let every = finder.every();
        let soonest = every.min(SOONEST);
        sleep(soonest).await;
        // Those that it had may all have gone.
        let _ = timeout(every - soonest, wanted.notified()).await;
    }
}
