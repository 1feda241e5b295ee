//! How a peer behaves on a connection, and what that costs it.
//!
//! A call that a peer could know to be refused (an unknown method, one that it may not call, one beyond
//! the limit of its connection) passes no gate, so a flood of them would take a whole processor. Such
//! refusals are counted. A peer that gathers many is read from more and more slowly, and in the end
//! its connection is closed. Calls that are accepted count in its favour, so that a release which
//! misses one method is not punished for it.

use std::{future::Future, io, pin::Pin, task::Context, time::Duration};
use tokio::time::{Instant, Sleep, sleep};

/// Refusals that cost nothing yet.
const TOLERATED: u32 = 256;
/// The connection is closed at this many.
const TOO_MANY: u32 = 2_048;
/// An accepted call makes up for so many of them.
const FORGIVEN: u32 = 16;
/// The pause after a turn, for each [`TOLERATED`] refusals.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct Conduct {
    refused: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Conduct {
    /// A call was accepted.
    pub(super) fn accepted(&mut self) {
        self.refused = self.refused.saturating_sub(FORGIVEN);
    }

    /// A call was refused by the peer's own fault. An error when the connection is to be closed.
    pub(super) fn refused(&mut self) -> io::Result<()> {
        self.refused += 1;
        if self.refused >= TOO_MANY {
            let why = "nearly all of its calls are of methods that it may not call, that are not \
                       here, or beyond the limit of its connection";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(())
    }

    /// A turn of the connection's loop is over: sets the pause before the next one, if there is to be
    /// one.
    pub(super) fn end_turn(&mut self) {
        let times = self.refused / TOLERATED;
        if times > 0 && self.pause.is_none() {
            self.pause = Some(Box::pin(sleep(PAUSE * times)));
        }
    }

    /// Whether nothing is to be read yet. If so, the task is woken when the pause is over.
    pub(super) fn is_pausing(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pause) = &mut self.pause else { return false };
        let pausing = pause.as_mut().poll(cx).is_pending();
        if !pausing {
            self.pause = None;
        }
        pausing
    }
}

/// One turn of a connection's loop. Other tasks of the thread wait for its end, so it is bounded in
/// messages and in time.
pub(super) struct Turn {
    until: Instant,
    messages: u32,
}

impl Turn {
    /// The most messages of one turn.
    const MESSAGES: u32 = 64;
    /// The longest that a turn takes, but for the last message in it.
    const TIME: Duration = Duration::from_micros(500);

    pub(super) fn begin() -> Self {
        Self { until: crate::call::clock::now() + Self::TIME, messages: 0 }
    }

    /// Counts a message. Says whether the turn is over.
    pub(super) fn is_over(&mut self) -> bool {
        self.messages += 1;
        let look = self.messages.is_multiple_of(8);
        self.messages > Self::MESSAGES || (look && crate::call::clock::now() >= self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker_ref;

    fn is_pausing(conduct: &mut Conduct) -> bool {
        conduct.end_turn();
        conduct.is_pausing(&mut Context::from_waker(noop_waker_ref()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_only_refused_is_slowed_and_then_closed() {
        let mut conduct = Conduct::default();
        (1..TOLERATED).for_each(|_| conduct.refused().unwrap());
        assert!(!is_pausing(&mut conduct));
        conduct.refused().unwrap();
        assert!(is_pausing(&mut conduct));
        tokio::time::advance(PAUSE).await;
        assert!(!conduct.is_pausing(&mut Context::from_waker(noop_waker_ref())));
        (TOLERATED + 1..TOO_MANY).for_each(|_| conduct.refused().unwrap());
        tokio::time::advance(PAUSE).await;
        assert!(is_pausing(&mut conduct));
        tokio::time::advance(PAUSE * 6).await;
        assert!(is_pausing(&mut conduct), "the pause grows");
        let closed = conduct.refused().unwrap_err();
        assert_eq!(closed.kind(), io::ErrorKind::PermissionDenied);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_misses_one_method_in_ten_is_not_slowed() {
        let mut conduct = Conduct::default();
        for number in 0..100_000 {
            match number % 10 {
                0 => conduct.refused().unwrap(),
                _ => conduct.accepted(),
            }
            assert!(!is_pausing(&mut conduct));
        }
    }

    #[test]
    fn a_turn_is_bounded_in_messages() {
        let mut turn = Turn { until: Instant::now() + Duration::from_secs(3600), messages: 0 };
        let messages = (1..).find(|_| turn.is_over());
        assert_eq!(messages, Some(Turn::MESSAGES + 1));
        let mut turn = Turn { until: Instant::now(), messages: 0 };
        assert_eq!((1..).find(|_| turn.is_over()), Some(8));
    }
}
