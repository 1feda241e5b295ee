//! A caller that goes away stops the work that was done for it.

use crate::support::{FirstClient, Obedient, Worker, WorkerClient, chain, soon};
use monolift::testing::{Mode, System, every_mode};
use std::sync::Arc;

#[every_mode]
async fn dropping_a_call_stops_its_work(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = System::new(mode).fake::<dyn Worker>(Arc::clone(&worker) as _).start().await;
    let client: WorkerClient = system.client();
    let beside = client.clone();
    let call = tokio::spawn(async move { client.for_ever().await });
    soon(worker.work.started.notified()).await;
    call.abort();
    worker.work.stopped().await;
    assert_eq!(beside.echo("still here".into()).await.unwrap(), "still here");
    system.stop().await;
}

#[every_mode]
async fn dropping_a_call_stops_the_work_four_hops_down(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = chain(mode, Arc::clone(&worker)).start().await;
    let client: FirstClient = system.client();
    let call = tokio::spawn(async move { client.for_ever().await });
    soon(worker.work.started.notified()).await;
    call.abort();
    worker.work.stopped().await;
    system.stop().await;
}

#[every_mode]
async fn a_caller_whose_process_ends_stops_its_work(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let mut system = chain(mode, Arc::clone(&worker)).start().await;
    let client: FirstClient = system.client();
    let call = tokio::spawn(async move { client.for_ever().await });
    soon(worker.work.started.notified()).await;
    // In one process there is none to lose; the call is dropped with its task.
    if !system.crash("first") {
        call.abort();
    }
    worker.work.stopped().await;
    let _ = soon(call).await;
}
