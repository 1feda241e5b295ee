//! Connections that have not said hello yet.
//!
//! They are bounded in number. When one more comes, the oldest is closed: an honest peer says hello
//! within milliseconds, so the oldest is the one that is least likely to be honest. Refusing the
//! newest instead would let a few silent connections keep everyone out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Handshakes {
    limit: usize,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    next: u64,
    /// From the oldest to the newest.
    by_age: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection, until it has said hello.
#[derive(Debug)]
pub(super) struct Handshake {
    handshakes: Arc<Handshakes>,
    number: u64,
    given_up: Arc<Notify>,
}

impl Handshakes {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, pending: Mutex::default() })
    }

    /// A place for a connection that was just accepted. The oldest one loses its place if there are
    /// too many.
    pub(super) fn begin(self: &Arc<Self>) -> Handshake {
        let mut pending = self.pending();
        if pending.by_age.len() >= self.limit
            && let Some((_, oldest)) = pending.by_age.pop_first()
        {
            oldest.notify_one();
        }
        let number = pending.next;
        pending.next += 1;
        let given_up = Arc::new(Notify::new());
        pending.by_age.insert(number, Arc::clone(&given_up));
        drop(pending);
        Handshake { handshakes: Arc::clone(self), number, given_up }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// Ready when the connection has lost its place to a newer one.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.handshakes.pending().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_oldest_makes_way_for_the_newest() {
        let handshakes = Handshakes::new(2);
        let (first, second) = (handshakes.begin(), handshakes.begin());
        assert!(first.given_up().now_or_never().is_none());
        let third = handshakes.begin();
        assert!(first.given_up().now_or_never().is_some());
        // One that has said hello in time gives its place back.
        drop(second);
        let fourth = handshakes.begin();
        assert!(third.given_up().now_or_never().is_none());
        assert!(fourth.given_up().now_or_never().is_none());
        drop((first, third, fourth));
        assert!(handshakes.pending().by_age.is_empty());
    }
}
