//! What an author's `main` says about a process before it starts.

use super::{
    Linked, Program, RunningApp,
    admin::{self, Admin, Observed},
    check, feeds,
    http::{self, Gateway},
    identity::Users,
    linked::ThisProcess,
    listen::first_free,
    log::{Control, no_control},
    open,
    otlp::Exporting,
    peers::Peers,
    sharing,
    statements::statements,
};
use crate::{
    call::{
        CallSettings, Sampling,
        access::{Access, Enforce},
        record::Recorder,
    },
    config::{Setting, Settings, SettingsErrors, overlay},
    link::{Client, Fake, Interface, InterfaceEntry, Links, interfaces},
    module::{
        ModuleEntry, OpenModule, Resources, Router, StartError, StartErrors, databases, modules,
    },
    serve::{Directory, Handler, Limits, Server},
    wire::{Listener, Memory, Peer, Statements, Tls},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use monolift_manifest::{Address, DeadlineMode, Manifest, Process, RuleMode, Rules};
use std::{
    any::{Any, TypeId},
    collections::{BTreeSet, HashMap},
    env, future,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

/// The variable that names modules of other processes, separated by commas. Calls of them are answered with examples:
/// for development, without those processes.
pub const FAKES: &str = "MONOLIFT_FAKES";

/// What becomes of calls that rules refuse.
fn access(rules: &Rules) -> Access {
    let mode = |mode: &RuleMode| match mode {
        RuleMode::Enforce => Enforce::Refuse,
        RuleMode::Observe => Enforce::Observe,
    };
    let modules = rules.modules.iter().map(|(module, said)| (module.clone(), mode(said)));
    Access { all: mode(&rules.all), modules: modules.collect(), ..Access::default() }
}

/// How a start ends that nothing refuses: see [`App::start_until`].
#[derive(Debug)]
pub enum Started {
    /// All of it runs.
    Up(RunningApp),
    /// It was stopped before. What runs already is for the caller to stop.
    InPart(RunningApp),
}

/// A process that has not started yet.
///
/// ```no_run
/// # async fn example(linked: monolift::app::Linked) -> Result<(), Box<dyn std::error::Error>> {
/// let app = monolift::app::App::new(linked)?;
/// let running = app.share("orders", String::from("handed in by main")).start().await?;
/// running.stop().await;
/// # Ok(()) }
/// ```
pub struct App {
    pub(super) place: ThisProcess,
    pub(super) settings: Settings,
    pub(super) data: PathBuf,
    call_settings: Arc<CallSettings>,
    pub(super) links: Arc<Links>,
    encoded: bool,
    pub(super) strict: bool,
    pub(super) shared: HashMap<(String, TypeId), Arc<dyn Any + Send + Sync>>,
    provided: Vec<(InterfaceEntry, Bind)>,
    modules: Vec<ModuleEntry>,
    /// The modules whose calls are answered with examples.
    fakes: BTreeSet<String>,
    hints: Vec<String>,
    docs: bool,
    pub(super) internal_errors: http::InternalErrors,
    pub(super) observed: Observed,
    log: Control,
}

/// Points an interface's link at what `main` provides.
type Bind = Box<dyn FnOnce(&Links) + Send>;

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({})", self.place.process)
    }
}

impl App {
    /// The process that `linked` says, with the settings that are in force.
    pub fn new(linked: Linked) -> Result<Self, StartErrors> {
        Self::read(linked).map(|app| app.announced(linked))
    }

