//! Modules and fakes that are started together for one test.

use super::folder::Folder;
use crate::{
    Principal,
    app::{App, RunningApp, ThisProcess},
    call::access::Acting,
    config::Settings,
    link::{Client, Interface},
    module::{Module, ModuleEntry, StartErrors},
};
use figment::value::{Dict, Value};
use monolift_manifest::{Graph, Manifest};
use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

/// How calls go in a test's system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In one process, as plain function calls.
    InProcess,
    /// In one process, each call encoded and decoded as between processes.
    Encoded,
    /// Each module as a service of its own, over a Unix socket.
    OverAConnection,
}

impl Mode {
    /// Whether calls are encoded in this mode. Then the limits of frames and of the codec apply.
    pub fn encodes(self) -> bool {
        self != Self::InProcess
    }
}

/// The process of the test itself. It is the host of the manifest.
const OWN: &str = "test";

/// Modules and fakes that are not started yet.
pub struct System {
    mode: Mode,
    parts: BTreeMap<String, Part>,
    /// Modules that are placed in the process of another module, by name.
    beside: BTreeMap<String, String>,
    settings: Settings,
    /// Whether a call fails that holds a transaction while it waits for something else.
    strict: bool,
    adjust: Box<dyn Fn(&mut Manifest) + Send>,
}

/// The module or the fakes under one name.
#[derive(Default)]
struct Part {
    module: Option<ModuleEntry>,
    hand_in: Vec<Box<dyn FnOnce(App) -> App + Send>>,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "System({:?}: {:?})", self.mode, self.parts.keys())
    }
}

impl System {
    /// An empty system.
    pub fn new(mode: Mode) -> Self {
        let settings = Settings::default();
        let (parts, beside) = (BTreeMap::new(), BTreeMap::new());
        Self { mode, parts, beside, settings, strict: true, adjust: Box::new(|_| {}) }
    }

    /// Adds the module `M`. If it needs a database, it gets one of its own.
    #[must_use]
    pub fn module<M: Module>(mut self) -> Self {
        self.part(M::facts().name).module = Some(ModuleEntry::of::<M>());
        self
    }

    /// Adds `fake` as the provider of `I`, instead of its module.
    #[must_use]
    pub fn fake<I: Interface + ?Sized>(mut self, fake: Arc<I>) -> Self {
        self.part(I::MODULE).hand_in.push(Box::new(|app| app.provide::<I>(fake)));
        self
    }

    /// Adds a fake that calls modules of the system: `make` takes its clients from the app.
    #[must_use]
    pub fn fake_with<I: Interface + ?Sized>(
        mut self,
        make: impl FnOnce(&App) -> Arc<I> + Send + 'static,
    ) -> Self {
        let provide = |app: App| {
            let fake = make(&app);
            app.provide::<I>(fake)
        };
        self.part(I::MODULE).hand_in.push(Box::new(provide));
        self
    }

