//! Log-ins, all at once. Each has a password hashed, which takes a processor and much memory.

use super::{
    aim::{Aim, post, send},
    place::{EMAIL, PASSWORD},
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn flood(aim: Aim, count: usize) -> anyhow::Result<()> {
    let session = serde_json::json!({ "email": EMAIL, "password": PASSWORD });
    let request: Arc<[u8]> = post("/sessions", &session.to_string()).into();
    let mut requests = JoinSet::new();
    for number in 0..aim.many(count) {
        let (aim, request) = (aim.clone(), Arc::clone(&request));
        requests.spawn(async move {
            let status = send(aim.gateway, number, &request, PATIENCE).await;
            aim.tally.add(status, 1);
        });
    }
    while requests.join_next().await.is_some() {}
    std::future::pending().await
}