    /// The same, without a line in the log.
    pub(super) fn read(linked: Linked) -> Result<Self, StartErrors> {
        let mut place = linked.place()?;
        let file = match env::var_os("MONOLIFT_SETTINGS").map(PathBuf::from) {
            None => Path::new(linked.root).join("settings.toml"),
            Some(named) if named.exists() => named,
            Some(named) => {
                let message = format!("MONOLIFT_SETTINGS names {}: no such file", named.display());
                return Err(StartError::new(message).into());
            }
        };
        let wrong = |errors: SettingsErrors| {
            let each = errors.0.into_iter().map(|error| StartError::new(error.to_string()));
            StartErrors(each.collect())
        };
        let settings = Settings::read(&place.manifest.app, &file).map_err(wrong)?;
        let names = place.graph.modules.keys().map(String::as_str);
        let mut errors = settings.unknown_sections(names);
        errors.keep(overlay(&mut place.manifest, &settings));
        let data: Option<PathBuf> = errors.keep(settings.own("data")).flatten();
        let data = data.unwrap_or_else(|| Path::new(linked.root).join("data"));
        let linked_here = |entry: &ModuleEntry| {
            let name = (entry.facts)().name;
            linked.kind == Program::Host || linked.modules.contains(&name)
        };
        let entries: Vec<ModuleEntry> = modules().into_iter().filter(linked_here).collect();
        if !errors.0.is_empty() {
            // Those of the modules too, so that all that is wrong is said at once.
            let here = |entry: &&ModuleEntry| place.runs_here((entry.facts)().name);
            let here: Vec<ModuleEntry> = entries.iter().filter(here).copied().collect();
            errors.0.extend(check::sections(&settings, &here).0);
            return Err(wrong(errors));
        }
        let fakes = fakes(&place)?;
        Ok(Self { fakes, ..Self::assemble(place, settings, data, entries, false) })
    }

    /// Logs what is unusual about the process.
    pub(super) fn announced(self, linked: Linked) -> Self {
        for circle in linked.circles.iter().filter(|_| linked.kind == Program::Host) {
            tracing::info!(circle, "modules and this program call each other");
        }
        if !self.fakes.is_empty() {
            tracing::warn!(
                fakes = ?self.fakes,
                "{FAKES} is set: calls of these modules are answered with examples"
            );
        }
        self
    }

    pub(crate) fn assemble(
        place: ThisProcess,
        settings: Settings,
        data: PathBuf,
        modules: Vec<ModuleEntry>,
        checked: bool,
    ) -> Self {
        let calls = &place.manifest.calls;
        let observed = Observed::new(&place);
        let call_settings = Arc::new(CallSettings {
            deadline: calls.deadline,
            observe: calls.deadline_mode == DeadlineMode::Observe,
            checked,
            recorder: observed.recorder(),
            sampling: Sampling::of(place.manifest.observe.sample.part()),
            access: access(&place.manifest.identity.keys.rules),
            ..CallSettings::default()
        });
        let links = Arc::new(Links::new(Arc::clone(&call_settings)));
        Self {
            place,
            settings,
            data,
            call_settings,
            links,
            encoded: false,
            strict: false,
            shared: HashMap::new(),
            provided: Vec::new(),
            modules,
            fakes: BTreeSet::new(),
            hints: Vec::new(),
            docs: true,
            internal_errors: http::InternalErrors::default(),
            observed,
            log: no_control(),
        }
    }

    /// The same, with the levels of this log.
    pub(super) fn with_log(self, log: Control) -> Self {
        Self { log, ..self }
    }

    /// Hands over the levels of the log that this program has installed, so that an operator can change them while it
    /// runs. A program of one line does so itself. It needs the feature `observe`.
    #[cfg(feature = "observe")]
    #[must_use]
    pub fn log(self, control: monolift_observe::log::LogControl) -> Self {
        self.with_log(Some(control))
    }

    /// Whether the gateway describes itself, at `/openapi.json` and `/docs`. It does, unless told
    /// not to.
    #[must_use]
    pub fn docs(mut self, yes: bool) -> Self {
        self.docs = yes;
        self
    }

    /// Says this at the start of a process that has a gateway, with its address for `{http}`: what
    /// a person can paste to see something.
    #[must_use]
    pub fn try_out(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hints.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Hands `value` to one module, for its field `Shared<T>`. It is dropped when that module lives
    /// in another process.
    #[must_use]
    pub fn share<T: Send + Sync + 'static>(mut self, module: &str, value: T) -> Self {
        self.shared.insert((module.to_owned(), TypeId::of::<T>()), Arc::new(value));
        self
    }

    /// Hands a pool to one module, for its field `Db<D>`: its tables stay where they are, and its
    /// migrations stay the application's. The process does not start if no field has the pool's type: a
    /// `Db` alone is a `Db<Any>` and takes a `Pool<Any>`. It needs the feature `data`.
    #[cfg(feature = "data")]
    #[must_use]
    pub fn pool<D: monolift_data::ModuleDatabase>(self, module: &str, pool: sqlx::Pool<D>) -> Self {
        self.share(module, pool)
    }

