//! A panic is an error for its caller, and for nobody else.

use crate::support::{Obedient, WorkerClient, call_error, soon, system_with, within};
use monolift::{
    CallError, CallErrorKind, InterfaceError, async_trait,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::sync::Notify;

fn is_internal(error: &CallError, call: &str) {
    assert_eq!((error.kind(), error.call()), (CallErrorKind::Internal, call), "{error}");
    assert!(error.reference().is_some());
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[every_mode]
async fn a_panic_ends_its_own_call(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = system_with(mode, &worker)
        .manifest(|manifest| manifest.calls.connections = Some(1))
        .start()
        .await;
    let client: WorkerClient = system.client();
    let beside = client.clone();
    let beside = tokio::spawn(async move { beside.hold("beside".into()).await });
    worker.work.running(1).await;
    // At the first poll, which is in the connection's own task, and in a task of the call's own.
    for later in [false, true, false] {
        let error = call_error(client.panic("secret".into(), later).await);
        is_internal(&error, "worker.panic");
    }
    assert_eq!(client.echo("after".into()).await.unwrap(), "after");
    worker.work.release();
    assert_eq!(soon(beside).await.unwrap().unwrap(), "beside");
    system.stop().await;
}

#[every_mode]
async fn a_thousand_panics_at_once_leave_the_rest_alone(mode: Mode) {
    let system = system_with(mode, &Arc::default()).start().await;
    let client: WorkerClient = system.client();
    let calls: Vec<_> = (0..1_000_u32)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                if number % 2 == 0 {
                    let panicked = client.panic("secret".into(), number % 4 == 0).await;
                    is_internal(&call_error(panicked), "worker.panic");
                } else {
                    let text = number.to_string();
                    assert_eq!(client.echo_after(text.clone(), 1).await.unwrap(), text);
                }
            })
        })
        .collect();
    for call in calls {
        soon(call).await.unwrap();
    }
    system.stop().await;
}

/// A panic of what the module leaves behind, when its deadline passes or its caller goes away.
#[every_mode]
async fn a_panic_of_work_that_is_dropped_reaches_nobody(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = system_with(mode, &worker).start().await;
    let client: WorkerClient = system.client();
    let late = within(Duration::from_millis(50)).scope(client.drop_badly()).await;
    assert_eq!(call_error(late).kind(), CallErrorKind::DeadlineExceeded);
    worker.work.running(0).await;

    let given_up = Arc::new(Notify::new());
    let caller = tokio::spawn({
        let (client, given_up) = (client.clone(), Arc::clone(&given_up));
        async move {
            tokio::select! {
                _ = client.drop_badly() => unreachable!("it never answers"),
                () = given_up.notified() => {}
            }
            "still here"
        }
    });
    worker.work.running(1).await;
    given_up.notify_one();
    assert_eq!(soon(caller).await.unwrap(), "still here");
    worker.work.running(0).await;
    assert_eq!(client.echo("after".into()).await.unwrap(), "after");
    system.stop().await;
}

/// A value that panics on its way out, or on its way in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bomb {
    OnTheWayOut,
    OnTheWayIn,
}

impl Serialize for Bomb {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        assert_ne!(*self, Self::OnTheWayOut, "secret");
        to.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("secret")
    }
}

impl JsonSchema for Bomb {
    fn schema_name() -> Cow<'static, str> {
        "Bomb".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        bool::json_schema(generator)
    }
}

#[monolift::interface(module = "bombs")]
pub trait Bombs {
    async fn take(&self, bomb: Bomb) -> Result<(), BombsError>;
    async fn give(&self, bomb: String) -> Result<Bomb, BombsError>;
    async fn hold(&self) -> Result<(), BombsError>;
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum BombsError {
    #[error(transparent)]
    Call(CallError),
}

#[derive(Default)]
struct Squad {
    holding: Notify,
    released: Notify,
}

#[async_trait]
impl Bombs for Squad {
    async fn take(&self, _: Bomb) -> Result<(), BombsError> {
        Ok(())
    }

    async fn give(&self, bomb: String) -> Result<Bomb, BombsError> {
        Ok(if bomb == "on the way out" { Bomb::OnTheWayOut } else { Bomb::OnTheWayIn })
    }

    async fn hold(&self) -> Result<(), BombsError> {
        self.holding.notify_one();
        self.released.notified().await;
        Ok(())
    }
}

/// Only where something is encoded can encoding panic; then it is an error for that call.
#[every_mode]
async fn a_type_that_panics_on_its_way_ends_its_own_call(mode: Mode) {
    let squad = Arc::new(Squad::default());
    let system = System::new(mode)
        .fake::<dyn Bombs>(Arc::<Squad>::clone(&squad))
        .manifest(|manifest| manifest.calls.connections = Some(1))
        .start()
        .await;
    let bombs: BombsClient = system.client();
    let beside = bombs.clone();
    let beside = tokio::spawn(async move { beside.hold().await });
    soon(squad.holding.notified()).await;
    if mode.encodes() {
        for bomb in [Bomb::OnTheWayOut, Bomb::OnTheWayIn] {
            let BombsError::Call(error) = bombs.take(bomb).await.unwrap_err();
            is_internal(&error, "bombs.take");
        }
        for bomb in ["on the way out", "on the way in"] {
            let BombsError::Call(error) = bombs.give(bomb.into()).await.unwrap_err();
            is_internal(&error, "bombs.give");
        }
    } else {
        bombs.take(Bomb::OnTheWayOut).await.unwrap();
        assert_eq!(bombs.give("on the way out".into()).await.unwrap(), Bomb::OnTheWayOut);
    }
    squad.released.notify_one();
    soon(beside).await.unwrap().unwrap();
    system.stop().await;
}
