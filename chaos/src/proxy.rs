//! A way to one replica that can be made bad: between the processes that call it and the one that it is.

use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// What becomes of what goes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// All passes.
    Fair,
    /// Each piece is late by so much.
    Slow(Duration),
    /// Nothing passes, and nobody is told.
    Frozen,
    /// Connections end, and new ones too.
    Cut,
}

/// A way to one replica.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    weather: Arc<watch::Sender<Weather>>,
}

impl Proxy {
    /// Passes on to `to` what comes to `at`.
    pub(crate) async fn start(at: SocketAddr, to: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let changes = weather.subscribe();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(connect(from, to, changes.clone()));
            }
        });
        Ok(Self { weather })
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn connect(from: TcpStream, to: SocketAddr, mut weather: watch::Receiver<Weather>) {
    if *weather.borrow_and_update() == Weather::Cut {
        return;
    }
    let Ok(to) = TcpStream::connect(to).await else { return };
    if from.set_nodelay(true).is_err() || to.set_nodelay(true).is_err() {
        return;
    }
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    // Either way ends both, as a cut does.
    tokio::select! {
        () = pass(from_read, to_write, weather.clone()) => {}
        () = pass(to_read, from_write, weather) => {}
    }
}

/// Passes on what comes until it ends.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Cut => return,
            Weather::Frozen => {
                if weather.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Weather::Fair | Weather::Slow(_) => {}
        }
        let read = tokio::select! {
            read = from.read(&mut piece) => read,
            changed = weather.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(length @ 1..) = read else { return };
        if let Weather::Slow(late) = now {
            sleep(late).await;
        }
        // What was read is on its way: it waits while nothing passes, and is lost when that ends.
        while *weather.borrow_and_update() == Weather::Frozen {
            if weather.changed().await.is_err() {
                return;
            }
        }
        if *weather.borrow() == Weather::Cut {
            return;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
