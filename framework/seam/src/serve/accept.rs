//! A listener at work: the loop that accepts connections, for other processes and for HTTP.
//!
//! It knows nothing of what is said on a connection. An [`Acceptor`] serves each one, or refuses it.

use std::{io, time::Duration};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
};

/// The pause after a connection that could not be accepted, for example for want of file descriptors. It passes,
/// and the loop must not spin until then.
const PAUSE: Duration = Duration::from_millis(50);
/// The same pause, after another connection was closed to make room.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// A listening socket, and what is done with its connections.
pub trait Acceptor: Send + 'static {
    /// A connection that was accepted.
    type Connection: Send;

    /// Waits for a connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Serves a connection in a task, or refuses it. A drain waits for these tasks.
    fn begin(
        &mut self,
        connection: Self::Connection,
        draining: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    );

    /// Closes a connection that can be spared, when none could be accepted. Returns whether it has.
    fn make_room(&mut self) -> bool {
        false
    }
}

/// A listener at work. It ends when this is dropped.
#[derive(Debug)]
pub struct Accepting {
    draining: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Accepting {
    /// Accepts connections in a task.
    pub fn start(acceptor: impl Acceptor) -> Self {
        let (draining, drained) = watch::channel(false);
        Self { draining, task: tokio::spawn(accept(acceptor, drained)) }
    }

    /// Accepts no further connection, tells those that are open, and waits for them until `by`. Returns whether
    /// all have ended by then. Those that have not are cut off.
    pub async fn drain(mut self, by: Instant) -> bool {
        self.draining.send_replace(true);
        timeout_at(by, &mut self.task).await.is_ok()
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(mut acceptor: impl Acceptor, mut draining: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    // Logged once for each row of failures, so that these do not fill the log.
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            Some(_) = tasks.join_next() => continue,
            // Clients that have connected already are served, also when this is about to stop.
            accepted = acceptor.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok(connection) => {
                failing = false;
                acceptor.begin(connection, &draining, &mut tasks);
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                sleep(if acceptor.make_room() { SHORT_PAUSE } else { PAUSE }).await;
            }
        }
    }
    drop(acceptor);
    while tasks.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::sync::{Mutex as AsyncMutex, mpsc};

    /// Accepts what a channel has. Each connection is the time that it takes.
    struct Channel {
        coming: AsyncMutex<mpsc::Receiver<io::Result<Duration>>>,
        ended: Arc<Mutex<Vec<Duration>>>,
        room: bool,
    }

    impl Acceptor for Channel {
        type Connection = Duration;

        async fn accept(&self) -> io::Result<Duration> {
            match self.coming.lock().await.recv().await {
                Some(accepted) => accepted,
                None => std::future::pending().await,
            }
        }

        fn begin(
            &mut self,
            connection: Duration,
            _: &watch::Receiver<bool>,
            tasks: &mut JoinSet<()>,
        ) {
            let ended = Arc::clone(&self.ended);
            tasks.spawn(async move {
                sleep(connection).await;
                ended.lock().unwrap().push(connection);
            });
        }

        fn make_room(&mut self) -> bool {
            self.room
        }
    }

    fn started(
        coming: Vec<io::Result<Duration>>,
        room: bool,
    ) -> (Accepting, Arc<Mutex<Vec<Duration>>>) {
        let (sender, receiver) = mpsc::channel(100);
        coming.into_iter().for_each(|one| sender.try_send(one).unwrap());
        let ended = Arc::default();
        let channel =
            Channel { coming: AsyncMutex::new(receiver), ended: Arc::clone(&ended), room };
        (Accepting::start(channel), ended)
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_connections_that_were_accepted_until_its_time() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
        for (by, all) in [(Duration::from_secs(100), true), (Duration::from_secs(10), false)] {
            let (accepting, ended) = started(vec![Ok(short), Ok(long)], false);
            assert_eq!(accepting.drain(Instant::now() + by).await, all);
            let expected = if all { vec![short, long] } else { vec![short] };
            assert_eq!(*ended.lock().unwrap(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_followed_by_a_pause_which_is_short_where_there_is_room() {
        for (room, pause) in [(false, PAUSE), (true, SHORT_PAUSE)] {
            let failed = || Err(io::Error::other("too many open files"));
            let start = Instant::now();
            let (accepting, ended) = started(vec![failed(), failed(), Ok(Duration::ZERO)], room);
            assert!(accepting.drain(start + Duration::from_secs(10)).await);
            assert_eq!(ended.lock().unwrap().len(), 1);
            let took = start.elapsed();
            assert!((2 * pause..2 * pause + Duration::from_millis(5)).contains(&took), "{took:?}");
        }
    }
}
