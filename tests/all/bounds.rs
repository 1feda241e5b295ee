//! What is too long is an error for its own call, where there is a wire; in process nothing is
//! measured, and it passes.

use crate::support::{How, Obedient, WorkerClient, WorkerError, call_error, soon, system_with};
use monolift::{
    CallErrorKind, Context, Principal,
    testing::{Mode, RunningSystem, every_mode},
};
use monolift_call::call::CallSettings;
use std::{fmt::Debug, sync::Arc};

const FRAME: usize = 64 * 1024;

/// A system of small frames, with a call under way on its only connection: that call must end well,
/// whatever becomes of the others.
struct Small {
    system: RunningSystem,
    client: WorkerClient,
    worker: Arc<Obedient>,
    beside: tokio::task::JoinHandle<Result<String, WorkerError>>,
}

impl Small {
    async fn start(mode: Mode) -> Self {
        let worker = Arc::new(Obedient::default());
        let system = system_with(mode, &worker)
            .manifest(|manifest| {
                manifest.limits.frame = FRAME;
                manifest.calls.connections = Some(1);
            })
            .start()
            .await;
        let client: WorkerClient = system.client();
        let beside = client.clone();
        let beside = tokio::spawn(async move { beside.hold("beside".into()).await });
        worker.work.running(1).await;
        Self { system, client, worker, beside }
    }

    async fn stop(self) {
        assert_eq!(self.client.echo("after".into()).await.unwrap(), "after");
        self.worker.work.release();
        assert_eq!(soon(self.beside).await.unwrap().unwrap(), "beside");
        self.system.stop().await;
    }
}

fn too_large<T: Debug>(answer: Result<T, WorkerError>, call: &str) {
    let error = call_error(answer);
    assert_eq!((error.kind(), error.call()), (CallErrorKind::TooLarge, call), "{error}");
    assert!(error.message().contains("65536 bytes"), "{error}");
}

#[every_mode]
async fn an_answer_over_the_limit(mode: Mode) {
    let small = Small::start(mode).await;
    // Three bytes of it say how long the text is.
    let most = FRAME - 3;
    assert_eq!(small.client.long(most).await.unwrap().len(), most);
    let longer = small.client.long(most + 1).await;
    if mode.encodes() {
        too_large(longer, "worker.long");
    } else {
        assert_eq!(longer.unwrap().len(), most + 1);
    }
    small.stop().await;
}

#[every_mode]
async fn arguments_over_the_limit(mode: Mode) {
    let small = Small::start(mode).await;
    let longer = small.client.echo("x".repeat(FRAME)).await;
    if mode.encodes() {
        too_large(longer, "worker.echo");
        assert!(small.worker.echoed.lock().unwrap().is_empty());
    } else {
        assert_eq!(longer.unwrap().len(), FRAME);
    }
    small.stop().await;
}

#[every_mode]
async fn an_error_over_the_limit(mode: Mode) {
    let small = Small::start(mode).await;
    let long = small.client.fail(How::Long(FRAME)).await;
    if mode.encodes() {
        too_large(long, "worker.fail");
    } else {
        assert_eq!(long, Err(WorkerError::Named { name: "x".repeat(FRAME), count: None }));
    }
    small.stop().await;
}

/// The text of a call error is for a reader: what is too long of it is cut off, and the rest arrives.
#[every_mode]
async fn a_call_error_of_many_words(mode: Mode) {
    let small = Small::start(mode).await;
    for length in [FRAME / 2, FRAME, 10 * FRAME, 100 * FRAME] {
        let error = call_error(small.client.fail(How::Wordy(length)).await);
        assert_eq!((error.kind(), error.call()), (CallErrorKind::Overloaded, "worker.fail"));
        if mode.encodes() {
            assert!(error.message().len() < length && error.message().starts_with("xxx"));
        } else {
            assert_eq!(error.message().len(), length);
        }
    }
    small.stop().await;
}

#[every_mode]
async fn baggage_over_the_limit(mode: Mode) {
    let small = Small::start(mode).await;
    let principal = Principal::user("x".repeat(20_000));
    let context = Context::edge(&CallSettings::default()).with_principal(principal);
    let answer = context.scope(small.client.echo("x".into())).await;
    if mode.encodes() {
        let error = call_error(answer);
        assert_eq!((error.kind(), error.call()), (CallErrorKind::TooLarge, "worker.echo"));
    } else {
        assert_eq!(answer.unwrap(), "x");
    }
    small.stop().await;
}
