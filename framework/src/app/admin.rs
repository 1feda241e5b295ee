//! What a process records, and its admin address.

use super::{RunningApp, linked::ThisProcess, listen::first_free, peers::Peers};
use crate::{
    call::{CallSettings, access::Refused, record::Recorder},
    config::{Setting, Settings},
    gateway::{self, HttpLimits, HttpServer, RefusedRequest},
    interface::InterfaceDescriptor,
    link::{Links, interfaces},
    module::{RunningModule, StartError},
    remote::Remote,
    serve::{Queue, Server},
    wire::{Carrier, Doubt, Memory},
};
use monolift_manifest::{Address, Process};
use monolift_observe::{
    AdminState, Figures, KeepSettings, Listening, Methods, Neighbour, OtherState, ProcessState,
    ReplicaView, Traces,
    metrics::{self, Kind, Page},
    observed, router,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{net::TcpListener, task::JoinSet};

/// What a process records.
#[derive(Debug)]
pub(super) struct Observed {
    traces: Arc<Traces>,
    /// What the latest lines of the log may take.
    lines: usize,
    /// Whether a process whose manifest states no admin address has one.
    pub(super) admin_by_default: bool,
}

/// Whether this question of the framework's own changes something.
pub(super) fn changes(method: &str) -> bool {
    monolift_observe::CHANGES.contains(&method)
}

impl Observed {
    pub(super) fn new(place: &ThisProcess) -> Self {
        let stated = &place.manifest.observe;
        let keep = KeepSettings { record: stated.record, slow: stated.slow, memory: stated.memory };
        let traces = Traces::new(&place.process, keep, Arc::new(CallSettings::default()));
        Self { traces, lines: stated.log_memory, admin_by_default: false }
    }

    #[cfg(feature = "otlp")]
    pub(super) fn traces(&self) -> &Arc<Traces> {
        &self.traces
    }

    /// What kind of database each module has that runs here.
    pub(super) fn tell_systems(&self, modules: &[RunningModule]) {
        let systems = modules.iter().filter_map(|module| {
            let system = module.system?;
            Some((module.facts.name.to_owned(), system))
        });
        self.traces.tell_systems(systems.collect());
    }

    pub(super) fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        Some(Arc::clone(&self.traces) as Arc<dyn Recorder>)
    }

    /// Answers other processes that ask for parts of traces, and knows whom to ask.
    pub(super) fn connect(&self, served: &Links, peers: &Peers, place: &ThisProcess) {
        served.link::<dyn monolift_observe::Observed>().bind(observed(&self.traces));
        let asks_all = place.manifest.observes(&place.process);
        let neighbour = |remote: &Arc<Remote>| {
            let modules = peers.modules_of(remote.process());
            let remote = Arc::clone(remote);
            Arc::new(Other { remote, modules, asks_all }) as Arc<dyn Neighbour>
        };
        let all = peers.remotes().values().chain(peers.observed());
        self.traces.ask(all.map(neighbour).collect());
    }

    /// Shows the latest lines of the log, and the durable work and the events of these modules, also to other processes.
    pub(super) fn attend(&self, modules: &[RunningModule], log: &super::log::Control) {
        if let Some(log) = log {
            log.lines().hold(self.lines);
            self.traces.tell_log(log.clone());
        }
        #[cfg(feature = "data")]
        self.traces.attend(
            super::attended::attended(modules),
            super::attended_events::attended(modules),
            super::attended_subjects::attended(modules),
        );
        #[cfg(not(feature = "data"))]
        let _ = modules;
    }
}

/// Another process that can be asked.
#[derive(Debug)]
struct Other {
    remote: Arc<Remote>,
    modules: BTreeSet<String>,
    asks_all: bool,
}

impl Neighbour for Other {
    fn process(&self) -> &str {
        self.remote.process()
    }

    fn runs(&self, module: &str) -> bool {
        self.modules.contains(module)
    }

    fn may_know(&self) -> bool {
        self.asks_all
    }

    fn replicas(&self) -> Vec<Arc<dyn Carrier>> {
        let each = self.remote.each_replica().into_iter();
        each.map(|replica| Arc::new(replica) as Arc<dyn Carrier>).collect()
    }
}

/// The admin address of a process, which is listening.
#[derive(Debug)]
pub(super) struct Admin {
    _server: HttpServer,
    address: SocketAddr,
    /// Gathers kept traces.
    _gathering: JoinSet<()>,
}

