//! Many calls at once.

use crate::support::{Obedient, WorkerClient, soon, system_with};
use monolift::testing::{Mode, every_mode};
use std::sync::Arc;

#[every_mode]
async fn a_thousand_calls_get_their_own_answers(mode: Mode) {
    let system = system_with(mode, &Arc::default()).start().await;
    let worker: WorkerClient = system.client();
    let calls: Vec<_> = (0..1_000_u64)
        .map(|number| {
            let worker = worker.clone();
            tokio::spawn(async move {
                // They overtake each other, in no order.
                let millis = number * 7_919 % 50;
                let text = number.to_string();
                let answer = match millis {
                    0..10 => worker.echo(text.clone()).await,
                    _ => worker.echo_after(text.clone(), millis).await,
                };
                assert_eq!(answer.unwrap(), text);
            })
        })
        .collect();
    for call in calls {
        soon(call).await.unwrap();
    }
    system.stop().await;
}

/// In process there is no connection, and so no limit of one.
#[every_mode]
async fn more_calls_than_a_connection_takes_wait(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = system_with(mode, &worker)
        .manifest(|manifest| {
            manifest.limits.in_flight = 4;
            manifest.calls.connections = Some(1);
        })
        .start()
        .await;
    let client: WorkerClient = system.client();
    let calls: Vec<_> = (0..40)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.hold(number.to_string()).await })
        })
        .collect();
    let at_once = if mode == Mode::OverAConnection { 4 } else { 40 };
    worker.work.running(at_once).await;
    worker.work.release();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(soon(call).await.unwrap().unwrap(), number.to_string());
    }
    assert_eq!(worker.work.most(), at_once);
    system.stop().await;
}

#[every_mode]
async fn a_slow_call_holds_back_nobody(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = system_with(mode, &worker)
        .manifest(|manifest| manifest.calls.connections = Some(1))
        .start()
        .await;
    let client: WorkerClient = system.client();
    let slow = client.clone();
    let slow = tokio::spawn(async move { slow.hold("slow".into()).await });
    worker.work.running(1).await;
    for number in 0..100 {
        let text = number.to_string();
        assert_eq!(soon(client.echo(text.clone())).await.unwrap(), text);
    }
    worker.work.running(1).await;
    worker.work.release();
    assert_eq!(soon(slow).await.unwrap().unwrap(), "slow");
    system.stop().await;
}
