//! One connection to another process, made when it is needed and made again when it is lost.
//!
//! A lane is *idle* until somebody calls; then it is *connecting*, in a task of its own, so that a
//! caller who gives up does not take the attempt with it. It is *up* until the connection ends. An
//! attempt that fails makes it *down* for a jittered, growing while, in which callers are told at
//! once why; the first one after that finds it idle.

use super::{Whereabouts, connection::Connection};
use crate::call::{CallError, CallErrorKind};
use arc_swap::ArcSwapOption;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// The longest wait after the first failure; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// An attempt takes no longer, so that callers hear soon that nobody is there.
const ATTEMPT: Duration = Duration::from_secs(1);
/// A connection that ends sooner counts as one that failed.
const BRIEF: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Lane {
    /// Weak in the task that keeps the connection: when the lane goes, the connection goes.
    state: Arc<Current>,
    whereabouts: Arc<Whereabouts>,
}

/// How a lane stands. The connection of one that is up is kept twice, so that callers need not ask
/// for the rest.
#[derive(Debug)]
struct Current {
    state: watch::Sender<State>,
    up: ArcSwapOption<Connection>,
}

impl Current {
    fn set(&self, now: State) {
        self.up.store(match &now {
            State::Up(connection) => Some(Arc::clone(connection)),
            _ => None,
        });
        self.state.send_replace(now);
    }
}

#[derive(Debug, Clone)]
enum State {
    Idle { failures: u32 },
    Connecting,
    Up(Arc<Connection>),
    Down { failures: u32, until: Instant, why: String },
}

impl Lane {
    pub(super) fn new(whereabouts: Arc<Whereabouts>) -> Self {
        let state = watch::Sender::new(State::Idle { failures: 0 });
        Self { state: Arc::new(Current { state, up: ArcSwapOption::empty() }), whereabouts }
    }

    /// The connection, if there is one now.
    pub(super) fn up(&self) -> Option<Arc<Connection>> {
        self.state.up.load_full()
    }

    /// Starts an attempt if one is due, and waits for nothing.
    pub(super) fn begin(&self) {
        let due = match &*self.state.state.borrow() {
            State::Idle { .. } => true,
            State::Down { until, .. } => Instant::now() >= *until,
            State::Connecting | State::Up(_) => false,
        };
        if due {
            self.connect();
        }
    }

    /// The connection, made if there is none.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, CallError> {
        let mut state = self.state.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                State::Up(connection) => return Ok(connection),
                State::Down { until, why, .. } if Instant::now() < until => {
                    return Err(self.unreachable(&why));
                }
                State::Idle { .. } | State::Down { .. } => self.connect(),
                State::Connecting => {}
            }
            if state.changed().await.is_err() {
                return Err(self.unreachable("this process is stopping"));
            }
        }
    }

    /// Starts an attempt, unless another caller just did.
    fn connect(&self) {
        let mut failures = None;
        self.state.state.send_if_modified(|state| match state {
            State::Idle { failures: so_far } | State::Down { failures: so_far, .. } => {
                failures = Some(*so_far);
                *state = State::Connecting;
                true
            }
            State::Connecting | State::Up(_) => false,
        });
        if let Some(failures) = failures {
            tokio::spawn(keep_connection(
                Arc::downgrade(&self.state),
                Arc::clone(&self.whereabouts),
                failures,
            ));
        }
    }

    fn unreachable(&self, why: &str) -> CallError {
        let Whereabouts { process, address, .. } = &*self.whereabouts;
        CallError::new(
            CallErrorKind::Unreachable,
            format!("the process `{process}` cannot be reached at {address}: {why}"),
        )
    }
}

/// Makes one connection and keeps it until it ends.
async fn keep_connection(lane: Weak<Current>, whereabouts: Arc<Whereabouts>, failures: u32) {
    let set = |now: State| {
        if let Some(state) = lane.upgrade() {
            state.set(now);
        }
    };
    let attempt = tokio::time::timeout(ATTEMPT, Connection::open(&whereabouts)).await;
    let opened = attempt.unwrap_or_else(|_| Err(format!("no connection within {ATTEMPT:?}")));
    let (connection, running) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            let until = Instant::now() + pause(failures);
            return set(State::Down { failures: failures.saturating_add(1), until, why });
        }
    };
    let since = Instant::now();
    set(State::Up(Arc::new(connection)));
    let process = &whereabouts.process;
    match running.await {
        Ok(()) => tracing::debug!(process, "the other side closed the connection"),
        Err(why) => tracing::info!(process, why, "a connection was lost"),
    }
    let brief = since.elapsed() < BRIEF;
    set(if brief {
        let until = Instant::now() + pause(failures);
        let why = "the connection ended at once".to_owned();
        State::Down { failures: failures.saturating_add(1), until, why }
    } else {
        State::Idle { failures: 0 }
    });
}

/// Full jitter: anything up to the longest wait of this many failures.
fn pause(failures: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(failures.min(16)));
    longest.min(LONGEST_PAUSE).mul_f64(rand::random())
}