impl Admin {
    /// Listens, unless the manifest says `off`. `in_force` are the settings.
    pub(super) async fn listen(
        app: &RunningApp,
        settings: &Settings,
        in_force: Vec<Setting>,
    ) -> Result<Option<Self>, StartError> {
        let place = &app.place;
        let process = place.manifest.processes.get(&place.process);
        let stated = match process.and_then(|process| process.admin.as_deref()) {
            Some(_) => process.and_then(|process| process.admins().into_iter().next()),
            None if app.observed.admin_by_default => {
                Some(Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string()))
            }
            None => None,
        };
        let Some(address) = stated else { return Ok(None) };
        let token: Option<String> = settings.own("admin_token").map_err(|errors| {
            StartError::new(errors.0.first().map(ToString::to_string).unwrap_or_default())
        })?;
        let all = place.replicas(settings, "admin", address, Process::admins);
        let (listener, address) =
            first_free(all, async |address| TcpListener::bind(address.to_string()).await)
                .await
                .map_err(|refusal| {
                    refusal.of("the admin address cannot be listened on", "admin", place)
                })?;
        let unknown =
            |error| StartError::new(format!("the address of {address} is unknown")).because(error);
        let address = listener.local_addr().map_err(unknown)?;
        if !address.ip().is_loopback() && token.is_none() {
            return Err(StartError::new(format!(
                "`process.{}.admin` is {address}, which other machines can reach: set `admin_token` in the settings, \
                 or listen on 127.0.0.1",
                place.process
            )));
        }
        let traces = &app.observed.traces;
        let state = AdminState::new(Arc::clone(traces), figures(app), facts(app, &in_force), token);
        // Where other machines reach the address, a method could be called around the gateway and its checks.
        let state = match address.ip().is_loopback() {
            true => state.with_methods(methods(app)),
            false => state,
        };
        traces.tell(state_of(app, address));
        let router = router(state).merge(gateway::health(app.readiness()));
        let server = HttpServer::start(listener, router, HttpLimits::default());
        let gathering = JoinSet::from_iter([Arc::clone(traces).gather_kept()]);
        Ok(Some(Self { _server: server, address, _gathering: gathering }))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The methods that an operator may call.
fn methods(app: &RunningApp) -> Methods {
    let modules = app.manifest().modules.iter().map(|placed| placed.module.clone());
    Methods::new(Arc::clone(&app.links), app.place.bounds(), modules.collect())
}

/// Figures of the process beside those of its calls.
fn figures(app: &RunningApp) -> Figures {
    let (memory, readiness) = (Arc::clone(&app.memory), app.readiness());
    let remotes: Vec<Arc<Remote>> = app.remotes.values().cloned().collect();
    let info = (app.manifest().app.clone(), app.process().to_owned());
    #[cfg(feature = "data")]
    let databases = {
        let each = app.modules.iter();
        let gauges = each.map(|module| (module.facts.name, module.gauges.clone()));
        super::figures::DatabaseFigures::of(gauges.collect())
    };
    let waiting = app.server.as_ref().map(Server::queue);
    let (settings, front) = (Arc::clone(app.links.settings()), Arc::clone(&app.front.0));
    let statements = app.statements.clone();
    Box::new(move |page: &mut Page| {
        let (name, process) = &info;
        page.family(
            "monolift_process_info",
            Kind::Gauge,
            "Which process of which application this is.",
        )
        .sample(&[("app", name), ("process", process), ("version", env!("CARGO_PKG_VERSION"))], 1);
        let ready = u8::from(readiness.borrow().is_ready());
        page.family(
            "monolift_ready",
            Kind::Gauge,
            "Whether every process that this one calls was reached.",
        )
        .sample(&[], ready);
        buffers(page, &memory);
        if let Some(waiting) = &waiting {
            queue(page, waiting);
        }
        forbidden(page, &settings.access.refused.all());
        refused(page, &front.refused.all());
        if let Some(statements) = &statements {
            unproven(page, &statements.doubts());
        }
        replicas(page, &remotes);
        #[cfg(feature = "data")]
        databases.show(page);
    })
}

fn buffers(page: &mut Page, memory: &Memory) {
    let in_use = memory.in_use();
    let help = "Buffers of what peers and clients send, and of this process's own calls, before it is decoded.";
    page.family("monolift_buffer_bytes", Kind::Gauge, help)
        .sample(&[("of", "served")], in_use.others)
        .sample(&[("of", "own")], in_use.own);
    page.family("monolift_buffer_limit_bytes", Kind::Gauge, "The setting `limits.memory`.")
        .sample(&[], in_use.limit);
}

fn queue(page: &mut Page, queue: &Queue) {
    let help = "Calls of other processes that wait for others to end.";
    page.family("monolift_calls_waiting", Kind::Gauge, help).sample(&[], queue.waiting());
    let help = "Calls of other processes that were refused, because as many ran and waited as may.";
    page.family("monolift_calls_refused_total", Kind::Counter, help).sample(&[], queue.refused());
}

/// Calls that rules have refused.
fn forbidden(page: &mut Page, all: &[(Refused, u64)]) {
    let help =
        "Calls that a method's rule has refused, or would have where rules are only observed.";
    let mut family = page.family("monolift_calls_forbidden_total", Kind::Counter, help);
    for (Refused { caller, by, method, rule, observed }, count) in all {
        let labels = [
            ("caller", &**caller),
            ("by", by),
            ("method", method),
            ("rule", rule),
            ("observed", if *observed { "true" } else { "false" }),
        ];
        family.sample(&labels, count);
    }
}

/// Calls whose user no statement has proven.
fn unproven(page: &mut Page, all: &[(String, Doubt, u64)]) {
    let help = "Calls of other processes whose user was not proven, by what was wrong with the gateway's statement.";
    let mut family = page.family("monolift_users_unproven_total", Kind::Counter, help);
    for (caller, doubt, count) in all {
        family.sample(&[("caller", &**caller), ("because", because(*doubt))], count);
    }
}

fn because(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Missing => "missing",
        Doubt::Expired => "expired",
        Doubt::UnknownSigner => "unknown_signer",
        Doubt::Signature => "signature",
        Doubt::NoGateway => "no_gateway",
        _ => "other",
    }
}

