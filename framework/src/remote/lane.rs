//! One connection to a replica, made when it is needed and made again when it is lost.
//!
//! A lane is *idle* until somebody calls; then it is *connecting*, in a task of its own, so that a
//! caller who gives up does not take the attempt with it. It is *up* until the connection ends, or the
//! other side says that it is about to go. Then, and when an attempt fails, it is *down* for a jittered,
//! growing while. The first lane of a replica tries again by itself after it, so that a replica that is
//! back is found; the others are made when they are asked for. Where callers have nobody else, the while is
//! short, so that each of them hears what was seen after it called.

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
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The longest wait after the first failure; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest wait where callers have nobody else; but never a shorter one than the attempt was long.
const URGENT_PAUSE: Duration = Duration::from_millis(100);
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
    /// Ends the pause after an attempt that failed.
    urgent: Arc<Notify>,
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
    /// `failed` is when the last attempt began and why it failed, if it did.
    Down {
        failures: u32,
        failed: Option<(Instant, String)>,
        until: Instant,
    },
}

impl Lane {
    pub(super) fn new(target: Arc<Target>, kept: bool) -> Self {
        let (state, up, urgent) = (Mutex::new(State::Idle), ArcSwapOption::empty(), Arc::default());
        let current = Current { state, up, urgent };
        Self { current: Arc::new(current), target, kept }
    }

    /// The connection, if there is one now.
    pub(super) fn up(&self) -> Option<Arc<Connection>> {
        self.current.up.load_full()
    }

    /// Why there is no connection, if that was tried since then.
    pub(super) fn why_down(&self, since: Instant) -> Option<String> {
        match &*self.current.state() {
            State::Down { failed: Some((began, why)), .. } if *began >= since => Some(why.clone()),
            _ => None,
        }
    }

    /// Sees to it that there is an attempt soon, since callers have nobody else.
    pub(super) fn begin_urgently(&self) {
        if self.kept && matches!(*self.current.state(), State::Down { .. }) {
            self.current.urgent.notify_one();
        }
        self.begin();
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
        let urgent = Arc::clone(&self.current.urgent);
        let current = Arc::downgrade(&self.current);
        tokio::spawn(run(current, Arc::clone(&self.target), failures, self.kept.then_some(urgent)));
    }
}

/// Makes the connection and sees to it until it ends; again and again, if it is to be kept, and sooner
/// if that becomes urgent.
async fn run(
    lane: Weak<Current>,
    target: Arc<Target>,
    mut failures: u32,
    kept: Option<Arc<Notify>>,
) {
    loop {
        let began = Instant::now();
        let ended = connect(&lane, &target).await;
        let now = Instant::now();
        let was_well = ended.as_ref().is_ok_and(|lasted| *lasted >= BRIEF);
        failures = if was_well { 0 } else { failures };
        let until = now + retry::jittered(FIRST_PAUSE, LONGEST_PAUSE, failures);
        let urgent_from = match &ended {
            Ok(_) if was_well => now,
            Ok(_) => now + URGENT_PAUSE,
            // One that takes its time is not made so often.
            Err(_) => now + URGENT_PAUSE.max(now - began),
        };
        failures = failures.saturating_add(1);
        let is_lost = ended.is_ok();
        let failed = ended.err().map(|why| (began, why));
        let stays = set(&lane, &target, None, State::Down { failures, failed, until });
        let (true, Some(urgent)) = (stays, &kept) else { return };
        if planted("connects-once") && is_lost {
            std::future::pending::<()>().await;
        }
        tokio::select! {
            biased;
            () = async { urgent.notified().await; sleep_until(urgent_from).await } => {}
            () = sleep_until(until) => {}
        }
        if !set(&lane, &target, None, State::Connecting) {
            return;
        }
    }
}

/// Connects, and stays until that ends. The result is how long it lasted, or why it did not come to it.
async fn connect(lane: &Weak<Current>, target: &Arc<Target>) -> Result<Duration, String> {
    let attempt = tokio::time::timeout(ATTEMPT, Connection::open(target)).await;
    let opened = attempt.unwrap_or_else(|_| Err(format!("no connection within {ATTEMPT:?}")));
    let Opened { connection, calls, transport } = opened?;
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
        }
    }
    Ok(since.elapsed())
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
