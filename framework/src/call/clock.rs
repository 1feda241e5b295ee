//! Deadlines: where they start, and how far they may reach.
//!
//! All time is tokio's, so that a paused or simulated clock moves every deadline.

use std::time::Duration;
use tokio::time::Instant;

/// No deadline is further away than this, whatever a peer or a method asks for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a call that starts at the edge, with no call around it, is given.
#[derive(Debug, Clone)]
pub struct CallSettings {
    /// The deadline of a call that starts here, unless its method states its own.
    pub deadline: Duration,
    /// Log a call that runs past `deadline` instead of ending it. For a program that is only just
    /// adopting deadlines; a method's own deadline is enforced all the same.
    pub observe: bool,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), observe: false }
    }
}

impl CallSettings {
    /// When a call that starts now must end, and when to complain that it has not.
    pub(crate) fn starting(&self, now: Instant, own: Option<Duration>) -> Start {
        match own {
            None if self.observe => {
                Start { deadline: now + MAX_DEADLINE, complain: Some(now + clamp(self.deadline)) }
            }
            own => Start { deadline: now + clamp(own.unwrap_or(self.deadline)), complain: None },
        }
    }
}

/// The two instants that a new call is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) deadline: Instant,
    pub(crate) complain: Option<Instant>,
}

/// Keeps a duration within what a deadline may be: it never overflows the clock.
pub(crate) fn clamp(asked: Duration) -> Duration {
    asked.min(MAX_DEADLINE)
}
