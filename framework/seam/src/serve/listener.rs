//! Serving the connections of other processes, as many as there may be.

use super::{
    Accepting, Acceptor, Directory,
    gate::{Gate, Queue},
    greeting::{self, Serving},
    handshakes::Handshakes,
};
use crate::wire::{Bounds, Listener, Memory, Peer, PulseThresholds, Socket, Tls};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
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
    /// When a peer counts as gone.
    pub pulse: PulseThresholds,
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
            pulse: PulseThresholds::default(),
        }
    }
}

/// Connections beyond the limit that are told so, at one time; more are closed without a word.
const TURNED_AWAY: usize = 16;

/// A listener at work. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    accepting: Accepting,
    queue: Queue,
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
        let gate = Gate::new(&limits);
        let queue = Queue::of(&gate);
        let serving = Arc::new(Serving {
            us,
            directory,
            gate,
            handshakes: Handshakes::new(limits.handshakes),
            places: Arc::new(Semaphore::new(limits.connections)),
            memory,
            limits,
            tls,
        });
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
        let peers = Peers { listener, serving, turned_away, full: false };
        Self { accepting: Accepting::start(peers), queue }
    }

    /// The calls that wait for a place to run in.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Takes no new connection, tells callers to go elsewhere, and waits for the calls in flight until
    /// `by`.
    pub async fn drain(self, by: Instant) {
        if !self.accepting.drain(by).await {
            tracing::warn!("calls were still in flight when the time to stop had passed");
        }
    }
}

/// The listener for other processes.
struct Peers {
    listener: Listener,
    serving: Arc<Serving>,
    turned_away: Arc<Semaphore>,
    /// Whether the last connection was refused. That is logged once, so that a peer that connects in a loop
    /// does not fill the log.
    full: bool,
}

impl Acceptor for Peers {
    type Connection = Socket;

    async fn accept(&self) -> io::Result<Socket> {
        self.listener.accept().await
    }

    fn begin(&mut self, socket: Socket, draining: &watch::Receiver<bool>, tasks: &mut JoinSet<()>) {
        let serving = Arc::clone(&self.serving);
        let Ok(place) = Arc::clone(&serving.places).try_acquire_owned() else {
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!(
                    limit = serving.limits.connections,
                    "a connection was refused: there are as many as there may be"
                );
            }
            if let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() {
                tasks.spawn(async move {
                    let _place = place;
                    greeting::turn_away(socket, &serving).await;
                });
            }
            return;
        };
        self.full = false;
        let draining = draining.clone();
        tasks.spawn(async move {
            let _place = place;
            greeting::serve(socket, &serving, draining).await;
        });
    }
}
