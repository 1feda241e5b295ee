//! Decides when a feed looks for events.
//!
//! Publishing wakes the feed before the transaction commits. So the feed looks again when a transaction of its module's
//! `Db` ends, and at a few fixed delays for transactions of other pools. It also polls, because a replica in another
//! process cannot wake it.

use crate::line::Line;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

/// The interval of polls while no event is published here.
const NOW_AND_THEN: Duration = Duration::from_millis(250);
/// Delays of the looks after an event was published.
const SOON: [Duration; 5] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(7),
    Duration::from_millis(17),
    Duration::from_millis(67),
];
/// The shortest time between two looks, because transactions that publish nothing wake the feed, too.
const APART: Duration = Duration::from_millis(1);

/// The signals that a feed waits for.
pub(super) struct Looks {
    published: watch::Receiver<()>,
    ended: watch::Receiver<()>,
    published_at: Instant,
}

impl Looks {
    /// `published` changes with each event, and transactions wait for their turns in `line`.
    pub(super) fn new(published: &watch::Sender<()>, line: &Line) -> Self {
        // An event may have been published just now.
        let published_at = Instant::now();
        Self { published: published.subscribe(), ended: line.ended(), published_at }
    }

    /// After a look, waits for the time of the next one, at most until `until`.
    pub(super) async fn wait(&mut self, until: Instant) {
        let looked = Instant::now();
        // Ignores the end of the feed's own statements.
        self.ended.mark_unchanged();
        let mut next = self.soon(looked);
        if next.is_none() {
            let by = until.min(looked + NOW_AND_THEN);
            if timeout_at(by, self.published.changed()).await.is_err() {
                return;
            }
            self.published_at = Instant::now();
            next = self.soon(self.published_at);
        }
        let next = next.map_or(until, |next| next.min(until));
        if timeout_at(next, self.ended.changed()).await.is_ok() {
            sleep_until((looked + APART).min(until)).await;
        }
        if self.published.has_changed().unwrap_or_default() {
            self.published.mark_unchanged();
            self.published_at = Instant::now();
        }
    }

    /// The next time to look for what was published.
    fn soon(&self, now: Instant) -> Option<Instant> {
        SOON.into_iter().map(|after| self.published_at + after).find(|at| *at > now)
    }
}
