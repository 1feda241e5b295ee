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
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

/// More keys than any issuer has.
const MOST_KEYS: usize = 64;

/// How often keys are fetched, and how long old ones stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two fetches in the background.
    pub refresh: Duration,
    /// The least time between two fetches, whatever is asked for.
    pub least: Duration,
    /// How long a key stays valid after the issuer has stopped to show it.
    pub overlap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            least: Duration::from_secs(5),
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
    /// Held during a fetch. When the last one began.
    fetched: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone)]
struct Known {
    key: Arc<Key>,
    /// When the issuer showed it last.
    shown: Instant,
}

impl Keys {
    pub(crate) fn new(source: Source, fetch: Arc<dyn Fetch>, pace: Pace) -> Arc<Self> {
        let (known, fetched) = (RwLock::default(), Arc::default());
        Arc::new(Self { source, fetch, pace, known, fetched })
    }

    /// Renews the keys until they are dropped.
    pub(crate) fn keep_fresh(self: &Arc<Self>) {
        let keys = Arc::downgrade(self);
        let Pace { refresh, least, .. } = self.pace;
        tokio::spawn(async move {
            loop {
                let Some(alive) = Weak::upgrade(&keys) else { return };
                let went_well = alive.renew(None).await;
                drop(alive);
                sleep(if went_well { refresh } else { least }).await;
            }
        });
    }

    /// The key of this name. Without a name it is the only one there is.
    pub(crate) async fn find(self: &Arc<Self>, name: Option<&str>) -> Found {
        if let Some(key) = self.look(name) {
            return Found::Key(key);
        }
        self.renew(Some(name)).await;
        match self.look(name) {
            Some(key) => Found::Key(key),
            None if self.known().is_empty() => Found::NoneYet,
            None => Found::Unknown,
        }
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
        let mut fetched = Arc::clone(&self.fetched).lock_owned().await;
        let is_here = wanted.is_some_and(|name| self.look(name).is_some());
        let is_soon = fetched.is_some_and(|at| at.elapsed() < self.pace.least);
        if is_here || is_soon {
            return !self.known().is_empty();
        }
        *fetched = Some(Instant::now());
        let keys = Arc::clone(self);
        // In a task of its own: a client that goes away does not end the fetch for the others.
        let fetching = tokio::spawn(async move {
            let _one_at_a_time = fetched;
            match keys.fetched_now().await {
                Ok(new) => {
                    keys.take(new);
                    true
                }
                Err(error) => {
                    tracing::warn!(%error, "the keys of an issuer of tokens cannot be fetched");
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
