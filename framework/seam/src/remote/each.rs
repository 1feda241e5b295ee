//! Each replica of a process on its own, for what is not a module's: questions about a replica, and how it stands.

use super::{connection::Connection, connection::Unanswered, process::Remote};
use crate::{
    call::{CallError, CallErrorKind, overdue},
    wire::{Answer, Bounds, Carrier, Outgoing},
};
use futures_util::future::BoxFuture;
use monolift_manifest::Address;
use serde::Serialize;
use std::sync::Arc;

/// The way to one replica, over a connection that exists. A call is attempted once.
#[derive(Debug)]
pub struct OneReplica {
    connection: Arc<Connection>,
    bounds: Bounds,
}

/// How a replica stands, as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaState {
    /// Where it listens.
    pub address: String,
    /// Whether there is a connection to it that answers.
    pub connected: bool,
    /// Whether calls avoid it, because they fail there.
    pub ejected: bool,
}

impl Remote {
    /// A way to each replica that is connected.
    pub fn each_replica(&self) -> Vec<OneReplica> {
        let replicas = self.replicas().all();
        let connected = replicas.iter().filter_map(|replica| replica.up());
        let bounds = Carrier::bounds(self);
        connected.map(|connection| OneReplica { connection, bounds }).collect()
    }

    /// How each replica stands.
    pub fn replica_states(&self) -> Vec<ReplicaState> {
        self.replicas().all().iter().map(|replica| replica.state()).collect()
    }
}

impl OneReplica {
    /// Where it is.
    pub fn address(&self) -> &Address {
        self.connection.address()
    }
}

impl Carrier for OneReplica {
    fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn carry<'a>(&'a self, call: Outgoing<'a>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move {
            let gone = |text| CallError::new(CallErrorKind::Unreachable, text);
            self.connection.call(&call).await.map_err(|unanswered| match unanswered {
                Unanswered::NotSent | Unanswered::Lost => {
                    gone("the connection to the replica ended")
                }
                Unanswered::Overdue => overdue(),
                Unanswered::NoRoom => gone("its answer found no room in this process"),
                Unanswered::Impossible(error) => error,
            })
        })
    }
}
