//! Errors: the same after the trip, and no more told than should be.

use crate::support::{FirstClient, How, Obedient, Worker, WorkerClient, WorkerError, chain};
use monolift::{
    CallErrorKind, Context, Principal,
    call::{CallSettings, Trace},
    testing::{Mode, System, every_mode},
};
use std::sync::Arc;

#[every_mode]
async fn typed_errors_arrive_as_they_left(mode: Mode) {
    let system = System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).start().await;
    let worker: WorkerClient = system.client();
    assert_eq!(worker.fail(How::Unit).await, Err(WorkerError::Unit));
    let named = WorkerError::Named { name: "ada".into(), count: Some(3) };
    assert_eq!(worker.fail(How::Named).await, Err(named));
    system.stop().await;
}

#[every_mode]
async fn an_internal_error_is_a_reference_to_its_callers(mode: Mode) {
    let system = System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).start().await;
    let worker: WorkerClient = system.client();
    for how in [How::Io, How::Boxed] {
        let Err(WorkerError::Call(error)) = worker.fail(how).await else { panic!("no call error") };
        assert_eq!(error.kind(), CallErrorKind::Internal);
        assert!(error.reference().is_some());
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    system.stop().await;
}

#[every_mode]
async fn a_module_that_nobody_started_is_said(mode: Mode) {
    let system = System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).start().await;
    let first: FirstClient = system.client();
    let Err(WorkerError::Call(error)) = first.for_ever().await else { panic!("no call error") };
    assert_eq!(error.kind(), CallErrorKind::NotRunning);
    assert!(error.message().contains("`first`"), "{error}");
    system.stop().await;
}

#[every_mode]
async fn an_error_of_a_deeper_call_arrives_as_it_was(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = System::new(mode)
        .fake::<dyn Worker>(worker)
        .fake_with::<dyn crate::support::Third>(|app| {
            Arc::new(crate::support::ThirdHop(crate::support::Bottom(app.client())))
        })
        .start()
        .await;
    let third: crate::support::ThirdClient = system.client();
    let context = Context::until(tokio::time::Instant::now());
    let Err(WorkerError::Call(error)) = context.scope(third.for_ever()).await else {
        panic!("no call error")
    };
    assert_eq!(error.kind(), CallErrorKind::DeadlineExceeded);
    assert_eq!(error.call(), "third.for_ever");
    system.stop().await;
}

#[every_mode]
async fn the_context_travels(mode: Mode) {
    let system = chain(mode, Arc::new(Obedient::default())).start().await;
    let worker: WorkerClient = system.client();
    let trace = Trace { trace_id: 77, span_id: 5, sampled: true };
    let principal = Principal { subject: "ada".into(), roles: vec!["buyer".into()] };
    let context = Context::edge(&CallSettings::default())
        .with_trace(trace)
        .with_principal(principal)
        .with_idempotency_key("key");
    let told = context.scope(worker.context()).await.unwrap();
    assert_eq!(told, "ada[\"buyer\"] key 77");
    system.stop().await;
}
