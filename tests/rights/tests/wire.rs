//! Each process of the split shop, each method of its interface, and each kind of caller: who is let through and who is
//! refused, where a call of another process arrives. The processes speak TLS, and users are proven by the gateway's
//! statements.
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
use monolift_manifest::{Address, TlsFiles};
use monolift_seam::wire::{
    Bounds, Envelope, Interfaces, Introduced, Keys, Message, Outcome, Peer, Socket, Statements,
    Tls, Unproven, codec, connect, greet,
};
use notifications_api as _;
use orders_api as _;
use payments_api as _;
use reports_api as _;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, SystemTime},
};
use stock_api as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};
use users_api as _;

const SOON: Duration = Duration::from_secs(30);
/// Who asks, and on whose behalf. What the gateway has said of `expired` held until a minute ago, and it has said nothing of
/// `unproven`: another process claims that user. Both would be let through otherwise.
const CALLERS: [&str; 6] = ["nobody", "customer", "staff", "service", "expired", "unproven"];

fn context(caller: &str, gateway: &Statements) -> Context {
    let context = Context::until(Instant::now() + Duration::from_secs(5));
    let principal = match caller {
        "nobody" => return context,
        "customer" => Principal::user("ada"),
        "service" => Principal::service("orders"),
        // Each is another user: what the gateway has said of one is used again.
        name => Principal::user(name).with_role("staff"),
    };
    let mut context = context.with_principal(principal);
    match caller {
        "customer" | "staff" => gateway.vouch(&mut context),
        "expired" => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let earlier = now - Duration::from_secs(120);
            gateway.vouch_at(&mut context, earlier.as_millis().try_into().unwrap());
        }
        _ => {}
    }
    context
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
        "nobody" | "expired" | "unproven" => CallErrorKind::Unauthenticated,
        _ => CallErrorKind::Forbidden,
    };
    (!lets).then_some(kind)
}

/// The workspace's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A program that cargo has built.
fn program(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root().join("target"), PathBuf::from);
    let program = target.join("debug").join(name);
    assert!(program.exists(), "the programs are built: cargo build --workspace --bins");
    program
}

/// A certificate for each process of the split shop, as `cargo monolift certs` makes them.
struct Certificates(PathBuf);

impl Certificates {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("ml-rights-{}-tls", std::process::id()));
        let made = Command::new(program("cargo-monolift"))
            .args(["certs", "--manifest", "app-split/deployment.toml", "--out"])
            .arg(&folder)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self(folder)
    }

    fn files(&self) -> TlsFiles {
        let file = |name: &str| self.0.join(name).display().to_string();
        let authority = self.0.join("authority.pem");
        TlsFiles { authority, certificate: file("{process}.pem"), key: file("{process}.key") }
    }

    fn of(&self, process: &str) -> Tls {
        Tls::read(&self.files(), "shop", process).unwrap()
    }

    /// What the gateway says of users.
    fn gateway(&self) -> Statements {
        let keys = Keys::Tls(self.of("gateway"));
        Statements::new("shop", keys, true, Unproven::Refuse, Box::new(|_| false))
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process of one module, in a folder of its own.
struct Process {
    child: Child,
    /// Kept, so that it can go on to say something.
    _says: BufReader<ChildStdout>,
    module: &'static str,
    address: String,
    data: PathBuf,
}

impl Process {
    fn start(module: &'static str, certificates: &Certificates) -> Self {
        let data = format!("ml-rights-{}-{module}", std::process::id());
        let data = std::env::temp_dir().join(data);
        std::fs::create_dir_all(&data).unwrap();
        let listen = format!("SHOP_PROCESS__{}__LISTEN", module.to_uppercase());
        let TlsFiles { authority, certificate, key } = certificates.files();
        let mut child = Command::new(program(module))
            .env("MONOLIFT_MANIFEST", root().join("app-split/deployment.toml"))
            .env("SHOP_DATA", &data)
            .env(listen, "127.0.0.1:0")
            .env("SHOP_LOG__FORMAT", "text")
            .env("SHOP_USERS__PASSWORD_MEMORY_KIB", "8")
            .env("SHOP_TLS__AUTHORITY", authority)
            .env("SHOP_TLS__CERTIFICATE", certificate)
            .env("SHOP_TLS__KEY", key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(says.read_line(&mut line).unwrap(), 0, "{module} has ended");
            if let Some((_, address)) = line.split_once("other processes call it at ") {
                break address.trim().to_owned();
            }
        };
        Self { child, _says: says, module, address, data }
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
    /// The signers that the process has seen here.
    shown: Introduced,
    calls: u64,
}

impl Caller {
    async fn connect(to: &Process, process: &str, tls: &Tls) -> Self {
        let by = Instant::now() + SOON;
        let address = Address::Tcp(to.address.clone());
        loop {
            if let Ok(mut socket) = connect(&address, Some(tls), to.module).await {
                let us = Peer::new("shop", process, Bounds::default());
                if let Ok((_, served, input)) = greet(&mut socket, &us, SOON).await {
                    return Self { socket, served, input, shown: Introduced::default(), calls: 0 };
                }
            }
            assert!(Instant::now() < by, "no process at {address}");
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
        let call = Message::Call(self.calls, envelope);
        let long = call.write_after(&mut self.shown, &mut frame);
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
    let certificates = Certificates::new();
    let gateway = certificates.gateway();
    let mut tried = BTreeMap::new();
    for entry in interfaces() {
        let interface = (entry.descriptor)();
        let module = interface.module;
        let process = Process::start(module, &certificates);
        // No module calls these, so the gateway does.
        let peer = if ["orders", "notifications", "reports"].contains(&module) {
            "gateway"
        } else {
            "orders"
        };
        let mut caller = Caller::connect(&process, peer, &certificates.of(peer)).await;
        for method in interface.methods {
            let name = method.callee.method;
            let rule = method.callee.rule;
            let rule =
                rule.unwrap_or_else(|| panic!("{module}.{name} does not say who may call it"));
            let number = caller.number(module, interface.name, name);
            for who in CALLERS {
                let error = caller.call(number, context(who, &gateway)).await;
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
