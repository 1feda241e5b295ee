//! Events: what has happened in one module, handled by others, each in its own database.
//!
//! Publishing writes an event, and an *offer* of it for each listener, in the publisher's transaction. A listener pulls:
//! it takes the offers that are due for a short while (a *lease*), handles each event, and settles the offers. An offer is
//! deleted when its listener has handled the event. What a listener has not handled is what it is offered, however late
//! the event was committed.
//!
//! An event can be delivered more than once, after a crash or a lost answer. The listener notes in its *inbox*, in its own
//! database, what it has handled, in the transaction of the effect. So the effect happens once.
//!
//! Events of one key are numbered, under a lock that lasts until the commit. The inbox goes from a number to the next one
//! only, so a later event of the key waits, on any replica.

mod batch;
mod builds;
mod delivery;
mod feed;
mod feeds;
mod heard;
mod inbox;
mod ledger;
mod listener;
mod looks;
mod offer;
mod publish;
mod rebuild;
mod registry;
mod retention;
mod statements;
mod subject;
mod tables;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;

pub use builds::ReadModel;
pub use delivery::{Delivery, EventTx, On};
pub use feed::PublisherFeed;
pub use feeds::Feeds;
pub use heard::{Failure, Heard, Parked, Start};
pub(crate) use ledger::AttendedEvents;
pub use ledger::{AnyEventLedger, EventLedger, Lag, ParkedEvent, ParkedFilter};
pub use listener::Listener;
pub use monolift_call::Event;
pub use offer::{Ask, Ending, Feed, FeedError, Offer, Progress, Settled, Subscription};
pub use publish::{Events, ForeignEvent};
pub(crate) use rebuild::{KEPT, rebuilding};
pub use subject::{EventOfSubject, OfferOfSubject};
pub use tables::history;
