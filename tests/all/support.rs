//! What several of the tests need: one interface with a method for each way that a call can go, and
//! a chain of three more above it.

use monolift::{
    CallError, CallErrorKind, Context, InterfaceError, async_trait,
    testing::{Mode, System},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    fmt::Debug,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// What a test waits for comes soon, or the test has failed.
pub async fn soon<F: Future>(what: F) -> F::Output {
    timeout(Duration::from_secs(10), what).await.expect("this comes soon")
}

/// How many random cases a test tries: `usual` before each change, what `MONOLIFT_SEEDS` says before a release.
pub fn seeds(usual: u64) -> u64 {
    std::env::var("MONOLIFT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}

/// A context that ends after `time`.
pub fn within(time: Duration) -> Context {
    Context::until(Instant::now() + time)
}

/// A module that does as it is told.
#[monolift::interface(module = "worker")]
pub trait Worker {
    /// Answers at once.
    #[idempotent]
    async fn echo(&self, text: String) -> Result<String, WorkerError>;

    /// Answers after a while.
    async fn echo_after(&self, text: String, millis: u64) -> Result<String, WorkerError>;

    /// Answers when the test says so; see [`Work`].
    async fn hold(&self, text: String) -> Result<String, WorkerError>;

    /// Never answers.
    async fn for_ever(&self) -> Result<(), WorkerError>;

    /// Never answers, and panics when it is dropped.
    async fn drop_badly(&self) -> Result<(), WorkerError>;

    /// Answers with `length` bytes of text.
    async fn long(&self, length: usize) -> Result<String, WorkerError>;

    /// What is left of the call's time, in nanoseconds: of a chain, here and on every hop below.
    async fn times_left(&self) -> Result<Vec<u64>, WorkerError>;

    /// The same, by a method with a deadline of its own.
    #[deadline("500ms")]
    async fn times_left_of_500_ms(&self) -> Result<Vec<u64>, WorkerError>;

    /// The same, by a method whose own deadline is long.
    #[deadline("60s")]
    async fn times_left_of_60_s(&self) -> Result<Vec<u64>, WorkerError>;

    /// Panics, at its first poll or after it was pending.
    async fn panic(&self, text: String, later: bool) -> Result<(), WorkerError>;

    /// Fails as it is told.
    #[idempotent]
    async fn fail(&self, how: How) -> Result<(), WorkerError>;

    /// What the context carries, as text.
    async fn context(&self) -> Result<String, WorkerError>;
}

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum How {
    Unit,
    Tuple,
    Named,
    /// By an `io::Error` that `?` met.
    Io,
    /// By an error of no known type.
    Boxed,
    /// By a `CallError` of the module's own making.
    Refuse,
    /// By a `CallError` with as many bytes of text.
    Wordy(usize),
    /// By an error of its own, with as many bytes of text.
    Long(usize),
}

#[derive(Debug, Error, PartialEq, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum WorkerError {
    #[error("nothing to say")]
    Unit,
    #[error("{0} and {1:?}")]
    Tuple(String, Vec<Option<u8>>),
    #[error("{name} has {count:?}")]
    #[status(409)]
    Named { name: String, count: Option<u64> },
    #[error(transparent)]
    Call(CallError),
}

/// The call error that a call must have ended with.
pub fn call_error<T: Debug>(answer: Result<T, WorkerError>) -> CallError {
    match answer {
        Err(WorkerError::Call(error)) => error,
        other => panic!("no call error: {other:?}"),
    }
}

/// What a worker has under way, as its test sees and steers it.
#[derive(Debug)]
pub struct Work {
    running: watch::Sender<usize>,
    most: AtomicUsize,
    released: watch::Sender<bool>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            running: watch::Sender::new(0),
            most: AtomicUsize::new(0),
            released: watch::Sender::new(false),
        }
    }
}

impl Work {
    /// Ready when `count` calls of [`Worker::hold`] and [`Worker::for_ever`] run.
    pub async fn running(&self, count: usize) {
        soon(self.running.subscribe().wait_for(|running| *running == count)).await.unwrap();
    }

    /// The most of them that ran at once.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Has what is held answer.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    fn start(self: &Arc<Self>) -> Running {
        self.running.send_modify(|running| {
            *running += 1;
            self.most.fetch_max(*running, Ordering::SeqCst);
        });
        Running(Arc::clone(self))
    }
}

