//! What a listener and a publisher tell each other. Between processes it is what goes over the connection.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{error::Error, fmt};

/// An event that a module listens to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// The name of the event.
    pub name: String,
    /// The latest version that the listener can read.
    pub version: u32,
    /// Whether a listener that is new begins with the first event that is kept. Otherwise it begins with those that are
    /// published after it was added.
    pub from_first: bool,
}

/// What a listener asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// The module that listens.
    pub listener: String,
    /// The events that it listens to.
    pub subscriptions: Vec<Subscription>,
    /// The most offers that it has room for.
    pub most: u32,
    /// How long to wait for an offer if none is due, in milliseconds.
    pub wait_ms: u64,
    /// The most bytes of offers that it has room for. An offer that has more comes alone.
    #[serde(default = "default_bytes")]
    pub bytes: u64,
}

/// The most bytes of offers in one answer, unless the way to the listener takes less.
pub(super) const BYTES: u64 = 4 * 1024 * 1024;

fn default_bytes() -> u64 {
    BYTES
}

/// An event that a listener is to handle. It is the listener's for the time of the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// The number of the event.
    pub event: String,
    /// Its name.
    pub name: String,
    /// The version of its fields.
    pub version: u32,
    /// Its key.
    pub key: Option<String>,
    /// Its number among those of its key, from 1.
    pub number: i64,
    /// Whether the listener has none before it of its key.
    pub begins: bool,
    /// Whether it is to be passed over.
    pub skipped: bool,
    /// Its fields, as JSON.
    pub payload: String,
    /// The trace that it was published in.
    pub trace: Option<String>,
    /// How often it was tried, with this time.
    pub attempts: u32,
    /// 0, or the number of the replay that it is part of: it is handled once more, whatever was handled before.
    #[serde(default)]
    pub replay: i64,
    /// The claim that it was taken by.
    pub holder: String,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ending {
    /// The listener has handled it, now or before.
    Handled,
    /// It failed and is tried again.
    Again {
        /// Why it failed.
        error: String,
        /// The pause before it is tried again, in milliseconds.
        pause_ms: u64,
    },
    /// It failed too often. It is left alone until a person decides.
    Parked {
        /// Why it failed last.
        error: String,
        /// Whether later events of its key are handled before that. The listener has passed it over then.
        passed: bool,
    },
    /// It was not tried: an event before it has to be handled first, or the process stops.
    Returned {
        /// The pause before it is offered again, in milliseconds.
        pause_ms: u64,
    },
}

/// How it went with an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settled {
    /// The number of the event.
    pub event: String,
    /// The claim that it was taken by.
    pub holder: String,
    /// How it went.
    pub ending: Ending,
    /// That of the offer.
    #[serde(default)]
    pub replay: i64,
}

/// The most bytes of an offer beside its payload and its key.
pub(super) const ASIDE: u64 = 512;

impl Offer {
    /// The bytes that it takes in an answer, at most.
    pub fn bytes(&self) -> u64 {
        let key = self.key.as_ref().map_or(0, String::len);
        ASIDE + (self.payload.len() + key) as u64
    }

    /// Says how it went with this one.
    pub fn settled(&self, ending: Ending) -> Settled {
        let (event, holder) = (self.event.clone(), self.holder.clone());
        Settled { event, holder, ending, replay: self.replay }
    }
}

/// How far a listener is with the events of some names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The age of the oldest event that it has not handled, 0 if there is none. Nothing if the listener, or an event that
    /// is kept for it, is not known yet.
    pub behind_ms: Option<i64>,
    /// The number of the first event that it can still be offered, if there is one. Those before it are settled.
    #[serde(default)]
    pub first: Option<String>,
    /// Whether some of these events were removed, since they were older than they are kept.
    pub removed: bool,
}

/// Why a feed did not answer.
#[derive(Debug)]
pub struct FeedError(Box<dyn Error + Send + Sync>);

impl FeedError {
    /// One with this cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    /// Its cause.
    pub fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Error for FeedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<sqlx::Error> for FeedError {
    fn from(error: sqlx::Error) -> Self {
        Self::new(error)
    }
}

/// Where the events of one module are taken from: its database, or a process that has it.
#[async_trait]
pub trait Feed: fmt::Debug + Send + Sync + 'static {
    /// Takes offers that are due, or waits until some are. It may answer with none.
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError>;

    /// Says how it went with offers. A repetition changes nothing.
    async fn settle(&self, listener: String, settled: Vec<Settled>) -> Result<(), FeedError>;

    /// Keeps the offers of these events for another lease, as far as they are held by one of these claims.
    async fn renew(
        &self,
        listener: String,
        events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedError>;

    /// How far a listener is with the events of these names.
    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError>;

    /// Offers nothing more to a listener. A repetition changes nothing.
    async fn leave(&self, listener: String) -> Result<(), FeedError>;
}
