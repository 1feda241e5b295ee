//! Large bodies that the gateway passes on, before a service that is stopped; in the monolith, which has none,
//! before a module that refuses them at once.
//!
//! The shop's types bound every text and every list, so no value that passes is long. What makes these bodies
//! long is white space, which the gateway has to read and to keep until the request is decoded.

use super::aim::{Aim, post, send};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

const LENGTH: usize = 1_000_000;
const EACH: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn flood(aim: Aim) -> anyhow::Result<()> {
    let space = " ".repeat(LENGTH);
    // Nobody is called nothing: the module says so before it does any work.
    let user = format!(r#"{{"name": "",{space}"email": "a@example.org", "password": "12345678"}}"#);
    let request: Arc<[u8]> = post("/users", &user).into();
    let mut ticks = interval(EACH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    for number in 0.. {
        ticks.tick().await;
        let (to, tally, request) = (aim.gateway, aim.tally.clone(), Arc::clone(&request));
        requests.spawn(async move {
            let status = send(to, number, &request, PATIENCE).await;
            tally.add(status, 1);
        });
        aim.tally.add("bodies", 1);
    }
    Ok(())
}
