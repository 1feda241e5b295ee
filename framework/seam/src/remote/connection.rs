//! One connection: its calls, and what the other side said in its hello.

use super::{
    ReplicaAddress, Whereabouts,
    calls::{Calls, ClientTransport, Outbound},
    versions::{Told, unknown_arguments},
};
use crate::{
    call::{CallError, CallErrorKind, planted},
    interface::{Argument, InterfaceDescriptor},
    wire::{
        Answer, Bounds, Envelope, ExpectedAnswer, Interfaces, Memory, NUMBERED, Outgoing, Served,
        Shown, Tls, Transport, greet, overloaded, tarpc_context,
    },
};
use monolift_manifest::Address;
use std::{collections::HashMap, sync::Arc};
use tarpc::client::{RpcError, stub::Stub as _};

/// What is known of each method of ours on this connection. The key is the address of the interface's
/// descriptor, as it is for links: two modules of one process may each have an interface of the same name.
type Methods = Vec<(usize, Vec<Known>)>;

/// What is known of a method on a connection.
#[derive(Debug)]
struct Known {
    /// The number that the other side gave it; `None` if the other side does not have it.
    number: Option<u32>,
    /// The arguments that the other side does not know: none, unless it has another version.
    unknown: Vec<&'static Argument>,
    answer: ExpectedAnswer,
}

/// What a call takes beside its arguments and its answer, in bytes.
const CALL: usize = 512;

#[derive(Debug)]
pub(super) struct Connection {
    calls: Arc<Calls>,
    methods: Methods,
    memory: Arc<Memory>,
    /// What the other side reads.
    payload_limit: usize,
    bounds: Bounds,
    address: Address,
}

/// Why a call on a connection has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The call was not sent.
    NotSent,
    /// The connection ended while the call was in flight.
    Lost,
    /// Its deadline passed.
    Overdue,
    /// The memory limit of this process left no room for the answer.
    NoRoom,
    /// The call cannot be encoded or is too long.
    Impossible(CallError),
}

/// A connection after its hello. The caller runs its task.
pub(super) struct Opened {
    pub(super) connection: Arc<Connection>,
    pub(super) calls: Arc<Calls>,
    pub(super) transport: ClientTransport,
    /// What the other side has shown over TLS.
    pub(super) shown: Option<Shown>,
}

impl Connection {
    /// Connects and exchanges hellos.
    pub(super) async fn open(target: &ReplicaAddress) -> Result<Opened, String> {
        let whereabouts = &*target.whereabouts;
        let Whereabouts { process, tls, network, bounds, .. } = whereabouts;
        let connecting = network.connect(&target.address, tls.as_ref(), process);
        let mut socket = connecting.await.map_err(|error| error.to_string())?;
        let (peer, served, input) = greet(&mut socket, &whereabouts.us, whereabouts.hello)
            .await
            .map_err(|error| error.to_string())?;
        let (memory, pulse) = (Arc::clone(&whereabouts.memory), whereabouts.thresholds.pulse);
        let calls = Arc::new(Calls::new(whereabouts.in_flight, memory, pulse));
        let connection = Arc::new(Self {
            calls: Arc::clone(&calls),
            methods: methods(whereabouts, &served, &target.told),
            memory: Arc::clone(&whereabouts.memory),
            payload_limit: peer.payload_limit,
            bounds: *bounds,
            address: target.address.clone(),
        });
        let shown = Tls::shown_on(&socket);
        let numbers = whereabouts.us.shares(&peer, NUMBERED);
        let transport = Transport::new(socket, input, bounds.bytes).numbering(numbers);
        Ok(Opened { connection, calls, transport, shown })
    }

    /// Where the other side is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// How many calls a new call would have to wait for; see [`Calls::before_one_more`].
    pub(super) fn calls_before_one_more(&self) -> usize {
        self.calls.before_one_more()
    }

    /// Whether the other side does not answer pings.
    pub(super) fn is_silent(&self) -> bool {
        self.calls.is_silent()
    }

    pub(super) async fn call(&self, call: &Outgoing<'_>) -> Result<Answer, Unanswered> {
        let address = std::ptr::from_ref(call.interface).addr();
        let known = self.methods.iter().find(|(known, _)| *known == address);
        let known = known.map(|(_, methods)| &methods[call.method]);
        let Some((known, method)) = known.and_then(|known| Some((known, known.number?))) else {
            let error = CallError::new(CallErrorKind::UnknownMethod, "no such method here");
            return Err(Unanswered::Impossible(error));
        };
        let payload =
            call.payload_for(&known.unknown, self.bounds).map_err(Unanswered::Impossible)?;
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
        let room = known.answer.bytes();
        // Until the answer is taken, or the caller goes away.
        let Some(_charge) = self.memory.own().charge(CALL + payload.len() + room) else {
            return Err(Unanswered::Impossible(no_room()));
        };
        let (context, timed) = (call.context.clone(), call.timed);
        let envelope = Envelope { method, context, payload, timed };
        let called = self.calls.call(tarpc_context(), Outbound { envelope, room }).await;
        if let Ok(answer) = &called {
            known.answer.learn(answer.payload.len());
        }
        called.map_err(|error| match error {
            RpcError::DeadlineExceeded => Unanswered::Overdue,
            RpcError::Send(_) => Unanswered::NotSent,
            RpcError::Server(_) => Unanswered::NoRoom,
            _ if planted!("lost-is-not-sent") => Unanswered::NotSent,
            _ => Unanswered::Lost,
        })
    }
}

/// The error of a call whose arguments or answer exceed the memory that is left.
fn no_room() -> CallError {
    overloaded("the calls of this process to others hold as many bytes as they may (limits.memory)")
}

impl Drop for Connection {
    /// Each caller holds the connection, so there is no caller left.
    fn drop(&mut self) {
        self.calls.close();
    }
}

fn methods(whereabouts: &Whereabouts, served: &Interfaces, told: &Told) -> Methods {
    let all = served.0.iter().flat_map(|theirs| {
        theirs.methods.iter().map(|method| (&*theirs.module, &*theirs.name, &**method))
    });
    let by_name: HashMap<_, u32> = all.zip(0..).collect();
    let of_interface = |ours: &&'static InterfaceDescriptor| {
        let of_ours = |theirs: &&Served| ours.module == theirs.module && ours.name == theirs.name;
        let unknown = served
            .0
            .iter()
            .find(of_ours)
            .map(|theirs| unknown_arguments(ours, theirs, &whereabouts.process, told));
        let mut unknown = unknown.into_iter().flatten();
        let known = |name| Known {
            number: by_name.get(&(ours.module, ours.name, name)).copied(),
            unknown: unknown.next().unwrap_or_default(),
            answer: ExpectedAnswer::default(),
        };
        let methods = ours.methods.iter().map(|method| method.name()).map(known).collect();
        (std::ptr::from_ref(*ours).addr(), methods)
    };
    whereabouts.interfaces.iter().map(of_interface).collect()
}
