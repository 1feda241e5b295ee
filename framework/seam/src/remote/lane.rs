//! One connection to a replica, made when it is needed and made again when it is lost.
//!
//! A lane is *idle* until the first call. Then it is *connecting*, in a task of its own, so that a caller
//! that gives up does not end the attempt. It is *up* until the connection ends, or the other side says that
//! it is going to close it. After that, and after an attempt that failed, it is *down* for a pause with
//! jitter, which grows with each failure. The first lane of a replica then connects again by itself, so that
//! a replica that is back is found. The other lanes connect when they are asked for. While callers have no
//! other replica, the pause is short, so that each caller hears of an attempt that began after its call.
//!
//! The first lane also logs when its replica goes down and when it is up again. While processes start one after another,
//! a replica that was never connected is expected to be missing for a while ([`START_GRACE`]).

use super::{
    ReplicaAddress,
    connection::{Connection, Opened},
};
use crate::{
    call::{Backoff, planted},
    wire::{DISTRUSTED, Shown},
};
use arc_swap::ArcSwapOption;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

/// The pauses between attempts to connect.
const PAUSES: Backoff = Backoff::full(Duration::from_millis(50), Duration::from_secs(2));
/// The longest pause while callers have no other replica; but never shorter than the attempt took.
const URGENT_PAUSE: Duration = Duration::from_millis(100);
/// The timeout of an attempt. Callers hear within a second that a process cannot be reached.
const ATTEMPT: Duration = Duration::from_millis(900);
/// A connection that ends sooner counts as a failed attempt.
const BRIEF: Duration = Duration::from_secs(1);
/// How long a replica may take to start before its absence is a warning.
const START_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Lane {
    /// Weak in the connection's task: when the lane is dropped, the connection ends.
    current: Arc<Current>,
    target: Arc<ReplicaAddress>,
    /// Whether it reconnects by itself.
    kept: bool,
}

