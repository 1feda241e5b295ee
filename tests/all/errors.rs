//! Errors: the same after the trip, and no more told than should be.

use crate::support::{
    FirstClient, How, Obedient, WorkerClient, WorkerError, call_error, chain, system_with,
};
use monolift::{
    CallErrorKind, Context, Inject, Principal, StartError, async_trait,
    module::Injector,
    testing::{Mode, System, every_mode},
};
use monolift_call::call::{CallSettings, Trace};
use std::sync::{Arc, atomic::Ordering::Relaxed};

#[every_mode]
async fn typed_errors_arrive_as_they_left(mode: Mode) {
    let system = system_with(mode, &Arc::default()).start().await;
    let worker: WorkerClient = system.client();
    for (how, expected) in [
        (How::Unit, WorkerError::Unit),
        (How::Tuple, WorkerError::Tuple("ünïcode".into(), vec![None, Some(0)])),
        (How::Named, WorkerError::Named { name: "ada".into(), count: Some(3) }),
    ] {
        assert_eq!(worker.fail(how).await, Err(expected));
    }
    system.stop().await;
}

#[every_mode]
async fn an_internal_error_is_a_reference_to_its_callers(mode: Mode) {
    let system = system_with(mode, &Arc::default()).start().await;
    let worker: WorkerClient = system.client();
    for how in [How::Io, How::Boxed] {
        let error = call_error(worker.fail(how).await);
        assert_eq!((error.kind(), error.call()), (CallErrorKind::Internal, "worker.fail"));
        let reference = error.reference().expect("an internal error has one").to_string();
        assert_eq!(
            error.to_string(),
            format!("worker.fail: internal error (reference {reference})")
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    system.stop().await;
}

/// Inside a process its arguments have been moved into the call. So it is not retried between processes
/// either, where a retry would multiply the load on a dependency that fails.
#[every_mode]
async fn an_internal_error_of_an_idempotent_method_is_not_retried(mode: Mode) {
    let worker: Arc<Obedient> = Arc::default();
    let system = system_with(mode, &worker).start().await;
    let client: WorkerClient = system.client();
    let error = call_error(client.fail(How::Io).await);
    assert_eq!(error.kind(), CallErrorKind::Internal);
    assert_eq!(worker.failed.load(Relaxed), 1);
    system.stop().await;
}

/// Each of the three above `worker` passes it on with `?`.
#[every_mode]
async fn an_error_four_hops_down_arrives_as_it_was(mode: Mode) {
    let system = chain(mode, &Arc::default()).start().await;
    let first: FirstClient = system.client();
    let named = WorkerError::Named { name: "ada".into(), count: Some(3) };
    assert_eq!(first.fail(How::Named).await, Err(named));

    // It says which call it was: the deepest.
    let refused = call_error(first.fail(How::Refuse).await);
    assert_eq!(refused.kind(), CallErrorKind::Overloaded);
    assert_eq!((refused.call(), refused.message()), ("worker.fail", "come back on Monday"));

    let internal = call_error(first.fail(How::Io).await);
    assert_eq!((internal.kind(), internal.call()), (CallErrorKind::Internal, "worker.fail"));
    assert!(internal.reference().is_some());
    let panicked = call_error(first.panic("secret".into()).await);
    assert_eq!((panicked.kind(), panicked.call()), (CallErrorKind::Internal, "worker.panic"));
    system.stop().await;
}

#[every_mode]
async fn a_module_that_nobody_started_is_said(mode: Mode) {
    let system = system_with(mode, &Arc::default()).start().await;
    let first: FirstClient = system.client();
    let error = call_error(first.for_ever().await);
    assert_eq!((error.kind(), error.call()), (CallErrorKind::NotRunning, "first.for_ever"));
    assert!(error.message().contains("`first`"), "{error}");
    system.stop().await;
}

#[monolift::interface(module = "sneak")]
pub trait Sneak {
    async fn call_worker(&self) -> Result<String, WorkerError>;
}

/// A client in a wrapper that does not say whom it calls, so that no compiler sees it.
struct Smuggled(WorkerClient);

impl Inject for Smuggled {
    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        Ok(Self(injector.client()))
    }
}

#[monolift::module(name = "sneak", provides = Sneak)]
pub struct SneakModule {
    worker: Smuggled,
}

#[async_trait]
impl Sneak for SneakModule {
    async fn call_worker(&self) -> Result<String, WorkerError> {
        self.worker.0.echo("psst".into()).await
    }
}

/// Inside a process nobody asks who calls; between two, each side does. `wire` has the other side.
#[every_mode]
async fn a_process_that_does_not_declare_what_it_calls_is_denied(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = system_with(mode, &worker).module::<SneakModule>().start().await;
    let sneak: SneakClient = system.client();
    let answer = sneak.call_worker().await;
    if mode == Mode::OverAConnection {
        let error = call_error(answer);
        assert_eq!((error.kind(), error.call()), (CallErrorKind::Denied, "worker.echo"));
        let told =
            "the process `sneak` may not call this: none of its modules depends on `worker-api`";
        assert_eq!(error.message(), told);
        assert!(worker.echoed.lock().unwrap().is_empty());
    } else {
        assert_eq!(answer.unwrap(), "psst");
    }
    system.stop().await;
}

#[every_mode]
async fn the_context_travels(mode: Mode) {
    let system = chain(mode, &Arc::default()).start().await;
    let first: FirstClient = system.client();
    let trace = Trace { trace_id: 77, span_id: 5, sampled: true };
    let principal = Principal::user("ada").with_role("buyer").with_role("é");
    let context = Context::edge(&CallSettings::default())
        .with_trace(trace)
        .with_principal(principal)
        .with_idempotency_key("key");
    let told = context.scope(first.context()).await.unwrap();
    assert_eq!(told, format!("ada{:?} key {trace}", ["buyer", "é"]));
    system.stop().await;
}

/// Two modules of one process, each with an interface of that name.
mod same_name {
    use crate::support::WorkerError;
    use monolift::async_trait;

    macro_rules! admin {
        ($module:ident, $text:literal) => {
            pub(super) mod $module {
                use super::{WorkerError, async_trait};

                #[monolift::interface(module = $text)]
                pub trait Admin {
                    async fn whose(&self) -> Result<String, WorkerError>;
                }

                pub(crate) struct Office;

                #[async_trait]
                impl Admin for Office {
                    async fn whose(&self) -> Result<String, WorkerError> {
                        Ok($text.to_owned())
                    }
                }
            }
        };
    }

    admin!(town, "town");
    admin!(village, "village");
}

#[every_mode]
async fn interfaces_of_one_name_in_two_modules_are_two(mode: Mode) {
    use same_name::{town, village};
    let system = System::new(mode)
        .fake::<dyn town::Admin>(Arc::new(town::Office))
        .fake::<dyn village::Admin>(Arc::new(village::Office))
        .beside("village", "town")
        .start()
        .await;
    assert_eq!(system.client::<town::AdminClient>().whose().await.unwrap(), "town");
    assert_eq!(system.client::<village::AdminClient>().whose().await.unwrap(), "village");
    system.stop().await;
}
