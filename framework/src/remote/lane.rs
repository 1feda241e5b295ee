//! One connection to a replica, made when it is needed and made again when it is lost.
//!
//! A lane is *idle* until somebody calls; then it is *connecting*, in a task of its own, so that a
//! caller who gives up does not take the attempt with it. It is *up* until the connection ends, or the
//! other side says that it is about to go. An attempt that fails makes it *down* for a jittered,
//! growing while, in which callers are told at once why. The first lane of a replica then tries again
//! by itself, so that a replica that is back is found; the others are made when they are asked for.

use super::{
    Target,
    connection::{Connection, Opened},
    retry,
};
use crate::call::planted;
use arc_swap::ArcSwapOption;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// The longest wait after the first failure; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// An attempt takes no longer, so that callers hear within the second that nobody is there.
const ATTEMPT: Duration = Duration::from_millis(900);
/// A connection that ends sooner counts as one that failed.
const BRIEF: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Lane {
    /// Weak in the task that keeps the connection: when the lane goes, the connection goes.
    current: Arc<Current>,
    target: Arc<Target>,
    /// Whether it is made again without being asked for.
    kept: bool,
}

/// How a lane stands. The connection of one that is up stands apart, so that callers need not ask for the
/// rest.
#[derive(Debug)]
struct Current {
    state: Mutex<State>,
    up: ArcSwapOption<Connection>,
}

impl Current {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum State {
    Idle,
    Connecting,
    Up,
    Down { failures: u32, until: Instant, why: String },
}

impl Lane {
    pub(super) fn new(target: Arc<Target>, kept: bool) -> Self {
        let current = Current { state: Mutex::new(State::Idle), up: ArcSwapOption::empty() };
        Self { current: Arc::new(current), target, kept }
    }

    /// The connection, if there is one now.
    pub(super) fn up(&self) -> Option<Arc<Connection>> {
        self.current.up.load_full()
    }

    /// Why there is no connection, while no attempt is under way.
    pub(super) fn why_down(&self) -> Option<String> {
        match &*self.current.state() {
            State::Down { why, .. } => Some(why.clone()),
            _ => None,
        }
    }

    /// Starts an attempt if one is due, and waits for nothing.
    pub(super) fn begin(&self) {
        let mut state = self.current.state();
        let failures = match &*state {
            State::Idle => 0,
            // Whoever keeps it will.
            State::Down { failures, until, .. } if !self.kept && Instant::now() >= *until => {
                *failures
            }
            _ => return,
        };
        *state = State::Connecting;
        drop(state);
        let current = Arc::downgrade(&self.current);
        tokio::spawn(run(current, Arc::clone(&self.target), failures, self.kept));
    }
}

/// Makes the connection and sees to it until it ends; again and again, if it is to be kept.
async fn run(lane: Weak<Current>, target: Arc<Target>, mut failures: u32, kept: bool) {
    loop {
        let why = match connect(&lane, &target).await {
            Ended::After(lasted) if lasted >= BRIEF => {
                failures = 0;
                "the connection ended".to_owned()
            }
            Ended::After(_) => "the connection ended at once".to_owned(),
            Ended::Left => {
                failures = 0;
                "it is stopping".to_owned()
            }
            Ended::Never(why) => why,
        };
        let until = Instant::now() + retry::jittered(FIRST_PAUSE, LONGEST_PAUSE, failures);
        failures = failures.saturating_add(1);
        if !set(&lane, &target, None, State::Down { failures, until, why }) || !kept {
            return;
        }
        if planted("connects-once") {
            std::future::pending::<()>().await;
        }
        sleep_until(until).await;
        if !set(&lane, &target, None, State::Connecting) {
            return;
        }
    }
}

/// How an attempt went in the end.
enum Ended {
    /// There was a connection for so long.
    After(Duration),
    /// There was one, and the other side is about to go.
    Left,
    /// There was none.
    Never(String),
}

async fn connect(lane: &Weak<Current>, target: &Arc<Target>) -> Ended {
    let attempt = tokio::time::timeout(ATTEMPT, Connection::open(target)).await;
    let opened = attempt.unwrap_or_else(|_| Err(format!("no connection within {ATTEMPT:?}")));
    let Opened { connection, calls, transport } = match opened {
        Ok(opened) => opened,
        Err(why) => return Ended::Never(why),
    };
    let since = Instant::now();
    let process = &target.whereabouts.process;
    let mut running = Box::pin(Arc::clone(&calls).run(transport));
    // From here on only the lane holds it, and whoever calls.
    set(lane, target, Some(connection), State::Up);
    tokio::select! {
        biased;
        ended = &mut running => match ended {
            Ok(()) => tracing::debug!(process, "the other side closed the connection"),
            Err(why) => tracing::info!(process, %why, "a connection was lost"),
        },
        () = calls.told_to_leave() => {
            tracing::debug!(process, "the other side is about to go");
            // It ends when the calls that are under way have.
            tokio::spawn(running);
            return Ended::Left;
        }
    }
    Ended::After(since.elapsed())
}

/// Sets how a lane stands, unless it is gone, which is the result.
fn set(
    lane: &Weak<Current>,
    target: &Target,
    connection: Option<Arc<Connection>>,
    state: State,
) -> bool {
    let Some(current) = lane.upgrade() else { return false };
    current.up.store(connection);
    *current.state() = state;
    target.news.send_replace(());
    true
}
