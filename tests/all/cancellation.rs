//! A caller that goes away stops the work that was done for it.

use crate::support::{FirstClient, Obedient, ThirdClient, WorkerClient, chain, soon};
use monolift::testing::{Mode, System, every_mode};
use std::{sync::Arc, time::Duration};

/// Four hops, and no deadline that could stop anything within a test.
fn patient(mode: Mode, worker: &Arc<Obedient>) -> System {
    chain(mode, worker).manifest(|manifest| manifest.calls.deadline = Duration::from_secs(60))
}

#[every_mode]
async fn dropping_a_call_stops_its_work(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = patient(mode, &worker).start().await;
    let client: WorkerClient = system.client();
    let beside = client.clone();
    let call = tokio::spawn(async move { client.for_ever().await });
    worker.work.running(1).await;
    call.abort();
    worker.work.running(0).await;
    assert_eq!(beside.echo("still here".into()).await.unwrap(), "still here");
    system.stop().await;
}

#[every_mode]
async fn dropping_a_call_stops_the_work_below_it(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = patient(mode, &worker).start().await;
    let (first, third): (FirstClient, ThirdClient) = (system.client(), system.client());
    let two_hops = tokio::spawn(async move { third.for_ever().await });
    let four_hops = tokio::spawn(async move { first.for_ever().await });
    worker.work.running(2).await;
    two_hops.abort();
    worker.work.running(1).await;
    four_hops.abort();
    worker.work.running(0).await;
    system.stop().await;
}

/// The client is the only one that may have so many in flight: a call that is given up makes room.
#[every_mode]
async fn a_call_that_was_given_up_makes_room_at_once(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = chain(mode, &worker)
        .manifest(|manifest| {
            manifest.calls.deadline = Duration::from_secs(60);
            manifest.limits.in_flight = 1;
            manifest.calls.connections = Some(1);
        })
        .start()
        .await;
    let client: WorkerClient = system.client();
    for number in 0..300 {
        let given_up = client.clone();
        let call = tokio::spawn(async move { given_up.for_ever().await });
        worker.work.running(1).await;
        call.abort();
        let text = number.to_string();
        assert_eq!(client.echo(text.clone()).await, Ok(text));
        worker.work.running(0).await;
    }
    system.stop().await;
}

#[every_mode]
async fn a_caller_whose_process_ends_stops_its_work(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let mut system = patient(mode, &worker).start().await;
    let client: FirstClient = system.client();
    let call = tokio::spawn(async move { client.for_ever().await });
    worker.work.running(1).await;
    // In one process there is none to lose; the call is dropped with its task.
    if !system.crash("first") {
        call.abort();
    }
    worker.work.running(0).await;
    let _ = soon(call).await;
    system.stop().await;
}
