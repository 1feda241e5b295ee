//! Accepting connections, and draining them.

use super::{
    Directory,
    gate::Gate,
    greeting::{self, Serving},
    handshakes::Handshakes,
};
use crate::wire::{Bounds, Listener, Memory, Peer, Tls};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

/// What a listener holds its callers to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What a call and its answer may hold.
    pub bounds: Bounds,
    /// Connections that are open at once.
    pub connections: usize,
    /// Calls in flight on one connection.
    pub in_flight: usize,
    /// Calls that run at once, whichever connections they came over.
    pub running: usize,
    /// Calls that may wait until others have ended; those beyond them are refused at once.
    pub waiting: usize,
    /// The longest that one of them waits.
    pub wait: Duration,
    /// How long a hello may take.
    pub hello: Duration,
    /// Connections at once that have not said hello yet. When there is one more, the oldest is closed.
    pub handshakes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            connections: 1024,
            in_flight: 1024,
            running: 4096,
            waiting: 1024,
            wait: Duration::from_millis(100),
            hello: Duration::from_secs(5),
            handshakes: 256,
        }
    }
}

/// Connections beyond the limit that are told so, at one time; more are closed without a word.
const TURNED_AWAY: usize = 16;

/// A listener at work.
#[derive(Debug)]
pub struct Server {
    draining: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Serves `directory` to all who connect to `listener`; with `tls`, to those over TCP who prove who
    /// they are. What they send is charged to `memory`.
    pub fn start(
        listener: Listener,
        us: Peer,
        directory: Directory,
        limits: Limits,
        memory: Arc<Memory>,
        tls: Option<Tls>,
    ) -> Self {
        let (draining, drained) = watch::channel(false);
        let serving = Arc::new(Serving {
            us,
            directory,
            gate: Gate::new(&limits),
            handshakes: Handshakes::new(limits.handshakes),
            places: Arc::new(Semaphore::new(limits.connections)),
            memory,
            limits,
            tls,
        });
        Self { draining, task: tokio::spawn(accept(listener, serving, drained)) }
    }

    /// Takes no new connection, tells callers to go elsewhere, and waits for the calls in flight until
    /// `by`.
    pub async fn drain(mut self, by: Instant) {
        self.draining.send_replace(true);
        if timeout_at(by, &mut self.task).await.is_err() {
            tracing::warn!("calls were still in flight when the time to stop had passed");
            self.task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: Listener, serving: Arc<Serving>, mut draining: watch::Receiver<bool>) {
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut connections = JoinSet::new();
    // Each is said once until it is over, or a peer that connects in a loop would fill the log.
    let (mut full, mut failing) = (false, false);
    loop {
        let accepted = tokio::select! {
            biased;
            Some(_) = connections.join_next() => continue,
            // Those who have connected already are told, also when this is about to go.
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok(socket) => {
                failing = false;
                let Ok(place) = Arc::clone(&serving.places).try_acquire_owned() else {
                    if !std::mem::replace(&mut full, true) {
                        tracing::warn!(
                            limit = serving.limits.connections,
                            "a connection was refused: there are as many as there may be"
                        );
                    }
                    if let Ok(place) = Arc::clone(&turned_away).try_acquire_owned() {
                        let serving = Arc::clone(&serving);
                        connections.spawn(async move {
                            let _place = place;
                            greeting::turn_away(socket, &serving).await;
                        });
                    }
                    continue;
                };
                full = false;
                let (serving, draining) = (Arc::clone(&serving), draining.clone());
                connections.spawn(async move {
                    let _place = place;
                    greeting::serve(socket, &serving, draining).await;
                });
            }
            // Out of file descriptors, for one: it passes, and must not spin until then.
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
