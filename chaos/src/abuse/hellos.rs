//! Peers that say hello and then nothing, in waves.

use super::{
    aim::{Aim, connect},
    peer::{self, DENIED},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::sleep,
};

const PEERS: usize = 500;
const WAVE: Duration = Duration::from_secs(2);

pub(super) async fn flood(aim: Aim) -> anyhow::Result<()> {
    let hello: Arc<[u8]> = peer::hello(DENIED)?.into();
    loop {
        let mut wave = JoinSet::new();
        for number in 0..aim.many(PEERS) {
            let (aim, hello) = (aim.clone(), Arc::clone(&hello));
            wave.spawn(async move {
                let said = async {
                    let mut stream = connect(aim.peers, number).await?;
                    stream.write_all(&hello).await?;
                    aim.tally.add("hellos", 1);
                    let mut piece = [0; 4096];
                    while stream.read(&mut piece).await? > 0 {}
                    anyhow::Ok(())
                };
                let _ = said.await;
                aim.tally.add("closed", 1);
            });
        }
        sleep(WAVE).await;
    }
}