/// One piece of work; it has ended, or was stopped, when this is dropped.
struct Running(Arc<Work>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

/// The worker of most tests.
#[derive(Debug, Default)]
pub struct Obedient {
    pub work: Arc<Work>,
    /// What [`Worker::echo`] was called with.
    pub echoed: Mutex<Vec<String>>,
    /// How often [`Worker::fail`] was called.
    pub failed: AtomicUsize,
}

/// A system with `worker` alone.
pub fn system_with(mode: Mode, worker: &Arc<Obedient>) -> System {
    let worker: Arc<dyn Worker> = Arc::<Obedient>::clone(worker);
    System::new(mode).fake(worker)
}

fn current() -> Context {
    Context::current().expect("a module is always called in a context")
}

fn nanos_left() -> u64 {
    current().remaining().as_nanos() as u64
}

#[async_trait]
impl Worker for Obedient {
    async fn echo(&self, text: String) -> Result<String, WorkerError> {
        self.echoed.lock().unwrap().push(text.clone());
        Ok(text)
    }

    async fn echo_after(&self, text: String, millis: u64) -> Result<String, WorkerError> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(text)
    }

    async fn hold(&self, text: String) -> Result<String, WorkerError> {
        let _running = self.work.start();
        let _ = self.work.released.subscribe().wait_for(|released| *released).await;
        Ok(text)
    }

    async fn for_ever(&self) -> Result<(), WorkerError> {
        let _running = self.work.start();
        std::future::pending().await
    }

    async fn drop_badly(&self) -> Result<(), WorkerError> {
        struct Badly(#[allow(dead_code, reason = "it counts until it is dropped")] Running);
        impl Drop for Badly {
            fn drop(&mut self) {
                panic!("secret");
            }
        }
        let _badly = Badly(self.work.start());
        std::future::pending().await
    }

    async fn long(&self, length: usize) -> Result<String, WorkerError> {
        Ok("x".repeat(length))
    }

    async fn times_left(&self) -> Result<Vec<u64>, WorkerError> {
        Ok(vec![nanos_left()])
    }

    async fn times_left_of_500_ms(&self) -> Result<Vec<u64>, WorkerError> {
        Ok(vec![nanos_left()])
    }

    async fn times_left_of_60_s(&self) -> Result<Vec<u64>, WorkerError> {
        Ok(vec![nanos_left()])
    }

    async fn panic(&self, text: String, later: bool) -> Result<(), WorkerError> {
        if later {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{text}")
    }

    async fn fail(&self, how: How) -> Result<(), WorkerError> {
        self.failed.fetch_add(1, Ordering::Relaxed);
        match how {
            How::Unit => Err(WorkerError::Unit),
            How::Tuple => Err(WorkerError::Tuple("ünïcode".into(), vec![None, Some(0)])),
            How::Named => Err(WorkerError::Named { name: "ada".into(), count: Some(3) }),
            How::Io => Err(std::io::Error::other("the password is hunter2"))?,
            How::Boxed => {
                let error: Box<dyn std::error::Error + Send + Sync> = "hunter2".into();
                Err(error)?
            }
            How::Refuse => Err(CallError::new(CallErrorKind::Overloaded, "come back on Monday"))?,
            How::Wordy(length) => {
                Err(CallError::new(CallErrorKind::Overloaded, "x".repeat(length)))?
            }
            How::Long(length) => Err(WorkerError::Named { name: "x".repeat(length), count: None }),
        }
    }

    async fn context(&self) -> Result<String, WorkerError> {
        let context = current();
        let principal = context.principal().map(|p| format!("{}{:?}", p.subject, p.roles));
        let key = context.idempotency_key().unwrap_or_default();
        Ok(format!("{} {key} {}", principal.unwrap_or_default(), context.trace()))
    }
}

/// An interface that calls the next one, for calls of several hops.
macro_rules! hop {
    ($module:literal, $name:ident, $client:ident, $hop:ident calls $next:ty) => {
        #[monolift::interface(module = $module)]
        pub trait $name {
            async fn times_left(&self) -> Result<Vec<u64>, WorkerError>;
            async fn for_ever(&self) -> Result<(), WorkerError>;
            async fn fail(&self, how: How) -> Result<(), WorkerError>;
            async fn panic(&self, text: String) -> Result<(), WorkerError>;
            async fn context(&self) -> Result<String, WorkerError>;
        }

        pub struct $hop(pub $next);

        #[async_trait]
        impl $name for $hop {
            async fn times_left(&self) -> Result<Vec<u64>, WorkerError> {
                let mut all = vec![nanos_left()];
                all.extend(self.0.times_left().await?);
                Ok(all)
            }

            async fn for_ever(&self) -> Result<(), WorkerError> {
                self.0.for_ever().await
            }

            /// `?` alone, and its error is as it was.
            async fn fail(&self, how: How) -> Result<(), WorkerError> {
                Ok(self.0.fail(how).await?)
            }

            async fn panic(&self, text: String) -> Result<(), WorkerError> {
                hop!(@panic $module, self, text)
            }

            async fn context(&self) -> Result<String, WorkerError> {
                self.0.context().await
            }
        }
    };
    (@panic "third", $self:ident, $text:ident) => { $self.0.panic($text, false).await };
    (@panic $module:literal, $self:ident, $text:ident) => { $self.0.panic($text).await };
}

hop!("third", Third, ThirdClient, ThirdHop calls WorkerClient);
hop!("second", Second, SecondClient, SecondHop calls ThirdClient);
hop!("first", First, FirstClient, FirstHop calls SecondClient);

/// A system of four hops: `first` calls `second`, that `third`, and that `worker`.
pub fn chain(mode: Mode, worker: &Arc<Obedient>) -> System {
    system_with(mode, worker)
        .fake_with::<dyn Third>(|app| Arc::new(ThirdHop(app.client())))
        .fake_with::<dyn Second>(|app| Arc::new(SecondHop(app.client())))
        .fake_with::<dyn First>(|app| Arc::new(FirstHop(app.client())))
}
