//! The keys of one issuer: looked up by their names, renewed in the background.
//!
//! A key that is not known is asked for, by one fetch at a time and seldom, so that tokens with invented names of keys
//! cost the issuer nothing. A key that the issuer no longer shows stays valid for a while: tokens that it has signed are
//! still about. If the issuer cannot be reached, the keys that are known stay.

use crate::{
    fetch::{Fetch, FetchError, is_trusted},
    json,
    key::Key,
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep, timeout},
};

/// The fetches for unknown keys that may follow each other without a pause: an issuer can sign with a new key at once.
const BURST: u32 = 3;
/// More keys than any issuer has.
const MOST_KEYS: usize = 64;

/// How often keys are fetched, and how long old ones stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two fetches in the background.
    pub refresh: Duration,
    /// The least time between two fetches, whatever is asked for, but for the first few.
    pub least: Duration,
    /// The same, as long as no key is known: no token can be verified until one is.
    pub first: Duration,
    /// How long a token waits for the first key. If it does not wait, it has the keys fetched.
    pub patience: Duration,
    /// How long a key stays valid after the issuer has stopped to show it.
    pub overlap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            least: Duration::from_secs(5),
            first: Duration::from_secs(5),
            patience: Duration::ZERO,
            overlap: Duration::from_secs(900),
        }
    }
}

/// Where an issuer's keys are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In the document that the issuer's own description names.
    Discovered { issuer: String },
    /// Here.
    At(String),
}

/// The keys of one issuer.
pub(crate) struct Keys {
    source: Source,
    fetch: Arc<dyn Fetch>,
    pace: Pace,
    known: RwLock<BTreeMap<String, Known>>,
    /// Whether a fetch has ever gone well.
    arrived: watch::Sender<bool>,
    /// The fetches that have failed since one went well.
    failed: AtomicU64,
    /// Held during a fetch. The time from which a whole burst is allowed again.
    rested: Arc<Mutex<Instant>>,
}

#[derive(Clone)]
struct Known {
    key: Arc<Key>,
    /// When the issuer showed it last.
    shown: Instant,
}

impl Keys {
    pub(crate) fn new(source: Source, fetch: Arc<dyn Fetch>, pace: Pace) -> Arc<Self> {
        let (known, rested) = (RwLock::default(), Arc::new(Mutex::new(Instant::now())));
        let arrived = watch::Sender::new(false);
        let failed = AtomicU64::new(0);
        Arc::new(Self { source, fetch, pace, known, arrived, failed, rested })
    }