    /// Provides an interface by code that is no module: a host's own, behind a trait. The manifest
    /// places it in this process.
    #[must_use]
    pub fn provide<I: Interface + ?Sized>(mut self, provider: Arc<I>) -> Self {
        let bind = move |links: &Links| {
            links.link::<I>().bind(provider);
        };
        self.provided.push((InterfaceEntry::of::<I>(), Box::new(bind)));
        self
    }

    /// A client, to be used once the process has started: a host's own code may hold it from the
    /// beginning.
    pub fn client<C: Client>(&self) -> C {
        self.links.client()
    }

    /// Has every call within this process encoded and decoded, as a split would.
    #[must_use]
    pub fn encode_calls(mut self, yes: bool) -> Self {
        self.encoded = yes;
        self
    }

    /// Whether a call fails, rather than being warned of, that asks for another connection or calls
    /// another module while it holds a transaction.
    pub(crate) fn strict(mut self, yes: bool) -> Self {
        self.strict = yes;
        self
    }

    /// Has an admin address on a free port of loopback, where the manifest states none.
    pub(super) fn with_admin_by_default(mut self) -> Self {
        self.observed.admin_by_default = true;
        self
    }

    /// The manifest in force.
    pub fn manifest(&self) -> &Manifest {
        &self.place.manifest
    }

    /// The process of the manifest that this is.
    pub fn process(&self) -> &str {
        &self.place.process
    }

    /// Checks everything, then makes the modules, connects them and listens.
    pub async fn start(self) -> Result<RunningApp, StartErrors> {
        match self.start_until(future::pending()).await? {
            Started::Up(app) | Started::InPart(app) => Ok(app),
        }
    }

    /// The same, until `stopped` is ready: a start may wait, for a database that does not answer or a module's own
    /// [`Lifecycle::start`](crate::Lifecycle::start), and a host may be asked to stop meanwhile.
    pub async fn start_until(
        mut self,
        stopped: impl Future<Output = ()>,
    ) -> Result<Started, StartErrors> {
        let here = self.checked_entries()?;
        let served = if self.encoded {
            Arc::new(Links::new(Arc::clone(&self.call_settings)))
        } else {
            Arc::clone(&self.links)
        };
        // Read once, and before anything is opened.
        open::check(&self.place)?;
        let tls = self.place.tls()?;
        if let Some(tls) = &tls {
            tls.keep_fresh();
        }
        let statements = statements(&self.place, tls.as_ref())?;
        let users = Users::start(&self.place)?;
        let memory = Arc::new(Memory::new(self.place.manifest.limits.memory));
        let mut peers = self.connect(&served, &memory, tls.clone(), statements.clone())?;
        let feeds = feeds::connect(&here, &self.place, &served, &mut peers)?;
        self.observed.connect(&served, &peers, &self.place);
        let in_force = self.settings_in_force();
        let shares = self.sharing(&here);
        let resources = Arc::new(Resources {
            settings: self.settings,
            links: Arc::clone(&self.links),
            served: Arc::clone(&served),
            shared: self.shared,
            data: self.data,
            databases: Arc::new(databases::common(&self.place.manifest)),
            feeds,
            strict: self.strict,
            shares,
        });
        for (_, bind) in std::mem::take(&mut self.provided) {
            bind(&served);
        }
        let readiness = watch::Sender::new(peers.readiness());
        let looking = peers.watch(&readiness);
        let front = http::Held::to(&self.place.manifest);
        let mut app = RunningApp {
            place: self.place,
            links: self.links,
            modules: Vec::new(),
            fakes: self.fakes,
            hints: self.hints,
            docs: self.docs,
            internal_errors: self.internal_errors,
            front,
            users,
            log: self.log,
            remotes: peers.remotes().clone(),
            memory,
            #[cfg(feature = "data")]
            feeds: Arc::clone(&resources.feeds),
            readiness,
            looking,
            server: None,
            address: None,
            statements,
            http: None,
            observed: self.observed,
            exporting: None,
            admin: None,
        };
        let ended = tokio::select! {
            ended = bring_up(&mut app, &here, resources, tls, in_force) => Some(ended),
            () = stopped => None,
        };
        match ended {
            Some(Ok(())) => Ok(Started::Up(app)),
            Some(Err(error)) => {
                app.give_up().await;
                Err(error.into())
            }
            None => Ok(Started::InPart(app)),
        }
    }

