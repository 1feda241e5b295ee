//! The calling side of a connection: another process, its address, and the connections to it.
//!
//! It knows nothing of modules beyond their names in a hello, and never falls back to anything.

mod calls;
mod connection;
mod lane;

use crate::{
    call::{CallError, CallErrorKind, Context, overdue},
    interface::InterfaceDescriptor,
    wire::{self, Answer, Bounds, Carrier, Payload, Peer, Socket, Tls},
};
use connection::Connection;
use futures_util::future::BoxFuture;
use lane::Lane;
use monolift_manifest::Address;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::timeout_at;

/// Another process of the application, as this one calls it.
#[derive(Debug)]
pub struct Remote {
    whereabouts: Arc<Whereabouts>,
    lanes: Vec<Lane>,
}

/// Who calls whom, where, and within what bounds.
#[derive(Debug)]
pub struct Whereabouts {
    /// The process that is called, as the manifest names it.
    pub process: String,
    /// Where it listens.
    pub address: Address,
    /// This process.
    pub us: Peer,
    /// The interfaces that this process was built with: what it can call, if the other side serves
    /// it.
    pub interfaces: Vec<&'static InterfaceDescriptor>,
    /// How the two prove who they are, over TCP; without it they believe each other.
    pub tls: Option<Tls>,
    /// What the two hold each other to.
    pub bounds: Bounds,
    /// How long the hello may take.
    pub hello: Duration,
    /// The calls that may be in flight on one connection; more wait, each until its deadline.
    pub in_flight: usize,
}

impl Remote {
    /// Another process, with `connections` to it that are made when they are first needed.
    pub fn new(whereabouts: Whereabouts, connections: usize) -> Self {
        let whereabouts = Arc::new(whereabouts);
        let lanes = (0..connections.max(1)).map(|_| Lane::new(Arc::clone(&whereabouts))).collect();
        Self { whereabouts, lanes }
    }

    /// The process that is called, as the manifest names it.
    pub fn process(&self) -> &str {
        &self.whereabouts.process
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.whereabouts.address
    }

    /// The lanes, this thread's own first. Two threads have one: what they send goes out together,
    /// which carries more than a lane for each would.
    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Relaxed);
        }
        let (after, before) = self.lanes.split_at((THREAD.with(|own| *own) / 2) % self.lanes.len());
        before.iter().chain(after)
    }

    /// A connection, if there is one: this thread's own, or, where that has long messages lately or is
    /// not there, the one with the fewest calls.
    fn up(&self) -> Option<Arc<Connection>> {
        let mut found: Option<(usize, Arc<Connection>)> = None;
        let mut missing = None;
        for lane in self.lanes() {
            let Some(connection) = lane.up() else {
                missing.get_or_insert(lane);
                continue;
            };
            let calls = connection.calls_before_one_more();
            if found.as_ref().is_none_or(|(fewest, _)| calls < *fewest) {
                found = Some((calls, connection));
            }
            if calls == 0 {
                break;
            }
        }
        // While there is another way, this one is made ready.
        if let (Some(_), Some(lane)) = (&found, missing) {
            lane.begin();
        }
        found.map(|(_, connection)| connection)
    }

    /// A connection, which is waited for if there is none; or why there is none.
    async fn connection(&self) -> Result<Arc<Connection>, CallError> {
        // There is at least one.
        self.lanes().next().unwrap_or(&self.lanes[0]).connection().await
    }

    /// A connection of its own that goes on in HTTP, for the routes of a module's own.
    pub async fn dial_http(&self) -> Result<Socket, CallError> {
        let Whereabouts { process, address, us, hello, tls, .. } = &*self.whereabouts;
        let failed = |error: &dyn std::fmt::Display| {
            CallError::new(
                CallErrorKind::Unreachable,
                format!("the process `{process}` cannot be reached at {address}: {error}"),
            )
        };
        let connecting = wire::connect(address, tls.as_ref(), process);
        let connecting = tokio::time::timeout(*hello, connecting);
        let mut socket = match connecting.await {
            Ok(connected) => connected.map_err(|error| failed(&error))?,
            Err(elapsed) => return Err(failed(&elapsed)),
        };
        let greeted = wire::greet(&mut socket, &us.for_http(), *hello).await;
        greeted.map_err(|error| failed(&error))?;
        Ok(socket)
    }

    /// Connects if there is no connection; says why there is none.
    pub async fn reach(&self) -> Result<(), CallError> {
        self.lanes[0].connection().await.map(|_| ())
    }
}

impl Carrier for Remote {
    fn bounds(&self) -> Bounds {
        self.whereabouts.bounds
    }

    fn carry(
        &self,
        interface: &'static InterfaceDescriptor,
        method: usize,
        context: Context,
        payload: Payload,
        timed: bool,
    ) -> BoxFuture<'_, Result<Answer, CallError>> {
        Box::pin(async move {
            let connection = match self.up() {
                Some(connection) => connection,
                None => timeout_at(context.deadline(), self.connection())
                    .await
                    .map_err(|_| overdue())??,
            };
            connection.call(interface, method, context, payload, timed).await
        })
    }
}
