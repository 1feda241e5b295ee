//! Events between processes: a listener takes them from the process of the module that publishes them, by calls that go
//! the way that its other calls go. They are an interface like any other, owned by no module of the application.
//!
//! Any replica of the publisher answers: what a listener has taken, and how far it is, is in the publisher's database.

use super::{linked::ThisProcess, peers::Peers};
use crate::{
    call::{CallError, CallSettings},
    link::{Interface, Link, Links},
    module::{ModuleEntry, StartError},
    wire::Carrier,
};
use monolift_call::InterfaceError;
use monolift_data::events::{Ask, Ending, Feed, FeedError, Feeds, Offer, Progress, Settled};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Arc, Weak},
};
use thiserror::Error;

/// The events of a process's modules, for listeners in other processes.
#[monolift_call::interface(module = "monolift")]
pub trait EventFeeds {
    /// Takes offers of a module's events that are due, or waits until some are.
    #[deadline("10s")]
    async fn take(&self, publisher: String, ask: Ask) -> Result<Vec<Offer>, FeedsError>;

    /// Says how it went with offers.
    #[idempotent]
    #[deadline("5s")]
    async fn settle(
        &self,
        publisher: String,
        listener: String,
        settled: Vec<Settled>,
    ) -> Result<(), FeedsError>;

    /// Keeps offers for another lease.
    #[idempotent]
    #[deadline("5s")]
    async fn renew(
        &self,
        publisher: String,
        listener: String,
        events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedsError>;

    /// How far a listener is with the events of these names.
    #[idempotent]
    #[deadline("5s")]
    async fn progress(
        &self,
        publisher: String,
        listener: String,
        names: Vec<String>,
    ) -> Result<Progress, FeedsError>;

    /// Offers nothing more to a listener.
    #[idempotent]
    #[deadline("5s")]
    async fn leave(&self, publisher: String, listener: String) -> Result<(), FeedsError>;
}

/// Why a feed did not answer.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum FeedsError {
    /// The module has no events, or does not run in the process.
    #[error(
        "the module `{0}` publishes no events here: it needs a field `events: Events`, and to run in this process"
    )]
    NoEvents(String),
    /// The process could not be asked, or its database did not answer.
    #[error(transparent)]
    Call(CallError),
}

/// Answers listeners of other processes.
struct Here {
    feeds: Weak<Feeds>,
    /// The most bytes of offers in an answer: what a frame holds.
    most: u64,
}

impl Here {
    fn feed(&self, publisher: &str) -> Result<Arc<dyn Feed>, FeedsError> {
        let feed = self.feeds.upgrade().and_then(|feeds| feeds.of(publisher));
        feed.ok_or_else(|| FeedsError::NoEvents(publisher.to_owned()))
    }
}

impl Here {
    /// Has an event left alone that no answer can hold.
    fn park(&self, offer: &Offer) -> Settled {
        let (event, id, bytes) = (&offer.name, &offer.event, offer.bytes());
        let error = format!(
            "it takes {bytes} bytes, and an answer to another process has room for {}: raise `limits.frame`, then \
             retry it",
            self.most
        );
        tracing::error!(event, id, error, "an event is parked");
        offer.settled(Ending::Parked { error, passed: false })
    }
}

#[monolift_call::async_trait]
impl EventFeeds for Here {
    async fn take(&self, publisher: String, ask: Ask) -> Result<Vec<Offer>, FeedsError> {
        let (feed, listener) = (self.feed(&publisher)?, ask.listener.clone());
        let ask = Ask { bytes: ask.bytes.min(self.most), ..ask };
        let taken = feed.take(ask).await.map_err(FeedError::into_cause)?;
        let fits = |offer: &Offer| offer.bytes() <= self.most;
        let (fitting, large): (Vec<_>, Vec<_>) = taken.into_iter().partition(fits);
        if !large.is_empty() {
            let parked = large.iter().map(|offer| self.park(offer)).collect();
            feed.settle(listener, parked).await.map_err(FeedError::into_cause)?;
        }
        Ok(fitting)
    }

    async fn settle(
        &self,
        publisher: String,
        listener: String,
        settled: Vec<Settled>,
    ) -> Result<(), FeedsError> {
        let answer = self.feed(&publisher)?.settle(listener, settled).await;
        Ok(answer.map_err(FeedError::into_cause)?)
    }

    async fn renew(
        &self,
        publisher: String,
        listener: String,
        events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedsError> {
        let answer = self.feed(&publisher)?.renew(listener, events, holders).await;
        Ok(answer.map_err(FeedError::into_cause)?)
    }

    async fn progress(
        &self,
        publisher: String,
        listener: String,
        names: Vec<String>,
    ) -> Result<Progress, FeedsError> {
        let answer = self.feed(&publisher)?.progress(listener, names).await;
        Ok(answer.map_err(FeedError::into_cause)?)
    }

    async fn leave(&self, publisher: String, listener: String) -> Result<(), FeedsError> {
        let answer = self.feed(&publisher)?.leave(listener).await;
        Ok(answer.map_err(FeedError::into_cause)?)
    }
}

/// The events of a module that runs in another process.
struct Elsewhere {
    publisher: String,
    client: EventFeedsClient,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Elsewhere({})", self.publisher)
    }
}

#[monolift_call::async_trait]
impl Feed for Elsewhere {
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError> {
        self.client.take(self.publisher.clone(), ask).await.map_err(FeedError::new)
    }

    async fn settle(&self, listener: String, settled: Vec<Settled>) -> Result<(), FeedError> {
        let told = self.client.settle(self.publisher.clone(), listener, settled).await;
        told.map_err(FeedError::new)
    }

    async fn renew(
        &self,
        listener: String,
        events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedError> {
        let renewed = self.client.renew(self.publisher.clone(), listener, events, holders).await;
        renewed.map_err(FeedError::new)
    }

    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError> {
        let progress = self.client.progress(self.publisher.clone(), listener, names).await;
        progress.map_err(FeedError::new)
    }

    async fn leave(&self, listener: String) -> Result<(), FeedError> {
        self.client.leave(self.publisher.clone(), listener).await.map_err(FeedError::new)
    }
}

/// Answers listeners of other processes, and knows where the modules of this one take events from that run elsewhere.
pub(super) fn connect(
    here: &[ModuleEntry],
    place: &ThisProcess,
    served: &Links,
    peers: &mut Peers,
) -> Result<Arc<Feeds>, StartError> {
    let feeds = Arc::new(Feeds::default());
    let most = place.manifest.limits.frame as u64 * 7 / 8;
    served.link::<dyn EventFeeds>().bind(Arc::new(Here { feeds: Arc::downgrade(&feeds), most }));
    let publishers = here.iter().flat_map(|entry| (entry.facts)().on).map(|(module, _)| *module);
    for publisher in publishers.filter(|publisher| !place.runs_here(publisher)) {
        let Some(way) = peers.to(place, publisher)? else { continue };
        let client = client(way);
        feeds.add(publisher, Arc::new(Elsewhere { publisher: publisher.to_owned(), client }));
    }
    Ok(feeds)
}

/// What goes on without a request is not recorded as one.
fn client(way: Arc<dyn Carrier>) -> EventFeedsClient {
    let link = Link::<dyn EventFeeds>::unbound(Arc::new(CallSettings::default()));
    link.bind_carrier(way);
    <dyn EventFeeds as Interface>::client(link)
}
