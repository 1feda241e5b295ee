//! Each process of the split shop, each method of its interface, and each kind of caller: who is let through and who is
//! refused, where a call of another process arrives.
//!
//! Methods and rules are those of the interfaces' descriptors, so a new method is tried without a word here. The arguments of
//! each call cannot be decoded: a caller that is refused all the same was refused before they were.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use bytes::BytesMut;
use monolift_call::{
    CallError, CallErrorKind, Context, Principal,
    call::{Grant, Rule},
    link::interfaces,
};
use monolift_seam::wire::{
    Bounds, Envelope, Interfaces, Message, Outcome, Peer, Socket, codec, greet,
};
use notifications_api as _;
use orders_api as _;
use payments_api as _;
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use stock_api as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use users_api as _;

const SOON: Duration = Duration::from_secs(30);
/// Who asks, and on whose behalf.
const CALLERS: [&str; 4] = ["nobody", "customer", "staff", "service"];

fn context(caller: &str) -> Context {
    let context = Context::until(Instant::now() + Duration::from_secs(5));
    match caller {
        "nobody" => context,
        "customer" => context.with_principal(Principal::user("ada")),
        "staff" => context.with_principal(Principal::user("eve").with_role("staff")),
        _ => context.with_principal(Principal::service("orders")),
    }
}

/// How a rule refuses a caller, if it does.
fn refusal(rule: &Rule, caller: &str) -> Option<CallErrorKind> {
    let lets = rule.any_of.iter().any(|grant| match grant {
        Grant::Public => true,
        Grant::Service => caller == "service",
        Grant::User { roles, scopes } => {
            let wanted: Vec<_> = roles.iter().chain(*scopes).collect();
            match caller {
                "customer" => wanted.is_empty(),
                "staff" => wanted.iter().all(|name| **name == "staff"),
                _ => false,
            }
        }
    });
    let kind = match caller {
        "nobody" => CallErrorKind::Unauthenticated,
        _ => CallErrorKind::Forbidden,
    };
    (!lets).then_some(kind)
}

/// A process of one module, in a folder of its own.
struct Process {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
}

impl Process {
    fn start(module: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| root.join("target"), PathBuf::from);
        let program = target.join("debug").join(module);
        assert!(program.exists(), "the programs are built: cargo build --workspace --bins");
        let data = format!("ml-rights-{}-{module}", std::process::id());
        let data = std::env::temp_dir().join(data);
        std::fs::create_dir_all(&data).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = format!("SHOP_PROCESS__{}__LISTEN", module.to_uppercase());
        let child = Command::new(program)
            .env("MONOLIFT_MANIFEST", root.join("app-split/deployment.toml"))
            .env("SHOP_DATA", &data)
            .env(listen, address.to_string())
            .env("SHOP_USERS__PASSWORD_MEMORY_KIB", "8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, data }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// A connection to a process, as another one of the shop.
struct Caller {
    socket: Socket,
    served: Interfaces,
    input: BytesMut,
    calls: u64,
}

impl Caller {
    async fn connect(to: SocketAddr, process: &str) -> Self {
        let by = Instant::now() + SOON;
        loop {
            if let Ok(stream) = TcpStream::connect(to).await {
                let us = Peer::new("shop", process, Bounds::default());
                let mut socket = Socket::Tcp(stream);
                if let Ok((_, served, input)) = greet(&mut socket, &us, SOON).await {
                    return Self { socket, served, input, calls: 0 };
                }
            }
            assert!(Instant::now() < by, "no process at {to}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The number of a method.
    fn number(&self, module: &str, interface: &str, method: &str) -> u32 {
        let all = self.served.0.iter().flat_map(|served| {
            let is_it = served.module == module && served.name == interface;
            served.methods.iter().map(move |name| is_it && name == method)
        });
        u32::try_from(all.into_iter().position(|is_it| is_it).unwrap()).unwrap()
    }

    /// Calls a method with arguments that cannot be decoded. The result is the error of the call, if it is one.
    async fn call(&mut self, method: u32, context: Context) -> Option<CallError> {
        self.calls += 1;
        let mut payload = Vec::new();
        codec::encode(&7_u8, Bounds::default(), &mut payload).unwrap();
        let envelope = Envelope { method, context, payload: payload.into(), timed: false };
        let mut frame = BytesMut::new();
        let long = Message::Call(self.calls, envelope).write(&mut frame);
        frame.extend(long.into_iter().flatten());
        self.socket.write_all(&frame).await.unwrap();
        loop {
            match Message::read(&mut self.input, Bounds::default().bytes).unwrap() {
                Ok(Message::Answer(id, answer)) if id == self.calls => {
                    return match answer.outcome {
                        Outcome::Answer | Outcome::Error => None,
                        Outcome::CallError | Outcome::Refused => {
                            Some(codec::decode(&answer.payload, Bounds::default()).unwrap())
                        }
                    };
                }
                Ok(_) => {}
                Err(_) => assert_ne!(self.socket.read_buf(&mut self.input).await.unwrap(), 0),
            }
        }
    }
}

#[tokio::test]
async fn whoever_may_not_call_is_refused_before_the_arguments_are_decoded() {
    let mut tried = BTreeMap::new();
    for entry in interfaces() {
        let interface = (entry.descriptor)();
        let module = interface.module;
        let process = Process::start(module);
        // No module calls these two, so the gateway does.
        let peer = if ["orders", "notifications"].contains(&module) { "gateway" } else { "orders" };
        let mut caller = Caller::connect(process.address, peer).await;
        for method in interface.methods {
            let name = method.callee.method;
            let rule = method.callee.rule;
            let rule =
                rule.unwrap_or_else(|| panic!("{module}.{name} does not say who may call it"));
            let number = caller.number(module, interface.name, name);
            for who in CALLERS {
                let error = caller.call(number, context(who)).await;
                let found = error.as_ref().map(CallError::kind).filter(|kind| {
                    [CallErrorKind::Unauthenticated, CallErrorKind::Forbidden].contains(kind)
                });
                let expected = refusal(rule, who);
                assert_eq!(found, expected, "{module}.{name} by {who}: {error:?}");
                // Whoever is let through is told that there are no such arguments.
                let has_arguments = !method.arguments.is_empty();
                assert!(expected.is_some() || error.is_some() || !has_arguments, "{module}.{name}");
                tried.insert((module, name, who), found);
            }
        }
    }
    assert!(tried.len() >= 23 * CALLERS.len(), "{}", tried.len());
    let refused = tried.values().flatten().count();
    assert!(refused > 20 && refused < tried.len(), "{refused} of {}", tried.len());
}
