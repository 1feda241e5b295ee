//! Connections that are kept and hardly used. One that is closed is made again.

use super::aim::{Aim, connect};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::sleep,
};

/// The pause before a connection is made again; and between two pieces of a slow request.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that are begun at once, and the pause before the next ones. The system keeps the rest of a
/// heap to itself, beyond what a listener may have waiting, and the shop would not see them.
const AT_ONCE: usize = 20;
const GAP: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_secs(1);

/// What is said over them.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// At first.
    first: &'static str,
    /// Each second.
    then: &'static str,
}

pub(super) const IDLE: How = How { first: "", then: "" };
pub(super) const SLOW_HEADS: How =
    How { first: "GET /products HTTP/1.1\r\nhost: shop\r\n", then: "x-more: y\r\n" };
pub(super) const SLOW_BODIES: How = How {
    first: "POST /users HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n\
            content-length: 1000\r\n\r\n{",
    then: " ",
};

pub(super) async fn keep(aim: Aim, to: SocketAddr, count: usize, how: How) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    for number in 0..count {
        if number % AT_ONCE == AT_ONCE - 1 {
            sleep(GAP).await;
        }
        let tally = aim.tally.clone();
        connections.spawn(async move {
            loop {
                match one(to, number, how).await {
                    Ok(()) => tally.add("closed", 1),
                    Err(_) => tally.add("failed", 1),
                }
                sleep(PAUSE).await;
            }
        });
    }
    sleep(aim.lasts).await;
    Ok(())
}

/// Keeps one until the other side closes it.
async fn one(to: SocketAddr, number: usize, how: How) -> anyhow::Result<()> {
    let (mut read, mut write) = connect(to, number).await?.into_split();
    let saying = async {
        if write.write_all(how.first.as_bytes()).await.is_err() {
            return;
        }
        loop {
            sleep(SLOW).await;
            if write.write_all(how.then.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let reading = async {
        let mut piece = [0; 1024];
        while matches!(read.read(&mut piece).await, Ok(1..)) {}
    };
    tokio::select! {
        () = saying => {}
        () = reading => {}
    }
    Ok(())
}