    /// Renews the keys until they are dropped.
    pub(crate) fn keep_fresh(self: &Arc<Self>) {
        let keys = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let Some(alive) = Weak::upgrade(&keys) else { return };
                let went_well = alive.renew(None).await;
                let pause = if went_well { alive.pace.refresh } else { alive.least() };
                drop(alive);
                sleep(pause).await;
            }
        });
    }

    /// The key of this name. Without a name it is the only one there is.
    pub(crate) async fn find(self: &Arc<Self>, name: Option<&str>) -> Found {
        if let Some(key) = self.look(name) {
            return Found::Key(key);
        }
        if self.known().is_empty() && !self.pace.patience.is_zero() {
            // The first keys are on their way: see `keep_fresh`. Whether they come in time is seen below.
            let mut arrived = self.arrived.subscribe();
            let _ = timeout(self.pace.patience, arrived.wait_for(|arrived| *arrived)).await;
        } else {
            self.renew(Some(name)).await;
        }
        match self.look(name) {
            Some(key) => Found::Key(key),
            None if self.known().is_empty() => Found::NoneYet,
            None => Found::Unknown,
        }
    }

    /// Whether this is the key of that name now.
    pub(crate) fn has(&self, name: Option<&str>, key: &Arc<Key>) -> bool {
        self.look(name).is_some_and(|known| Arc::ptr_eq(&known, key))
    }

    /// The least time between two fetches now.
    fn least(&self) -> Duration {
        if self.known().is_empty() { self.pace.first } else { self.pace.least }
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, name: Option<&str>) -> Option<Arc<Key>> {
        let known = self.known();
        let found = match name {
            Some(name) => known.get(name),
            None if known.len() == 1 => known.values().next(),
            None => None,
        };
        found.map(|known| Arc::clone(&known.key))
    }

    /// Fetches the keys, unless that was done a moment ago or another one has done it meanwhile. `wanted` is the key that
    /// is missing. Says whether the last fetch went well.
    async fn renew(self: &Arc<Self>, wanted: Option<Option<&str>>) -> bool {
        let mut rested = Arc::clone(&self.rested).lock_owned().await;
        let is_here = wanted.is_some_and(|name| self.look(name).is_some());
        let (now, least) = (Instant::now(), self.least());
        let in_advance = if wanted.is_some() { BURST - 1 } else { 0 };
        let is_soon = *rested > now + least * in_advance;
        if is_here || is_soon {
            return !self.known().is_empty();
        }
        *rested = now.max(*rested) + least;
        let keys = Arc::clone(self);
        // In a task of its own: a client that goes away does not end the fetch for the others.
        let fetching = tokio::spawn(async move {
            let _one_at_a_time = rested;
            match keys.fetched_now().await {
                Ok(new) => {
                    keys.failed.store(0, Relaxed);
                    keys.take(new);
                    true
                }
                Err(FetchError::Stopped) => false,
                Err(error) => {
                    let failed = keys.failed.fetch_add(1, Relaxed) + 1;
                    // The first one, and then ever fewer.
                    if failed.is_power_of_two() {
                        tracing::warn!(
                            %error, failed,
                            "the keys of an issuer of tokens cannot be fetched"
                        );
                    }
                    false
                }
            }
        });
        fetching.await.unwrap_or(false)
    }

    async fn fetched_now(&self) -> Result<BTreeMap<String, Arc<Key>>, FetchError> {
        let url = match &self.source {
            Source::At(url) => url.clone(),
            Source::Discovered { issuer } => {
                let url =
                    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let text = self.fetch.get(&url).await?;
                let wrong = |why: &str| FetchError::new(&url, why);
                let described = json::object(&text).ok_or_else(|| wrong("it is no object"))?;
                let stated = |name| described.get(name).and_then(Value::as_str);
                if stated("issuer") != Some(issuer) {
                    return Err(wrong("it describes another issuer"));
                }
                let keys = stated("jwks_uri").filter(|keys| is_trusted(keys));
                keys.ok_or_else(|| wrong("it names no keys that can be trusted"))?.to_owned()
            }
        };
        let text = self.fetch.get(&url).await?;
        read(&text).ok_or_else(|| FetchError::new(&url, "it holds no key that can be used"))
    }

    /// Takes what the issuer shows now. Keys that it showed within the overlap stay. Only a fetch that went well takes a
    /// key away: while the issuer cannot be reached, nothing is known of its keys.
    fn take(&self, new: BTreeMap<String, Arc<Key>>) {
        let shown = Instant::now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known.shown.elapsed() <= self.pace.overlap);
        for (name, key) in new {
            known.insert(name, Known { key, shown });
        }
        drop(known);
        self.arrived.send_replace(true);
    }
}

/// What became of a search.
pub(crate) enum Found {
    Key(Arc<Key>),
    Unknown,
    /// No key of the issuer has ever been got.
    NoneYet,
}

/// The keys of a set by their names; `None` if there is none. Of two with one name the first counts.
fn read(text: &[u8]) -> Option<BTreeMap<String, Arc<Key>>> {
    let set = json::object(text)?;
    let all = set.get("keys")?.as_array()?.iter().take(MOST_KEYS).filter_map(Value::as_object);
    let named = |jwk: &Map<String, Value>| {
        let name = jwk.get("kid").map_or(Some(""), Value::as_str)?;
        Some((name.to_owned(), Arc::new(Key::read(jwk)?)))
    };
    let mut keys = BTreeMap::new();
    for (name, key) in all.filter_map(named) {
        keys.entry(name).or_insert(key);
    }
    (!keys.is_empty()).then_some(keys)
}
