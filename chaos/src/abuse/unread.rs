//! Answers that are asked for, and not read.

use super::{
    aim::{Aim, connect_unread},
    peer::{self, ALLOWED, Products},
};
use std::net::SocketAddr;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet, time::sleep};

/// Answers, when each is as long as a frame may be; and what they come to.
const ANSWERS: usize = 400;
const BYTES: usize = ANSWERS * 3_900_000;
/// Calls of peers, if answers are shorter: more would be a flood of calls that have to be answered, and not
/// of answers that are not read. And how many of them go over one connection.
const MOST: usize = 2_000;
const ON_ONE: usize = 500;
/// Connections of peers at least.
const CONNECTIONS: usize = 4;
const PAGE: u32 = 100;

/// By calls of a process that may make them.
pub(super) async fn by_peers(aim: Aim) -> anyhow::Result<()> {
    let arguments = Products { after: None, limit: Some(PAGE) };
    let calls = aim.many((BYTES / aim.answer.max(1)).clamp(ANSWERS, MOST));
    let connections = calls.div_ceil(ON_ONE).max(CONNECTIONS);
    let mut said = peer::hello(ALLOWED)?;
    for id in 0..calls.div_ceil(connections) {
        said.extend(peer::call(id as u64, aim.numbers.products, &arguments)?);
        aim.tally.add("calls", connections as u64);
    }
    hold(&aim, connections, aim.peers, &said).await
}

/// By requests at the gateway, all of one client: of many clients, each would have its turn.
pub(super) async fn by_clients(aim: Aim) -> anyhow::Result<()> {
    let request = format!("GET /products?limit={PAGE} HTTP/1.1\r\nhost: shop\r\n\r\n");
    let count = aim.many(ANSWERS);
    aim.tally.add("requests", count as u64);
    hold(&aim, count, aim.gateway, request.as_bytes()).await
}

/// Sends `said` over `count` connections, and keeps them open.
async fn hold(aim: &Aim, count: usize, to: SocketAddr, said: &[u8]) -> anyhow::Result<()> {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let said = said.to_vec();
        opening.spawn(async move {
            let mut stream = connect_unread(to, 0).await?;
            stream.write_all(&said).await?;
            anyhow::Ok(stream)
        });
    }
    let mut kept: Vec<TcpStream> = Vec::new();
    while let Some(opened) = opening.join_next().await {
        match opened? {
            Ok(stream) => kept.push(stream),
            Err(_) => aim.tally.add("not opened", 1),
        }
    }
    sleep(aim.lasts).await;
    drop(kept);
    Ok(())
}
