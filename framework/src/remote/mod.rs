//! The calling side of a connection: another process, its address, and the connections to it.
//!
//! It knows nothing of modules beyond their names in a hello, and never falls back to anything.

mod calls;
mod connection;
mod lane;

use crate::{
    call::{CallError, CallErrorKind, Context, overdue},
    interface::InterfaceDescriptor,
    wire::{self, Answer, Bounds, Carrier, Payload, Peer, Socket},
};
use connection::Connection;
use futures_util::future::BoxFuture;
use lane::Lane;
use monolift_manifest::Address;
use std::{cell::Cell, sync::Arc, time::Duration};
use tokio::time::timeout_at;

/// Calls that a thread makes on one connection before it goes on to the next.
const STAYS: usize = 256;

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

    /// The lane whose turn it is. A thread stays with one for a while: what it sends goes out
    /// together, and it meets no other thread there.
    fn lane(&self) -> &Lane {
        thread_local! {
            static TURN: Cell<usize> = const { Cell::new(0) };
        }
        let turn = TURN.get();
        TURN.set(turn.wrapping_add(1));
        &self.lanes[(turn / STAYS) % self.lanes.len()]
    }

    /// The connection whose turn it is, or while that one is not there, another.
    fn up(&self) -> Option<Arc<Connection>> {
        let lane = self.lane();
        lane.up().or_else(|| {
            let other = self.lanes.iter().find_map(Lane::up)?;
            lane.begin();
            Some(other)
        })
    }

    /// A connection, which is waited for if there is none; or why there is none.
    async fn connection(&self) -> Result<Arc<Connection>, CallError> {
        self.lane().connection().await
    }

    /// A connection of its own that goes on in HTTP, for the routes of a module's own.
    pub async fn dial_http(&self) -> Result<Socket, CallError> {
        let Whereabouts { process, address, us, hello, .. } = &*self.whereabouts;
        let failed = |error: &dyn std::fmt::Display| {
            CallError::new(
                CallErrorKind::Unreachable,
                format!("the process `{process}` cannot be reached at {address}: {error}"),
            )
        };
        let connecting = tokio::time::timeout(*hello, wire::connect(address));
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
    ) -> BoxFuture<'_, Result<Answer, CallError>> {
        Box::pin(async move {
            let connection = match self.up() {
                Some(connection) => connection,
                None => timeout_at(context.deadline(), self.connection())
                    .await
                    .map_err(|_| overdue())??,
            };
            connection.call(interface, method, context, payload).await
        })
    }
}
