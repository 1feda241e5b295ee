//! What several of the tests need: one interface with a method for each way that a call can go.

use monolift::{CallError, Context, InterfaceError, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

/// What a test waits for comes soon, or the test has failed.
pub async fn soon<F: Future>(what: F) -> F::Output {
    timeout(Duration::from_secs(10), what).await.expect("this comes soon")
}

/// A module that does as it is told.
#[monolift::interface(module = "worker")]
pub trait Worker {
    /// Answers at once.
    #[idempotent]
    async fn echo(&self, text: String) -> Result<String, WorkerError>;

    /// Answers after a while. [`Work`] tells when it starts.
    async fn echo_after(&self, text: String, millis: u64) -> Result<String, WorkerError>;

    /// Answers with `length` bytes of text.
    async fn long(&self, length: usize) -> Result<String, WorkerError>;

    /// The milliseconds that are left of the call's time.
    async fn time_left(&self) -> Result<u64, WorkerError>;

    /// The same, by a method with a deadline of its own.
    #[deadline("500ms")]
    async fn time_left_of_500(&self) -> Result<u64, WorkerError>;

    /// The same, by a method whose own deadline is long.
    #[deadline("60s")]
    async fn time_left_of_60_000(&self) -> Result<u64, WorkerError>;

    /// Never answers. [`Work`] tells when it starts and when it is stopped.
    async fn for_ever(&self) -> Result<(), WorkerError>;

    /// Panics.
    async fn panic(&self, text: String) -> Result<(), WorkerError>;

    /// Fails as it is told.
    async fn fail(&self, how: How) -> Result<(), WorkerError>;

    /// What the context carries, as text.
    async fn context(&self) -> Result<String, WorkerError>;
}

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum How {
    Unit,
    Named,
    Io,
    Boxed,
}

#[derive(Debug, Error, PartialEq, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum WorkerError {
    #[error("nothing to say")]
    Unit,
    #[error("{name} has {count:?}")]
    #[status(409)]
    Named { name: String, count: Option<u64> },
    #[error(transparent)]
    Call(CallError),
}

/// What a worker is doing, as its test sees it.
#[derive(Debug)]
pub struct Work {
    pub started: Notify,
    pub running: watch::Sender<usize>,
}

impl Default for Work {
    fn default() -> Self {
        Self { started: Notify::new(), running: watch::Sender::new(0) }
    }
}

impl Work {
    /// Ready when nothing runs.
    pub async fn stopped(&self) {
        soon(self.running.subscribe().wait_for(|running| *running == 0)).await.unwrap();
    }
}

/// The worker of most tests.
#[derive(Debug, Default)]
pub struct Obedient {
    pub work: Arc<Work>,
    pub calls: Mutex<Vec<String>>,
}

fn left() -> u64 {
    let context = Context::current().expect("a module is always called in a context");
    context.remaining().as_millis() as u64
}

#[async_trait]
impl Worker for Obedient {
    async fn echo(&self, text: String) -> Result<String, WorkerError> {
        self.calls.lock().unwrap().push(text.clone());
        Ok(text)
    }

    async fn echo_after(&self, text: String, millis: u64) -> Result<String, WorkerError> {
        self.work.started.notify_one();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(text)
    }

    async fn long(&self, length: usize) -> Result<String, WorkerError> {
        Ok("x".repeat(length))
    }

    async fn time_left(&self) -> Result<u64, WorkerError> {
        Ok(left())
    }

    async fn time_left_of_500(&self) -> Result<u64, WorkerError> {
        Ok(left())
    }

    async fn time_left_of_60_000(&self) -> Result<u64, WorkerError> {
        Ok(left())
    }

    async fn for_ever(&self) -> Result<(), WorkerError> {
        struct Running(Arc<Work>);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.running.send_modify(|running| *running -= 1);
            }
        }
        self.work.running.send_modify(|running| *running += 1);
        let _running = Running(Arc::clone(&self.work));
        self.work.started.notify_one();
        std::future::pending().await
    }

    async fn panic(&self, text: String) -> Result<(), WorkerError> {
        panic!("{text}")
    }

    async fn fail(&self, how: How) -> Result<(), WorkerError> {
        match how {
            How::Unit => Err(WorkerError::Unit),
            How::Named => Err(WorkerError::Named { name: "ada".into(), count: Some(3) }),
            How::Io => Err(std::io::Error::other("the password is hunter2"))?,
            How::Boxed => {
                let error: Box<dyn std::error::Error + Send + Sync> = "hunter2".into();
                Err(error)?
            }
        }
    }

    async fn context(&self) -> Result<String, WorkerError> {
        let context = Context::current().expect("a module is always called in a context");
        let principal = context.principal().map(|p| format!("{}{:?}", p.subject, p.roles));
        Ok(format!(
            "{} {} {}",
            principal.unwrap_or_default(),
            context.idempotency_key().unwrap_or_default(),
            context.trace().trace_id
        ))
    }
}

/// A chain of interfaces, each calling the next, for calls of several hops.
macro_rules! hop {
    ($module:literal, $name:ident, $client:ident, $fake:ident, $next:ty) => {
        #[monolift::interface(module = $module)]
        pub trait $name {
            /// What is left of the time, here and on every hop below.
            async fn times_left(&self) -> Result<Vec<u64>, WorkerError>;

            /// Waits for ever at the bottom.
            async fn for_ever(&self) -> Result<(), WorkerError>;
        }

        pub struct $fake(pub $next);

        #[async_trait]
        impl $name for $fake {
            async fn times_left(&self) -> Result<Vec<u64>, WorkerError> {
                let mut all = vec![left()];
                tokio::time::sleep(Duration::from_millis(5)).await;
                all.extend(self.0.times_left().await?);
                Ok(all)
            }

            async fn for_ever(&self) -> Result<(), WorkerError> {
                self.0.for_ever().await
            }
        }
    };
}

/// The bottom of the chain.
#[derive(Debug, Clone)]
pub struct Bottom(pub WorkerClient);

impl Bottom {
    pub async fn times_left(&self) -> Result<Vec<u64>, WorkerError> {
        Ok(vec![self.0.time_left().await?])
    }

    pub async fn for_ever(&self) -> Result<(), WorkerError> {
        self.0.for_ever().await
    }
}

hop!("third", Third, ThirdClient, ThirdHop, Bottom);
hop!("second", Second, SecondClient, SecondHop, ThirdClient);
hop!("first", First, FirstClient, FirstHop, SecondClient);

/// A system with the worker, and the chain above it: `first`, `second`, `third`, `worker`.
pub fn chain(mode: monolift::testing::Mode, worker: Arc<Obedient>) -> monolift::testing::System {
    monolift::testing::System::new(mode)
        .fake::<dyn Worker>(worker)
        .fake_with::<dyn Third>(|app| Arc::new(ThirdHop(Bottom(app.client()))))
        .fake_with::<dyn Second>(|app| Arc::new(SecondHop(app.client())))
        .fake_with::<dyn First>(|app| Arc::new(FirstHop(app.client())))
}
