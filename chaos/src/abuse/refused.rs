//! Calls that are refused, over two connections, as many as are taken.

use super::{
    aim::{Aim, BYTES, connect},
    peer::{self, DENIED, Level},
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::sleep,
};

const CONNECTIONS: usize = 2;
/// Calls that are encoded once, and sent again and again.
const CALLS: u64 = 2_000;
/// The pause before a connection that was closed is made again.
const PAUSE: Duration = Duration::from_millis(10);
const PIECE: usize = 16 * 1024;

/// Calls this method until it is dropped, as a process that may not, or as one that is not the matter.
pub(super) async fn flood(aim: Aim, method: u32) -> anyhow::Result<()> {
    let mut calls = Vec::new();
    for id in 0..CALLS {
        calls.extend(peer::call(id, method, &Level { sku: "any" })?);
    }
    let hello = peer::hello(DENIED)?;
    let mut connections = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (aim, hello, calls) = (aim.clone(), hello.clone(), calls.clone());
        connections.spawn(async move {
            loop {
                if over(&aim, number, &hello, &calls).await.is_err() {
                    aim.tally.add("connections that failed", 1);
                }
                aim.tally.add("connections that ended", 1);
                sleep(PAUSE).await;
            }
        });
    }
    sleep(aim.lasts).await;
    Ok(())
}

/// Sends calls over one connection until it ends, and reads the answers.
async fn over(aim: &Aim, number: usize, hello: &[u8], calls: &[u8]) -> anyhow::Result<()> {
    let (mut read, mut write) = connect(aim.peers, number).await?.into_split();
    write.write_all(hello).await?;
    let reading = async {
        let mut piece = vec![0; 4 * PIECE];
        while matches!(read.read(&mut piece).await, Ok(1..)) {}
    };
    let pace = aim.pace.map(|pace| pace / CONNECTIONS as f64);
    let writing = async {
        let (start, mut sent) = (Instant::now(), 0);
        for piece in calls.chunks(PIECE).cycle() {
            if let Some(pace) = pace {
                // A pace of nothing is one of the smallest.
                let due = Duration::from_secs_f64((sent as f64 / pace.max(1.0)).min(3600.0));
                sleep(due.saturating_sub(start.elapsed())).await;
            }
            if write.write_all(piece).await.is_err() {
                return;
            }
            sent += piece.len();
            aim.tally.add(BYTES, piece.len() as u64);
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    Ok(())
}
