//! A panic is an error for its caller, and for nobody else.

use crate::support::{Obedient, Worker, WorkerClient, WorkerError};
use monolift::{
    CallError, CallErrorKind, InterfaceError, async_trait,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, sync::Arc};

fn is_internal(error: &CallError, call: &str) {
    assert_eq!(error.kind(), CallErrorKind::Internal, "{error}");
    assert_eq!(error.call(), call);
    assert!(error.reference().is_some());
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[every_mode]
async fn a_panic_ends_its_own_call(mode: Mode) {
    let system = System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).start().await;
    let worker: WorkerClient = system.client();
    let beside = worker.clone();
    let beside = tokio::spawn(async move { beside.echo_after("beside".into(), 100).await });
    for _ in 0..3 {
        let Err(WorkerError::Call(error)) = worker.panic("secret".into()).await else {
            panic!("no call error")
        };
        is_internal(&error, "worker.panic");
    }
    assert_eq!(worker.echo("after".into()).await.unwrap(), "after");
    assert_eq!(beside.await.unwrap().unwrap(), "beside");
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
    async fn give(&self, out: bool) -> Result<Bomb, BombsError>;
    async fn fine(&self) -> Result<(), BombsError>;
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum BombsError {
    #[error(transparent)]
    Call(CallError),
}

struct Squad;

#[async_trait]
impl Bombs for Squad {
    async fn take(&self, _: Bomb) -> Result<(), BombsError> {
        Ok(())
    }

    async fn give(&self, out: bool) -> Result<Bomb, BombsError> {
        Ok(if out { Bomb::OnTheWayOut } else { Bomb::OnTheWayIn })
    }

    async fn fine(&self) -> Result<(), BombsError> {
        Ok(())
    }
}

/// Only where something is encoded can encoding panic; then it is an error for that call.
#[every_mode]
async fn a_type_that_panics_on_its_way_ends_its_own_call(mode: Mode) {
    let system = System::new(mode).fake::<dyn Bombs>(Arc::new(Squad)).start().await;
    let bombs: BombsClient = system.client();
    if mode.encodes() {
        for bomb in [Bomb::OnTheWayOut, Bomb::OnTheWayIn] {
            let BombsError::Call(error) = bombs.take(bomb).await.unwrap_err();
            is_internal(&error, "bombs.take");
        }
        for out in [true, false] {
            let BombsError::Call(error) = bombs.give(out).await.unwrap_err();
            is_internal(&error, "bombs.give");
        }
    } else {
        bombs.take(Bomb::OnTheWayOut).await.unwrap();
        bombs.give(true).await.unwrap();
    }
    bombs.fine().await.unwrap();
    system.stop().await;
}
