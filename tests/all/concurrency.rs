//! Many calls at once.

use crate::support::{Obedient, Worker, WorkerClient};
use monolift::testing::{Mode, System, every_mode};
use std::sync::Arc;
use tokio::time::Instant;

#[every_mode]
async fn a_thousand_calls_get_their_own_answers(mode: Mode) {
    let system = System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).start().await;
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
        call.await.unwrap();
    }
    system.stop().await;
}

#[every_mode]
async fn more_calls_than_a_connection_takes_wait(mode: Mode) {
    let system = System::new(mode)
        .fake::<dyn Worker>(Arc::new(Obedient::default()))
        .manifest(|manifest| {
            manifest.limits.in_flight = 4;
            manifest.calls.connections = Some(1);
        })
        .start()
        .await;
    let worker: WorkerClient = system.client();
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let worker = worker.clone();
            tokio::spawn(async move { worker.echo_after("x".into(), 5).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    system.stop().await;
}

#[every_mode]
async fn a_slow_call_holds_back_nobody(mode: Mode) {
    let system = System::new(mode)
        .fake::<dyn Worker>(Arc::new(Obedient::default()))
        .manifest(|manifest| manifest.calls.connections = Some(1))
        .start()
        .await;
    let worker: WorkerClient = system.client();
    let slow = worker.clone();
    let slow = tokio::spawn(async move { slow.echo_after("slow".into(), 4_000).await });
    let start = Instant::now();
    for _ in 0..100 {
        worker.echo("fast".into()).await.unwrap();
    }
    assert!(!slow.is_finished(), "the fast ones took {:?}", start.elapsed());
    slow.abort();
    system.stop().await;
}