    /// Gives `value` to a module, for its field `Shared<T>`.
    #[must_use]
    pub fn share<T: Send + Sync + 'static>(mut self, module: &str, value: T) -> Self {
        let name = module.to_owned();
        self.part(module).hand_in.push(Box::new(move |app| app.share(&name, value)));
        self
    }

    /// Gives a pool to a module, for its field `Db<D>`, such as the pool that `sqlx::test` makes. The module's migrations
    /// are not applied to it: pass them to `sqlx::test`.
    #[cfg(feature = "data")]
    #[must_use]
    pub fn pool<D: monolift_data::ModuleDatabase>(self, module: &str, pool: sqlx::Pool<D>) -> Self {
        self.share(module, pool)
    }

    /// Sets the settings of a module.
    #[must_use]
    pub fn settings<K: Into<String>, V: Into<Value>>(
        mut self,
        module: &str,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let values: Dict =
            values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.settings = self.settings.with_section(module, values);
        self
    }

    /// Places `module` in the process of `other`, if each module would have its own.
    #[must_use]
    pub fn beside(mut self, module: &str, other: &str) -> Self {
        self.beside.insert(module.to_owned(), other.to_owned());
        self
    }

    /// Allows calls to hold a transaction while they use another connection or call another module.
    /// Then this is only logged, as in a process. Otherwise such a call fails: see [`Tx`](crate::Tx).
    #[must_use]
    pub fn allow_held_transactions(mut self) -> Self {
        self.strict = false;
        self
    }

    /// Changes the manifest, for example its deadlines or limits.
    #[must_use]
    pub fn manifest(mut self, adjust: impl Fn(&mut Manifest) + Send + 'static) -> Self {
        self.adjust = Box::new(adjust);
        self
    }

    fn part(&mut self, module: &str) -> &mut Part {
        self.parts.entry(module.to_owned()).or_default()
    }

    /// Starts the system and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If the system does not start. [`System::try_start`] returns the error instead.
    pub async fn start(self) -> RunningSystem {
        match self.try_start().await {
            Ok(running) => running,
            Err(errors) => panic!("the system did not start: {errors}"),
        }
    }

    /// Starts the system and waits until it is ready.
    pub async fn try_start(self) -> Result<RunningSystem, StartErrors> {
        let running = self.launch().await?;
        running.ready().await;
        Ok(running)
    }

    /// Starts the system without waiting until its processes have found each other.
    pub async fn launch(mut self) -> Result<RunningSystem, StartErrors> {
        let folder = Folder::new();
        let manifest = self.make_manifest(folder.path());
        let graph = self.graph();
        let mut processes = Vec::new();
        for process in manifest.all_processes().filter(|&name| name != OWN).chain([OWN]) {
            let modules: Vec<String> = manifest.modules_of(process).map(str::to_owned).collect();
            if modules.is_empty() && process != OWN {
                continue;
            }
            let parts: Vec<Part> =
                modules.iter().filter_map(|module| self.parts.remove(module)).collect();
            let entries = parts.iter().filter_map(|part| part.module).collect();
            let place = ThisProcess {
                modules,
                manifest: manifest.clone(),
                graph: graph.clone(),
                process: process.to_owned(),
                aside_of: None,
            };
            let data = folder.path().to_owned();
            let app = App::assemble(place, self.settings.clone(), data, entries, true)
                .encode_calls(self.mode == Mode::Encoded)
                .strict(self.strict);
            let hand_in = parts.into_iter().flat_map(|part| part.hand_in);
            processes.push(hand_in.fold(app, |app, hand_in| hand_in(app)).start().await?);
        }
        Ok(RunningSystem { processes, _folder: folder })
    }

    /// In one process, every module is in the test's own. Otherwise each has a process with a
    /// socket.
    fn make_manifest(&self, folder: &Path) -> Manifest {
        let mut text = format!("app = \"test\"\nhost = \"{OWN}\"\n[modules]\n");
        let split = self.mode == Mode::OverAConnection;
        // Writing to a string cannot fail.
        for module in self.parts.keys() {
            let process = if split { self.beside.get(module).unwrap_or(module) } else { OWN };
            let _ = writeln!(text, "{module} = \"{process}\"");
        }
        let alone = |module: &&String| split && !self.beside.contains_key(*module);
        for module in self.parts.keys().filter(alone) {
            let socket = folder.join(format!("{module}.sock"));
            let _ = writeln!(text, "[process.{module}]\nlisten = \"unix:{}\"", socket.display());
        }
        let mut manifest = Manifest::parse(&text, Path::new("the test's manifest"))
            .expect("a manifest of known names and generated addresses");
        (self.adjust)(&mut manifest);
        manifest
    }

    /// A module may call what it declares. A fake and the test may call every module.
    fn graph(&self) -> Graph {
        let all: Vec<String> = self.parts.keys().cloned().collect();
        let calls = self.parts.iter().map(|(name, part)| {
            let declared = |entry: ModuleEntry| {
                (entry.facts)().calls.iter().map(|&called| called.to_owned()).collect()
            };
            let others = || all.iter().filter(|other| *other != name).cloned().collect();
            (name.clone(), part.module.map_or_else(others, declared))
        });
        Graph::new(calls, all.clone())
    }
}

/// A running system.
#[derive(Debug)]
pub struct RunningSystem {
    /// The processes in the order of their start. The last one is the test's own.
    processes: Vec<RunningApp>,
    _folder: Folder,
}

impl RunningSystem {
    /// A client for the test. Its calls are made as the program's own work: no user stands behind them.
    pub fn client<C: Client>(&self) -> C {
        self.own().client()
    }

    /// A client for the test that calls on behalf of `principal`: `system.client_as::<OrdersClient>(user("ada"))`.
    pub fn client_as<C: Client>(&self, principal: Principal) -> C {
        self.own().client_acting(Acting::For(principal))
    }

    /// A client for the test that calls like a request that does not say who makes it.
    pub fn client_of_no_one<C: Client>(&self) -> C {
        self.own().client_acting(Acting::Anonymous)
    }

    /// Waits until all processes have found each other.
    pub async fn ready(&self) {
        for process in &self.processes {
            process.ready().await;
        }
    }

    /// The process that runs a module.
    pub fn process_of(&self, module: &str) -> &RunningApp {
        let at = self.position_of(module);
        at.map_or_else(|| self.own(), |at| &self.processes[at])
    }

    /// The test's own process, for its routes and its layer.
    pub fn own(&self) -> &RunningApp {
        self.processes.last().expect("the test's own process is always there")
    }

    /// Stops all processes, beginning with the test's own.
    pub async fn stop(mut self) {
        while let Some(process) = self.processes.pop() {
            process.stop().await;
        }
    }

    /// Removes the process that runs a module from the system, so that a test can stop it first.
    /// `None` if it is the test's own process.
    pub fn take_process_of(&mut self, module: &str) -> Option<RunningApp> {
        self.position_of(module).map(|at| self.processes.remove(at))
    }

    /// Drops the process of one module, as in a crash. Returns false if the module runs in the
    /// test's own process.
    pub fn crash(&mut self, module: &str) -> bool {
        self.take_process_of(module).is_some()
    }

    fn position_of(&self, module: &str) -> Option<usize> {
        let process = self.own().manifest().process_of(module).filter(|&process| process != OWN)?;
        self.processes.iter().position(|running| running.process() == process)
    }
}
