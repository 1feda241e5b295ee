//! One connection: a tarpc client over our transport, and what the other side's hello said.

use super::Whereabouts;
use crate::{
    call::{CallError, CallErrorKind, Context},
    interface::InterfaceDescriptor,
    wire::{self, Answer, Envelope, Interfaces, Transport, greet, tarpc_context},
};
use bytes::Bytes;
use std::{collections::HashMap, future::Future, sync::Arc};
use tarpc::client::{self, RpcError};

type Channel = client::Channel<Envelope, Answer>;

#[derive(Debug)]
pub(super) struct Connection {
    channel: Channel,
    /// The numbers that the other side gave its methods.
    numbers: HashMap<String, HashMap<String, u32>>,
    /// What the other side reads.
    payload_limit: usize,
    whereabouts: Arc<Whereabouts>,
}

impl Connection {
    /// Connects and greets. The future runs the connection, and ends with it.
    pub(super) async fn open(
        whereabouts: &Arc<Whereabouts>,
    ) -> Result<(Self, impl Future<Output = Result<(), String>> + use<>), String> {
        let mut socket =
            wire::connect(&whereabouts.address).await.map_err(|error| error.to_string())?;
        let (peer, served, input) = greet(&mut socket, &whereabouts.us, whereabouts.hello)
            .await
            .map_err(|error| error.to_string())?;
        let transport = Transport::new(socket, input, whereabouts.bounds.bytes);
        let mut config = client::Config::default();
        config.max_in_flight_requests = whereabouts.in_flight;
        config.pending_request_buffer = whereabouts.in_flight;
        let client::NewClient { client: channel, dispatch } = client::new(config, transport);
        compare(whereabouts, &served);
        let connection = Self {
            channel,
            numbers: numbers(served),
            payload_limit: peer.payload_limit,
            whereabouts: Arc::clone(whereabouts),
        };
        Ok((connection, async { dispatch.await.map_err(|error| format!("{error:?}")) }))
    }

    pub(super) async fn call(
        &self,
        interface: &'static InterfaceDescriptor,
        method: usize,
        context: Context,
        payload: Bytes,
    ) -> Result<Answer, CallError> {
        let name = interface.methods[method].name();
        let number = self.numbers.get(interface.name).and_then(|methods| methods.get(name));
        let Some(&method) = number else {
            return Err(CallError::new(CallErrorKind::UnknownMethod, "no such method here"));
        };
        if payload.len() > self.payload_limit {
            return Err(CallError::new(
                CallErrorKind::TooLarge,
                format!(
                    "what was passed is longer than the other side reads ({} bytes)",
                    self.payload_limit
                ),
            ));
        }
        self.channel
            .call(tarpc_context(), Envelope { method, context, payload })
            .await
            .map_err(|error| self.lost(&error))
    }

    /// The connection ended while the call was on it: the module may or may not have done its work.
    fn lost(&self, error: &RpcError) -> CallError {
        let Whereabouts { process, address, .. } = &*self.whereabouts;
        tracing::debug!(process, %error, "a call was interrupted");
        CallError::new(
            CallErrorKind::Interrupted,
            format!(
                "the connection to the process `{process}` at {address} ended during the call; \
                 whether it was done is unknown"
            ),
        )
    }
}

fn numbers(served: Interfaces) -> HashMap<String, HashMap<String, u32>> {
    let mut number = 0..;
    served
        .0
        .into_iter()
        .map(|interface| (interface.name, interface.methods.into_iter().zip(&mut number).collect()))
        .collect()
}

/// Says where the other side was built from another version of an interface. Fields may come and
/// go between the two, so this is worth a look and nothing more.
fn compare(whereabouts: &Whereabouts, served: &Interfaces) {
    for theirs in &served.0 {
        let ours = whereabouts.interfaces.iter().find(|ours| ours.name == theirs.name);
        if ours.is_some_and(|ours| ours.fingerprint() != theirs.fingerprint) {
            tracing::info!(
                process = whereabouts.process,
                interface = theirs.name,
                "the other side was built from another version of this interface"
            );
        }
    }
}
