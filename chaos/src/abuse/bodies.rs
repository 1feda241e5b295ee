//! Large bodies, before a service that is stopped; in the monolith, which has none, before one that refuses
//! what is in them.

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
    let name = "n".repeat(LENGTH);
    let user =
        serde_json::json!({ "name": name, "email": "a@example.org", "password": "12345678" });
    let request: Arc<[u8]> = post("/users", &user.to_string()).into();
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
