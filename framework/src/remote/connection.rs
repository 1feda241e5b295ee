//! One connection: the calls on it, and what the other side's hello said.

use super::{Whereabouts, calls::Calls};
use crate::{
    call::{CallError, CallErrorKind, Context, overdue},
    interface::InterfaceDescriptor,
    wire::{self, Answer, Envelope, Interfaces, Payload, Transport, greet, tarpc_context},
};
use std::{collections::HashMap, future::Future, sync::Arc};
use tarpc::client::{RpcError, stub::Stub as _};

/// The numbers that the other side gave our methods; `None` for one that it does not have. By the
/// address of the interface's descriptor, as links are kept: two modules of one process may each
/// have an interface of the same name, and two versions of one are told apart.
type Numbers = Vec<(usize, Vec<Option<u32>>)>;

#[derive(Debug)]
pub(super) struct Connection {
    calls: Arc<Calls>,
    numbers: Numbers,
    /// What the other side reads.
    payload_limit: usize,
    whereabouts: Arc<Whereabouts>,
}

impl Connection {
    /// Connects and greets. The future runs the connection, and ends with it.
    pub(super) async fn open(
        whereabouts: &Arc<Whereabouts>,
    ) -> Result<(Self, impl Future<Output = Result<(), String>> + use<>), String> {
        let Whereabouts { process, address, tls, .. } = &**whereabouts;
        let mut socket = wire::connect(address, tls.as_ref(), process)
            .await
            .map_err(|error| error.to_string())?;
        let (peer, served, input) = greet(&mut socket, &whereabouts.us, whereabouts.hello)
            .await
            .map_err(|error| error.to_string())?;
        let transport = Transport::new(socket, input, whereabouts.bounds.bytes);
        compare(whereabouts, &served);
        let calls = Arc::new(Calls::new(whereabouts.in_flight));
        let connection = Self {
            calls: Arc::clone(&calls),
            numbers: numbers(&whereabouts.interfaces, &served),
            payload_limit: peer.payload_limit,
            whereabouts: Arc::clone(whereabouts),
        };
        Ok((connection, async { calls.run(transport).await.map_err(|error| error.to_string()) }))
    }

    /// The calls that one more would have to wait for: none, unless long messages go over it lately.
    pub(super) fn calls_before_one_more(&self) -> usize {
        self.calls.before_one_more()
    }

    pub(super) async fn call(
        &self,
        interface: &'static InterfaceDescriptor,
        method: usize,
        context: Context,
        payload: Payload,
        timed: bool,
    ) -> Result<Answer, CallError> {
        let address = std::ptr::from_ref(interface).addr();
        let known = self.numbers.iter().find(|(known, _)| *known == address);
        let Some(method) = known.and_then(|(_, numbers)| numbers[method]) else {
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
        self.calls
            .call(tarpc_context(), Envelope { method, context, payload, timed })
            .await
            .map_err(|error| match error {
                RpcError::DeadlineExceeded => overdue(),
                error => self.lost(&error),
            })
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

impl Drop for Connection {
    /// Whoever calls holds it: nobody does any more.
    fn drop(&mut self) {
        self.calls.close();
    }
}

fn numbers(ours: &[&'static InterfaceDescriptor], served: &Interfaces) -> Numbers {
    let all = served.0.iter().flat_map(|theirs| {
        theirs.methods.iter().map(|method| (&*theirs.module, &*theirs.name, &**method))
    });
    let by_name: HashMap<_, u32> = all.zip(0..).collect();
    let of_interface = |ours: &&'static InterfaceDescriptor| {
        let number = |name| by_name.get(&(ours.module, ours.name, name)).copied();
        let numbers = ours.methods.iter().map(|method| number(method.name())).collect();
        (std::ptr::from_ref(*ours).addr(), numbers)
    };
    ours.iter().map(of_interface).collect()
}

/// Says where the other side was built from another version of an interface. Fields may come and
/// go between the two, so this is worth a look and nothing more.
fn compare(whereabouts: &Whereabouts, served: &Interfaces) {
    for theirs in &served.0 {
        let same =
            |ours: &&&InterfaceDescriptor| ours.module == theirs.module && ours.name == theirs.name;
        let ours = whereabouts.interfaces.iter().find(same);
        if ours.is_some_and(|ours| ours.fingerprint() != theirs.fingerprint) {
            tracing::info!(
                process = whereabouts.process,
                interface = theirs.name,
                "the other side was built from another version of this interface"
            );
        }
    }
}