    /// The entries of the modules that run here, once everything is checked.
    pub(super) fn checked_entries(&self) -> Result<Vec<ModuleEntry>, StartErrors> {
        let here = self.entries_here();
        check::everything(&check::Facts {
            place: &self.place,
            settings: &self.settings,
            shared: &self.shared,
            modules: &here,
            linked: &self.modules,
            provided: self.provided.iter().map(|(entry, _)| *entry).collect(),
        })?;
        Ok(here)
    }

    /// The entries of the modules that run here, those that are called before those that call them.
    pub(super) fn entries_here(&self) -> Vec<ModuleEntry> {
        let order = self.place.graph.start_order();
        let rank = |entry: &ModuleEntry| {
            let name = (entry.facts)().name;
            order.iter().position(|known| known == name).unwrap_or(order.len())
        };
        let mut here: Vec<ModuleEntry> = self
            .modules
            .iter()
            .filter(|entry| self.place.runs_here((entry.facts)().name))
            .copied()
            .collect();
        here.sort_by_key(rank);
        here
    }

    /// Points the link of every interface that lives elsewhere at its process.
    fn connect(
        &self,
        served: &Arc<Links>,
        memory: &Arc<Memory>,
        tls: Option<Tls>,
        statements: Option<Arc<Statements>>,
    ) -> Result<Peers, StartErrors> {
        let all = interfaces();
        let descriptors = all.iter().map(|entry| (entry.descriptor)());
        let mut peers = Peers::new(descriptors, Arc::clone(memory), tls, statements);
        let mut errors = Vec::new();
        for entry in all {
            let descriptor = (entry.descriptor)();
            if self.place.runs_here(descriptor.module) {
                if self.encoded {
                    self.links.any(entry).bind_loopback(served, self.place.bounds());
                }
                continue;
            }
            if self.fakes.contains(descriptor.module) {
                self.links.any(entry).bind_carrier(Arc::new(Fake::new(self.place.bounds())));
                continue;
            }
            match peers.to(&self.place, descriptor.module) {
                Ok(Some(way)) => {
                    self.links.any(entry).bind_carrier(way);
                }
                // It belongs to another application of the workspace.
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        peers.observe(&self.place);
        if errors.is_empty() { Ok(peers) } else { Err(StartErrors(errors)) }
    }
}

/// The modules that [`FAKES`] names. They are modules of other processes.
fn fakes(place: &ThisProcess) -> Result<BTreeSet<String>, StartErrors> {
    let named = env::var(FAKES).unwrap_or_default();
    let names = named.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut errors = Vec::new();
    for name in names.clone() {
        if place.runs_here(name) {
            errors.push(StartError::new(format!(
                "{FAKES} names `{name}`, which runs in this process"
            )));
        } else if !place.manifest.modules.iter().any(|placed| placed.module == name) {
            let file = place.manifest.file.display();
            errors.push(StartError::new(format!(
                "{FAKES} names `{name}`, and {file} has no such module"
            )));
        }
    }
    if errors.is_empty() {
        Ok(names.map(str::to_owned).collect())
    } else {
        Err(StartErrors(errors))
    }
}

/// How many modules open their databases concurrently, which takes most of a start. The modules are made afterwards, in order.
const OPENED_AT_ONCE: usize = 8;

/// Makes the modules, starts their own work, and listens. What was begun before an error is in `app`,
/// which is stopped then.
async fn bring_up(
    app: &mut RunningApp,
    here: &[ModuleEntry],
    resources: Arc<Resources>,
    tls: Option<Tls>,
    in_force: Vec<Setting>,
) -> Result<(), StartError> {
    app.exporting = Exporting::start(&app.place, &app.observed)?;
    let opening = here.iter().map(|entry| entry.open(Arc::clone(&resources)));
    let open: Vec<OpenModule> =
        stream::iter(opening).buffered(OPENED_AT_ONCE).try_collect().await?;
    for module in open {
        app.modules.push(module.start().await?);
    }
    app.observed.tell_systems(&app.modules);
    sharing::check(&app.place, &app.modules)?;
    app.observed.attend(&app.modules, &app.log);
    if app.place.aside_of.is_none() {
        for module in &mut app.modules {
            module.start_work().await?;
        }
    }
    let own = app.modules.iter().filter_map(|module| module.routes.clone());
    let own: Vec<_> = own.collect();
    let memory = Arc::clone(&app.memory);
    let recorder = app.observed.recorder();
    let believing = app.statements.clone();
    let serving = Serving { own_routes: own, memory, tls, recorder, believing };
    let listening = listen(&app.place, &resources, serving).await?;
    if let Some((server, address)) = listening {
        (app.server, app.address) = (Some(server), Some(address));
    }
    if let Some(address) = app.place.http() {
        app.http = Some(Gateway::listen(address, app, &resources.settings).await?);
    }
    app.admin = Admin::listen(app, &resources.settings, in_force).await?;
    Ok(())
}

/// What a listener for other processes needs beside the modules.
struct Serving {
    own_routes: Vec<(&'static str, Router)>,
    memory: Arc<Memory>,
    tls: Option<Tls>,
    recorder: Option<Arc<dyn Recorder>>,
    believing: Option<Arc<Statements>>,
}

/// Listens for other processes, if any may call.
async fn listen(
    place: &ThisProcess,
    resources: &Resources,
    serving: Serving,
) -> Result<Option<(Server, Address)>, StartError> {
    let Serving { own_routes, memory, tls, recorder, believing } = serving;
    let manifest = &place.manifest;
    let stated = manifest.processes.get(&place.process).and_then(|process| process.listen.clone());
    let free_port = || place.aside_of.as_ref().map(|_| Address::Tcp("127.0.0.1:0".to_owned()));
    let Some(address) = stated.or_else(free_port) else { return Ok(None) };
    let all = place.replicas(&resources.settings, "listen", address, Process::listens);
    let (listener, address) = first_free(all, async |address| Listener::bind(address).await)
        .await
        .map_err(|refusal| refusal.of("cannot listen", "listen", place))?;
    let unknown =
        |error| StartError::new(format!("the address of {address} is unknown")).because(error);
    let address = listener.address().map_err(unknown)?;
    let local = resources.served.all().into_iter().filter(|link| link.is_local());
    let handlers = local.map(|link| link as Arc<dyn Handler>).collect();
    let mut directory =
        Directory::new(handlers, caller_check(place)).recorded_by(recorder).believing(believing);
    if !own_routes.is_empty() {
        directory = http::serve_own_routes(directory, own_routes, manifest.clone());
    }
    let us = Peer::new(&manifest.app, &place.process, place.bounds());
    let limits = Limits {
        bounds: place.bounds(),
        connections: manifest.limits.connections,
        in_flight: manifest.limits.in_flight,
        running: manifest.limits.running,
        waiting: manifest.limits.waiting,
        wait: manifest.limits.wait,
        hello: manifest.limits.hello,
        handshakes: manifest.limits.handshakes,
        ..Limits::default()
    };
    let server = Server::start(listener, us, directory, limits, memory, tls);
    Ok(Some((server, address)))
}

/// The owner of interfaces that are no module's.
const FRAMEWORK: &str = "monolift";

/// A process may call what its modules declare; a gateway, what has a route.
pub(super) fn caller_check(place: &ThisProcess) -> crate::serve::CallerCheck {
    let (manifest, graph) = (place.manifest.clone(), place.graph.clone());
    let here: Vec<String> = place.modules.clone();
    Box::new(move |caller, interface, method| {
        // What the framework itself asks: a process that observes all, or calls a module of this one. Only the first may
        // change something.
        if interface.module == FRAMEWORK {
            let calls_here = |module: &String| graph.may_call(&manifest, caller, module);
            let changes = admin::changes(method.name());
            return manifest.observes(caller) || (!changes && here.iter().any(calls_here));
        }
        let gateway = manifest.processes.get(caller).is_some_and(|process| process.http.is_some());
        (gateway && method.route.is_some()) || graph.may_call(&manifest, caller, interface.module)
    })
}
