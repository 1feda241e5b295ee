//! What is too long is an error for its own call, where there is a wire; in process nothing is
//! measured, and it passes.

use crate::support::{Obedient, Worker, WorkerClient, WorkerError};
use monolift::{
    CallErrorKind, Context, Principal,
    call::CallSettings,
    testing::{Mode, System, every_mode},
};
use std::sync::Arc;

const FRAME: usize = 64 * 1024;

fn small_frames(mode: Mode) -> System {
    System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).manifest(|manifest| {
        manifest.limits.frame = FRAME;
        manifest.calls.connections = Some(1);
    })
}

fn too_large<T: std::fmt::Debug>(answer: Result<T, WorkerError>) {
    let Err(WorkerError::Call(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error.kind(), CallErrorKind::TooLarge, "{error}");
    assert!(error.message().contains("65536 bytes"), "{error}");
}

#[every_mode]
async fn an_answer_over_the_limit(mode: Mode) {
    let system = small_frames(mode).start().await;
    let worker: WorkerClient = system.client();
    let beside = worker.clone();
    let beside = tokio::spawn(async move { beside.echo_after("beside".into(), 50).await });
    // Five bytes of it say how long the text is.
    assert_eq!(worker.long(FRAME - 5).await.unwrap().len(), FRAME - 5);
    let longer = worker.long(FRAME).await;
    if mode.encodes() {
        too_large(longer);
    } else {
        assert_eq!(longer.unwrap().len(), FRAME);
    }
    assert_eq!(beside.await.unwrap().unwrap(), "beside");
    assert_eq!(worker.echo("after".into()).await.unwrap(), "after");
    system.stop().await;
}

#[every_mode]
async fn arguments_over_the_limit(mode: Mode) {
    let system = small_frames(mode).start().await;
    let worker: WorkerClient = system.client();
    let text = "x".repeat(FRAME);
    let longer = worker.echo(text).await;
    if mode.encodes() {
        too_large(longer);
    } else {
        assert_eq!(longer.unwrap().len(), FRAME);
    }
    assert_eq!(worker.echo("after".into()).await.unwrap(), "after");
    system.stop().await;
}

#[tokio::test]
async fn baggage_over_the_limit() {
    let system = small_frames(Mode::OverAConnection).start().await;
    let worker: WorkerClient = system.client();
    let principal = Principal { subject: "x".repeat(20_000), roles: Vec::new() };
    let context = Context::edge(&CallSettings::default()).with_principal(principal);
    let Err(WorkerError::Call(error)) = context.scope(worker.echo("x".into())).await else {
        panic!("it was carried")
    };
    assert_eq!(error.kind(), CallErrorKind::TooLarge);
    assert_eq!(worker.echo("after".into()).await.unwrap(), "after");
    system.stop().await;
}
