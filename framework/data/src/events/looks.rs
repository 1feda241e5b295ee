//! When a feed looks for events.
//!
//! Publishing says so before the transaction is committed. So the feed looks when a transaction of its module's `Db` ends
//! after that, and a few times later for the transactions of other pools. It also looks now and then, since another
//! replica may publish without a word.

use crate::line::Line;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

/// How often a feed looks while it hears nothing.
const NOW_AND_THEN: Duration = Duration::from_millis(250);
/// When it looks after an event was published.
const SOON: [Duration; 5] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(7),
    Duration::from_millis(17),
    Duration::from_millis(67),
];
/// The shortest time between two looks: transactions that publish nothing end too.
const APART: Duration = Duration::from_millis(1);

/// What a feed hears while it waits.
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
        // The feed's own statements have ended too.
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
