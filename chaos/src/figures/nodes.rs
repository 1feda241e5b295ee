//! Processes that do as they are told, on loopback, all within this one.

use monolift::{CallError, CallErrorKind, Context, InterfaceError, async_trait};
use monolift_call::link::{Interface, Link};
use monolift_manifest::{Address, Connect, Retries};
use monolift_seam::{
    remote::{Remote, Whereabouts},
    serve::{Directory, Limits, Server},
    wire::{Bounds, Listener, Machine, Peer},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

pub(super) const APP: &str = "figures";
pub(super) const NODE: &str = "node";

/// What is called.
#[monolift::interface(module = "node")]
pub trait Node {
    /// Something that may be done twice.
    #[idempotent]
    async fn read(&self) -> Result<(), NodeError>;

    /// Something that may not.
    async fn write(&self) -> Result<(), NodeError>;
}

#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum NodeError {
    #[error(transparent)]
    Call(CallError),
}

impl NodeError {
    pub(super) fn kind(&self) -> CallErrorKind {
        let Self::Call(error) = self;
        error.kind()
    }
}

/// How a node is, which can be changed while it runs, and what it has done.
#[derive(Debug)]
pub(super) struct Ways {
    /// How long a call takes, in microseconds.
    pub(super) takes: AtomicU64,
    /// One call in so many fails; none if 0.
    pub(super) fails: AtomicU64,
    pub(super) calls: AtomicU64,
    /// As many calls as may be worked on at once.
    pub(super) capacity: Semaphore,
    /// How long after their deadlines calls were worked on.
    pub(super) late: Mutex<Vec<Duration>>,
}

impl Ways {
    pub(super) fn new(takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            takes: AtomicU64::new(takes.as_micros() as u64),
            fails: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            capacity: Semaphore::new(Semaphore::MAX_PERMITS),
            late: Mutex::default(),
        })
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    async fn work(&self) -> Result<(), NodeError> {
        let number = self.calls.fetch_add(1, Relaxed);
        let _work = Work { ways: self, deadline: Context::current().map(|call| call.deadline()) };
        let _place = self.capacity.acquire().await.expect("it is never closed");
        let takes = self.takes.load(Relaxed);
        if takes > 0 {
            sleep(Duration::from_micros(takes)).await;
        }
        let fails = self.fails.load(Relaxed);
        if fails > 0 && number.is_multiple_of(fails) {
            return Err(NodeError::Call(CallError::new(CallErrorKind::Internal, "it fails")));
        }
        Ok(())
    }
}

/// Work under way; it notes how late it ends, if it is.
struct Work<'a> {
    ways: &'a Ways,
    deadline: Option<Instant>,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let late = self.deadline.map(|deadline| Instant::now().saturating_duration_since(deadline));
        if let Some(late) = late.filter(|late| !late.is_zero()) {
            self.ways.late.lock().expect("nobody panics with it").push(late);
        }
    }
}

struct Obedient(Arc<Ways>);

#[async_trait]
impl Node for Obedient {
    async fn read(&self) -> Result<(), NodeError> {
        self.0.work().await
    }

    async fn write(&self) -> Result<(), NodeError> {
        self.0.work().await
    }
}

/// Serves a node; where it can be called.
pub(super) async fn serve(ways: &Arc<Ways>, limits: Limits) -> anyhow::Result<(Server, Address)> {
    serve_at(&Address::Tcp("127.0.0.1:0".to_owned()), ways, limits).await
}

pub(super) async fn serve_at(
    address: &Address,
    ways: &Arc<Ways>,
    limits: Limits,
) -> anyhow::Result<(Server, Address)> {
    let node: Arc<dyn Node> = Arc::new(Obedient(Arc::clone(ways)));
    serve_any(address, node, limits).await
}

async fn serve_any<I: Interface + ?Sized>(
    address: &Address,
    module: Arc<I>,
    limits: Limits,
) -> anyhow::Result<(Server, Address)> {
    let listener = Listener::bind(address).await?;
    let address = listener.address()?;
    let directory = Directory::new(vec![Arc::new(Link::to(module))], Box::new(|_, _, _| true));
    let us = Peer::new(APP, I::MODULE, Bounds::default());
    Ok((Server::start(listener, us, directory, limits, Arc::default(), None), address))
}

/// A client of whoever is found so.
pub(super) fn client<I: Interface + ?Sized>(connect: Connect, retries: Retries) -> I::Client {
    let whereabouts = Whereabouts {
        process: I::MODULE.to_owned(),
        connect,
        network: Arc::new(Machine),
        us: Peer::new(APP, "caller", Bounds::default()),
        interfaces: vec![I::descriptor()],
        tls: None,
        bounds: Bounds::default(),
        hello: Duration::from_secs(5),
        in_flight: 4096,
        memory: Arc::default(),
        retries,
        thresholds: Default::default(),
    };
    let link = Link::<I>::unbound(Arc::default());
    link.bind_carrier(Arc::new(Remote::new(whereabouts, 8)));
    I::client(link)
}

/// An interface that passes a call on.
macro_rules! hop {
    ($module:literal, $name:ident, $hop:ident to $next:ty) => {
        #[monolift::interface(module = $module)]
        pub trait $name {
            #[idempotent]
            async fn read(&self) -> Result<(), NodeError>;
        }

        struct $hop($next);

        #[async_trait]
        impl $name for $hop {
            async fn read(&self) -> Result<(), NodeError> {
                self.0.read().await
            }
        }
    };
}

hop!("third", Third, ThirdHop to NodeClient);
hop!("second", Second, SecondHop to ThirdClient);
hop!("first", First, FirstHop to SecondClient);

/// Four hops: `first` calls `second`, that `third`, and that the node with these ways.
pub(super) async fn chain(ways: &Arc<Ways>) -> anyhow::Result<(Vec<Server>, FirstClient)> {
    let free = Address::Tcp("127.0.0.1:0".to_owned());
    let (limits, retries) = (Limits::default(), Retries::default());
    let (node, address) = serve(ways, limits).await?;
    let hop = ThirdHop(client::<dyn Node>(address.into(), retries));
    let (third, address) = serve_any::<dyn Third>(&free, Arc::new(hop), limits).await?;
    let hop = SecondHop(client::<dyn Third>(address.into(), retries));
    let (second, address) = serve_any::<dyn Second>(&free, Arc::new(hop), limits).await?;
    let hop = FirstHop(client::<dyn Second>(address.into(), retries));
    let (first, address) = serve_any::<dyn First>(&free, Arc::new(hop), limits).await?;
    Ok((vec![node, third, second, first], client::<dyn First>(address.into(), retries)))
}