/// The state of a lane. The connection is outside of the lock, so that callers take none.
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
    pub(super) fn new(target: Arc<ReplicaAddress>, kept: bool) -> Self {
        let (state, up, urgent) = (Mutex::new(State::Idle), ArcSwapOption::empty(), Arc::default());
        let current = Current { state, up, urgent };
        Self { current: Arc::new(current), target, kept }
    }

    /// The connection, if there is one now.
    pub(super) fn up(&self) -> Option<Arc<Connection>> {
        self.current.up.load_full()
    }

    /// Why there is no connection, if one was attempted after `since`.
    pub(super) fn why_down(&self, since: Instant) -> Option<String> {
        match &*self.current.state() {
            State::Down { failed: Some((began, why)), .. } if *began >= since => Some(why.clone()),
            _ => None,
        }
    }

    /// Cuts the pause short, since callers have no other replica.
    pub(super) fn begin_urgently(&self) {
        if self.kept && matches!(*self.current.state(), State::Down { .. }) {
            self.current.urgent.notify_one();
        }
        self.begin();
    }

    /// Starts an attempt if one is due. It does not wait for it.
    pub(super) fn begin(&self) {
        let mut state = self.current.state();
        let failures = match &*state {
            State::Idle => 0,
            // A lane that is kept has a task that connects again.
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

/// Connects, and runs the connection until it ends. A lane that is kept then reconnects after a pause, which `kept` cuts
/// short.
async fn run(
    lane: Weak<Current>,
    target: Arc<ReplicaAddress>,
    mut failures: u32,
    kept: Option<Arc<Notify>>,
) {
    let mut log = StateLog::new(kept.is_some().then(|| Arc::clone(&target)));
    loop {
        let began = Instant::now();
        let ended = connect(&lane, &target, &mut log).await;
        let now = Instant::now();
        let was_well = ended.as_ref().is_ok_and(|lasted| *lasted >= BRIEF);
        failures = if was_well { 0 } else { failures };
        let until = now + PAUSES.pause(failures);
        let urgent_from = match &ended {
            Ok(_) if was_well => now,
            Ok(_) => now + URGENT_PAUSE,
            // Slow attempts are made less often.
            Err(_) => now + URGENT_PAUSE.max(now - began),
        };
        failures = failures.saturating_add(1);
        let is_lost = ended.is_ok();
        let failed = ended.err().map(|why| (began, why));
        let why = failed.as_ref().map(|(_, why)| why.clone());
        let stays = set(&lane, &target, None, State::Down { failures, failed, until });
        if let (true, Some(why)) = (stays, &why) {
            log.is_down(why);
        }
        let (true, Some(urgent)) = (stays, &kept) else { return };
        if planted!("connects-once") && is_lost {
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

/// Connects, and runs the connection until it ends. Returns how long it lasted, or why there was none.
async fn connect(
    lane: &Weak<Current>,
    target: &Arc<ReplicaAddress>,
    log: &mut StateLog,
) -> Result<Duration, String> {
    let attempt = tokio::time::timeout(ATTEMPT, Connection::open(target)).await;
    let opened = attempt.unwrap_or_else(|_| Err(format!("no connection within {ATTEMPT:?}")));
    let Opened { connection, calls, transport, shown } = opened?;
    let since = Instant::now();
    log.is_up();
    let mut running = Box::pin(Arc::clone(&calls).run(transport));
    // From here on the lane and the callers hold the connection.
    set(lane, target, Some(connection), State::Up);
    tokio::select! {
        biased;
        // Without the lane, this process closed the connection: the replica's address is no longer known.
        ended = &mut running => match ended {
            _ if lane.strong_count() == 0 => {}
            Ok(()) => log.is_down("it closed the connection"),
            Err(why) => log.is_down(&format!("the connection was lost: {why}")),
        },
        () = calls.told_to_leave() => {
            log.is_down("it is stopping");
            // It ends with its last call in flight.
            tokio::spawn(running);
        }
        () = distrusted(target, shown) => {
            log.is_down("the authority of its certificate is not trusted any more");
            tokio::spawn(async move {
                if timeout(DISTRUSTED, running).await.is_err() {
                    calls.cut();
                }
            });
        }
    }
    Ok(since.elapsed())
}

/// Ready when the other side's certificates lead to none of the roots any more.
async fn distrusted(target: &ReplicaAddress, shown: Option<Shown>) {
    match (&target.whereabouts.tls, shown) {
        (Some(tls), Some(shown)) => tls.distrusts(&shown).await,
        _ => std::future::pending().await,
    }
}

/// Logs the changes of a replica's state, each once.
struct StateLog {
    /// The replica. `None` in all lanes but the first.
    of: Option<Arc<ReplicaAddress>>,
    state: Logged,
}

/// The state of a replica, as far as the log says.
enum Logged {
    /// It was never connected. It is looked for since this instant.
    Starting(Instant),
    /// It was never connected, and the log says so.
    Missing,
    Up,
    Down,
}

impl StateLog {
    fn new(of: Option<Arc<ReplicaAddress>>) -> Self {
        Self { of, state: Logged::Starting(Instant::now()) }
    }

    fn is_up(&mut self) {
        let before = std::mem::replace(&mut self.state, Logged::Up);
        let Some(ReplicaAddress { address, whereabouts, .. }) = self.of.as_deref() else { return };
        let process = &whereabouts.process;
        match before {
            Logged::Starting(_) => tracing::debug!(process, %address, "a replica is up"),
            Logged::Missing => tracing::info!(process, %address, "a replica is reached"),
            Logged::Down => tracing::info!(process, %address, "a replica is up again"),
            Logged::Up => {}
        }
    }

    fn is_down(&mut self, why: &str) {
        let Some(ReplicaAddress { address, whereabouts, .. }) = self.of.as_deref() else { return };
        let process = &whereabouts.process;
        match self.state {
            Logged::Starting(since) if since.elapsed() < START_GRACE => {
                tracing::debug!(process, %address, why, "a replica is not there yet");
            }
            Logged::Starting(_) => {
                tracing::warn!(process, %address, why, "a replica is not reached");
                self.state = Logged::Missing;
            }
            Logged::Up => {
                tracing::warn!(process, %address, why, "a replica is down");
                self.state = Logged::Down;
            }
            Logged::Missing | Logged::Down => {}
        }
    }
}

/// Sets the state of a lane. Returns false if the lane was dropped.
fn set(
    lane: &Weak<Current>,
    target: &ReplicaAddress,
    connection: Option<Arc<Connection>>,
    state: State,
) -> bool {
    let Some(current) = lane.upgrade() else { return false };
    current.up.store(connection);
    *current.state() = state;
    target.news.send_replace(());
    true
}