/// Requests that limits of the gateway have refused.
fn refused(page: &mut Page, all: &[(RefusedRequest, u64)]) {
    let help = "Requests that a limit of the gateway has refused, by the setting of the limit.";
    let mut family = page.family("monolift_requests_refused_total", Kind::Counter, help);
    for (RefusedRequest { limit, method, by }, count) in all {
        family.sample(&[("limit", limit), ("method", method), ("by", by)], count);
    }
}

fn replicas(page: &mut Page, remotes: &[Arc<Remote>]) {
    let states: Vec<_> = remotes
        .iter()
        .flat_map(|remote| {
            let each = remote.replica_states().into_iter();
            each.map(move |state| (remote.process(), state))
        })
        .collect();
    let mut one = |name, help, value: fn(&crate::remote::ReplicaState) -> usize| {
        let mut family = page.family(name, Kind::Gauge, help);
        for (process, state) in &states {
            family.sample(&[("process", process), ("address", &state.address)], value(state));
        }
    };
    one("monolift_replica_connected", "Whether a replica is connected and answers.", |state| {
        usize::from(state.connected)
    });
    one(
        "monolift_replica_ejected",
        "Whether calls avoid a replica, because they fail there.",
        |state| usize::from(state.ejected),
    );
}

/// How the process stands, for the read API and for other processes.
fn state_of(app: &RunningApp, admin: SocketAddr) -> monolift_observe::Description {
    let (process, readiness) = (app.process().to_owned(), app.readiness());
    let modules: Vec<String> = app.modules().map(str::to_owned).collect();
    let listens: Vec<Listening> = app
        .modules
        .iter()
        .flat_map(|module| module.facts.on.iter().map(|(of, event)| (module.facts.name, of, event)))
        .map(|(listener, publisher, event)| Listening {
            listener: listener.to_owned(),
            publisher: (*publisher).to_owned(),
            event: (*event).to_owned(),
        })
        .collect();
    let others: Vec<(Arc<Remote>, Vec<String>)> = app
        .remotes
        .values()
        .map(|remote| {
            let placed = app.manifest().modules_of(remote.process());
            (Arc::clone(remote), placed.map(str::to_owned).collect())
        })
        .collect();
    let http = app.http_address().map(|address| address.to_string());
    Box::new(move || {
        let other = |(remote, modules): &(Arc<Remote>, Vec<String>)| OtherState {
            process: remote.process().to_owned(),
            modules: modules.clone(),
            replicas: remote.replica_states().into_iter().map(replica).collect(),
        };
        let readiness = readiness.borrow();
        ProcessState {
            process: process.clone(),
            pid: std::process::id(),
            modules: modules.clone(),
            http: http.clone(),
            admin: Some(admin.to_string()),
            ready: readiness.is_ready(),
            waiting_for: readiness.waiting_for.clone(),
            others: others.iter().map(other).collect(),
            listens: listens.clone(),
            calls: metrics::call_figures(),
            resident: metrics::resident(),
        }
    })
}

fn replica(state: crate::remote::ReplicaState) -> ReplicaView {
    let crate::remote::ReplicaState { address, connected, ejected, .. } = state;
    ReplicaView { address, connected, ejected }
}

/// What does not change while the process runs.
fn facts(app: &RunningApp, in_force: &[Setting]) -> Value {
    let manifest = app.manifest();
    let calls = app.place.graph.modules.iter();
    let calls: BTreeMap<&String, Vec<&String>> =
        calls.map(|(module, node)| (module, node.calls.iter().collect())).collect();
    let databases: Vec<Value> = app
        .databases()
        .map(|(module, database)| json!({ "module": module, "database": database }))
        .collect();
    let known = interfaces().into_iter().map(|entry| (entry.descriptor)());
    let ours = known.filter(|interface| manifest.process_of(interface.module).is_some());
    let interfaces: Vec<Value> = ours.map(interface).collect();
    let placed: BTreeMap<&String, &String> =
        manifest.modules.iter().map(|placed| (&placed.module, &placed.process)).collect();
    json!({
        "app": manifest.app,
        "process": app.process(),
        "placed": placed,
        "calls": calls,
        "interfaces": interfaces,
        "databases": databases,
        "settings": in_force,
    })
}

fn interface(interface: &InterfaceDescriptor) -> Value {
    let methods: Vec<Value> = interface
        .methods
        .iter()
        .map(|method| {
            json!({
                "name": method.name(),
                "docs": method.docs,
                "route": method.route.map(|route| route.to_string()),
                "idempotent": method.idempotent,
            })
        })
        .collect();
    json!({
        "module": interface.module,
        "name": interface.name,
        "docs": interface.docs,
        "methods": methods,
    })
}
