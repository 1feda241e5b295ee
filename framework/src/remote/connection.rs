//! One connection: the calls on it, and what the other side's hello said.

use super::{
    Target, Whereabouts,
    calls::{Calls, ClientTransport},
};
use crate::{
    call::{CallError, CallErrorKind, planted},
    interface::InterfaceDescriptor,
    wire::{Answer, Bounds, Envelope, Interfaces, Outgoing, Transport, greet, tarpc_context},
};
use monolift_manifest::Address;
use std::{collections::HashMap, sync::Arc};
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
    bounds: Bounds,
    address: Address,
}

/// How a call on a connection ended, when no answer came.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It was never sent.
    NotSent,
    /// The connection ended while it was under way.
    Lost,
    /// Its time was over.
    Overdue,
    /// It cannot be sent.
    Impossible(CallError),
}

/// A connection that was made, and is yet to be run.
pub(super) struct Opened {
    pub(super) connection: Arc<Connection>,
    pub(super) calls: Arc<Calls>,
    pub(super) transport: ClientTransport,
}

impl Connection {
    /// Connects and greets.
    pub(super) async fn open(target: &Target) -> Result<Opened, String> {
        let whereabouts = &*target.whereabouts;
        let Whereabouts { process, tls, network, bounds, .. } = whereabouts;
        let connecting = network.connect(&target.address, tls.as_ref(), process);
        let mut socket = connecting.await.map_err(|error| error.to_string())?;
        let (peer, served, input) = greet(&mut socket, &whereabouts.us, whereabouts.hello)
            .await
            .map_err(|error| error.to_string())?;
        compare(whereabouts, &served);
        let calls = Arc::new(Calls::new(whereabouts.in_flight));
        let connection = Arc::new(Self {
            calls: Arc::clone(&calls),
            numbers: numbers(&whereabouts.interfaces, &served),
            payload_limit: peer.payload_limit,
            bounds: *bounds,
            address: target.address.clone(),
        });
        Ok(Opened { connection, calls, transport: Transport::new(socket, input, bounds.bytes) })
    }

    /// Where the other side is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The calls that one more would have to wait for: none, unless long messages go over it lately.
    pub(super) fn calls_before_one_more(&self) -> usize {
        self.calls.before_one_more()
    }

    /// Whether the other side says nothing, although it was asked.
    pub(super) fn is_silent(&self) -> bool {
        self.calls.is_silent()
    }

    pub(super) async fn call(&self, call: &Outgoing<'_>) -> Result<Answer, Unanswered> {
        let address = std::ptr::from_ref(call.interface).addr();
        let known = self.numbers.iter().find(|(known, _)| *known == address);
        let Some(method) = known.and_then(|(_, numbers)| numbers[call.method]) else {
            let error = CallError::new(CallErrorKind::UnknownMethod, "no such method here");
            return Err(Unanswered::Impossible(error));
        };
        let payload = call.payload(self.bounds).map_err(Unanswered::Impossible)?;
        if payload.len() > self.payload_limit {
            let error = CallError::new(
                CallErrorKind::TooLarge,
                format!(
                    "what was passed is longer than the other side reads ({} bytes)",
                    self.payload_limit
                ),
            );
            return Err(Unanswered::Impossible(error));
        }
        let (context, timed) = (call.context.clone(), call.timed);
        let envelope = Envelope { method, context, payload, timed };
        self.calls.call(tarpc_context(), envelope).await.map_err(|error| match error {
            RpcError::DeadlineExceeded => Unanswered::Overdue,
            RpcError::Send(_) => Unanswered::NotSent,
            _ if planted("lost-is-not-sent") => Unanswered::NotSent,
            _ => Unanswered::Lost,
        })
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
