//! How a process starts and stops.

use crate::support::{Obedient, Worker, WorkerClient, WorkerError, call_error, soon, system_with};
use monolift::{
    CallErrorKind, Config, Db, Inject, Lifecycle, Shared, StartError, Tasks,
    app::{App, Linked, Program, Started},
    async_trait,
    module::{Injector, Module, ModuleFacts},
    testing::{Mode, System, every_mode},
};
use monolift_call::link::Links;
use monolift_manifest::Address;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A module that writes down what it does. It is made without the macro, which would take what it
/// calls from this package's Cargo.toml.
macro_rules! noted {
    ($module:ident $name:literal calls $calls:expr) => {
        struct $module {
            journal: Shared<Journal>,
            tasks: Tasks,
        }

        impl Module for $module {
            fn facts() -> &'static ModuleFacts {
                static FACTS: ModuleFacts = ModuleFacts {
                    name: $name,
                    package: $name,
                    calls: &$calls,
                    provides: &[],
                    needs: &[("journal", <Shared<Journal> as Inject>::need)],
                    migrations: &[],
                    work: &[],
                    on: &[],
                    routes: false,
                };
                &FACTS
            }

            async fn inject(injector: Injector) -> Result<Self, StartError> {
                let journal: Shared<Journal> = injector.field("journal").await?;
                journal.write(concat!($name, " is made"));
                Ok(Self { journal, tasks: injector.field("tasks").await? })
            }

            fn publish(_: &Arc<Self>, _: &Links) {}

            fn lifecycle(this: &Arc<Self>) -> Option<Arc<dyn Lifecycle>> {
                Some(Arc::<Self>::clone(this))
            }
        }

        #[async_trait]
        impl Lifecycle for $module {
            async fn start(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
                self.journal.write(concat!($name, " starts"));
                let (tasks, journal) = (self.tasks.clone(), self.journal.clone());
                self.tasks.spawn(async move {
                    tasks.stopping().await;
                    journal.write(concat!($name, "'s task ends"));
                });
                Ok(())
            }

            async fn stop(&self) {
                self.journal.write(concat!($name, " stops"));
            }
        }
    };
}

// By the alphabet they would start the other way round.
noted!(Alpha "alpha" calls ["beta", "gamma"]);
noted!(Beta "beta" calls ["gamma"]);
noted!(Gamma "gamma" calls []);

#[test]
fn modules_start_before_those_that_call_them_and_stop_in_reverse() {
    for mode in [Mode::InProcess, Mode::Encoded] {
        monolift::testing::run(async move {
            let journal = Journal::default();
            let system = System::new(mode)
                .module::<Alpha>()
                .module::<Beta>()
                .module::<Gamma>()
                .share("alpha", journal.clone())
                .share("beta", journal.clone())
                .share("gamma", journal.clone())
                .start()
                .await;
            let expected = [
                "gamma is made",
                "beta is made",
                "alpha is made",
                "gamma starts",
                "beta starts",
                "alpha starts",
            ];
            assert_eq!(journal.read(), expected);
            system.stop().await;
            let expected = [
                "alpha stops",
                "alpha's task ends",
                "beta stops",
                "beta's task ends",
                "gamma stops",
                "gamma's task ends",
            ];
            assert_eq!(journal.read()[6..], expected);
        });
    }
}

/// A process that is dropped is as one that was killed, also where its tasks have what spawns them.
#[test]
fn what_a_module_spawned_ends_with_a_system_that_is_dropped() {
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        monolift::testing::run(async move {
            let journal = Journal::default();
            let system =
                System::new(mode).module::<Gamma>().share("gamma", journal.clone()).start().await;
            drop(system);
            soon(async {
                while Arc::strong_count(&journal.0) > 1 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            assert_eq!(journal.read(), ["gamma is made", "gamma starts"]);
        });
    }
}

#[monolift::module(name = "early", lifecycle)]
pub struct Early {
    journal: Shared<Journal>,
}

#[async_trait]
impl Lifecycle for Early {
    async fn start(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.journal.write("early starts");
        Ok(())
    }

    async fn stop(&self) {
        self.journal.write("early stops");
    }
}

#[monolift::module(name = "late", lifecycle)]
pub struct Late {
    journal: Shared<Journal>,
    waits: Shared<Arc<Notify>>,
}

#[async_trait]
impl Lifecycle for Late {
    async fn start(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.journal.write("late waits");
        self.waits.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_a_start_has_begun_is_stopped_where_the_start_is() {
    let linked = Linked {
        manifest: "app = \"club\"\nhost = \"club\"\n[modules]\nearly = \"club\"\nlate = \"club\"\n",
        file: "the test's manifest",
        root: "/nonexistent",
        kind: Program::Host,
        modules: &["early", "late"],
        calls: &[("early", &[]), ("late", &["early"])],
        host_calls: &[],
        circles: &[],
        local_calls: &[],
    };
    let (journal, waits) = (Journal::default(), Arc::new(Notify::new()));
    let app = App::new(linked).unwrap().share("early", journal.clone());
    let app = app.share("late", journal.clone()).share("late", Arc::clone(&waits));
    match soon(app.start_until(waits.notified())).await.unwrap() {
        Started::InPart(running) => running.stop().await,
        Started::Up(_) => panic!("a module is still starting"),
    }
    assert_eq!(journal.read(), ["early starts", "late waits", "early stops"]);
}

/// What a module that does not do as it should does instead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    RefuseToStart,
    PanicAtTheStart,
    PanicAtTheStop,
}

#[monolift::module(name = "stubborn", lifecycle)]
pub struct Stubborn {
    fault: Shared<Fault>,
    tasks: Tasks,
    task_ended: Shared<watch::Sender<bool>>,
}

#[async_trait]
impl Lifecycle for Stubborn {
    async fn start(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        struct Ended(Shared<watch::Sender<bool>>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.send_replace(true);
            }
        }
        let ended = Ended(self.task_ended.clone());
        // It does not ask whether it should stop.
        self.tasks.spawn(async move {
            let _ended = ended;
            std::future::pending().await
        });
        match *self.fault {
            Fault::RefuseToStart => Err("the printer is on fire".into()),
            Fault::PanicAtTheStart => panic!("at the start"),
            Fault::PanicAtTheStop => {
                self.tasks.spawn(async { panic!("in a task") });
                Ok(())
            }
        }
    }

    async fn stop(&self) {
        panic!("at the stop");
    }
}

fn stubborn(mode: Mode, fault: Fault) -> (System, watch::Receiver<bool>) {
    let ended = watch::Sender::new(false);
    let watching = ended.subscribe();
    let system =
        System::new(mode).module::<Stubborn>().share("stubborn", ended).share("stubborn", fault);
    (system, watching)
}

#[every_mode]
async fn a_module_that_refuses_to_start_is_named_and_leaves_nothing_behind(mode: Mode) {
    for (fault, expected) in [
        (Fault::RefuseToStart, "module `stubborn`: it refused to start: the printer is on fire"),
        (Fault::PanicAtTheStart, "module `stubborn`: it panicked: at the start"),
    ] {
        let (system, mut task_ended) = stubborn(mode, fault);
        let journal = Journal::default();
        let system = system.module::<Gamma>().share("gamma", journal.clone());
        let errors = system.try_start().await.unwrap_err();
        assert_eq!(errors.to_string(), expected);
        soon(task_ended.wait_for(|ended| *ended)).await.unwrap();
        if mode != Mode::OverAConnection {
            // What had started already was stopped.
            assert!(journal.read().contains(&"gamma stops".to_owned()), "{journal:?}");
        }
    }
}

/// Nor one whose task does not listen: when the time to stop has passed, it is cut.
#[tokio::test(start_paused = true)]
async fn a_module_that_panics_when_it_stops_holds_back_no_other() {
    let (system, task_ended) = stubborn(Mode::InProcess, Fault::PanicAtTheStop);
    let journal = Journal::default();
    let system = system.module::<Gamma>().share("gamma", journal.clone()).start().await;
    soon(system.stop()).await;
    assert!(*task_ended.borrow());
    assert!(journal.read().contains(&"gamma stops".to_owned()), "{journal:?}");
}

#[monolift::interface(module = "needy")]
pub trait Bell {
    async fn ring(&self) -> Result<(), WorkerError>;
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeedyConfig {
    #[allow(dead_code, reason = "it is only read as settings")]
    most: Option<u32>,
}

/// Needs one of everything that can be missing.
#[monolift::module(name = "needy", provides = Bell)]
#[allow(dead_code, reason = "what counts is that they are there")]
pub struct Needy {
    db: Db,
    config: Config<NeedyConfig>,
    journal: Shared<Journal>,
    number: Shared<u64>,
}

#[async_trait]
impl Bell for Needy {
    async fn ring(&self) -> Result<(), WorkerError> {
        Ok(())
    }
}

struct OtherBell;

#[async_trait]
impl Bell for OtherBell {
    async fn ring(&self) -> Result<(), WorkerError> {
        Ok(())
    }
}

#[every_mode]
async fn two_providers_of_one_interface_stop_the_start(mode: Mode) {
    let system = System::new(mode)
        .module::<Needy>()
        .share("needy", Journal::default())
        .share("needy", 7_u64)
        .fake::<dyn Bell>(Arc::new(OtherBell));
    let text = system.try_start().await.unwrap_err().to_string();
    assert_eq!(text, "`Bell` is provided twice: by the module `needy` and by main");
}

#[every_mode]
async fn all_that_is_wrong_is_said_at_once_and_nothing_was_touched(mode: Mode) {
    let folder = std::env::temp_dir().join(format!("needy-{}-{mode:?}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("needy.db");
    // An address that is taken: who tries to listen there fails.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(taken.local_addr().unwrap().to_string());
    let needy = || {
        let address = address.clone();
        System::new(mode).module::<Needy>().manifest(move |manifest| {
            let process = manifest.process_of("needy").unwrap().to_owned();
            manifest.processes.entry(process).or_default().listen = Some(address.clone());
        })
    };
    let url = BTreeMap::from([("url", format!("sqlite://{}?mode=rwc", file.display()))]);

    let wrong = BTreeMap::from([("no", "number".to_owned())]);
    let system = needy()
        .settings("needy", [("db", url.clone()), ("most", wrong)])
        .fake::<dyn Bell>(Arc::new(OtherBell));
    let text = system.try_start().await.unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("`Bell` is provided twice"), "{text}");
    assert!(lines[1].starts_with("module `needy`: field `journal`: main hands in no"), "{text}");
    assert!(lines[2].contains("field `number`") && lines[2].contains("u64"), "{text}");
    assert!(lines[3].starts_with("needy.most: expected a whole number"), "{text}");
    assert!(!file.exists());

    // With all that put right it goes on to what was not touched before.
    let system = needy()
        .settings("needy", [("db", url)])
        .share("needy", Journal::default())
        .share("needy", 7_u64);
    let text = system.try_start().await.unwrap_err().to_string();
    assert!(text.starts_with(&format!("cannot listen on {address}")), "{text}");
    assert!(file.exists());
    std::fs::remove_dir_all(folder).unwrap();
}

/// A program with `text` as its manifest, whose own code is the worker.
fn host(text: String) -> App {
    let linked = Linked {
        manifest: text.leak(),
        file: "the test's manifest",
        root: "/nonexistent",
        kind: Program::Host,
        modules: &[],
        calls: &[],
        host_calls: &["worker"],
        circles: &[],
        local_calls: &[],
    };
    let worker: Arc<dyn Worker> = Arc::<Obedient>::default();
    App::new(linked).unwrap().provide(worker)
}

/// The port of `address`, or 0.
fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_further_replica_on_one_machine_takes_the_next_port() {
    let first = port(&crate::system::free_port());
    let start = async || {
        let text = format!(
            "app = \"club\"\nhost = \"club\"\n[modules]\nworker = \"club\"\n[process.club]\nreplicas = 2\n\
             listen = \"127.0.0.1:{first}\"\nhttp = \"127.0.0.1:{}\"\n",
            first + 2
        );
        host(text).start().await
    };
    let mut running = Vec::new();
    for replica in 0..2 {
        let app = start().await.unwrap();
        assert_eq!(port(&app.address().unwrap().to_string()), first + replica);
        assert_eq!(app.http_address().unwrap().port(), first + 2 + replica);
        running.push(app);
    }
    let refused = start().await.unwrap_err().to_string();
    assert!(
        refused.contains("the addresses of all 2 replicas are in use")
            && refused.contains("write `replicas = 3` below [process.club]"),
        "{refused}"
    );
    for app in running {
        app.stop().await;
    }
}

/// Its code is in this program alone, so calls would find it nowhere.
#[tokio::test]
async fn a_hosts_own_module_that_is_placed_elsewhere_stops_the_start() {
    let text = "app = \"club\"\nhost = \"club\"\n[modules]\nworker = \"club\"\nstubborn = \"other\"\n\
                [process.other]\nlisten = \"127.0.0.1:7199\"\n";
    let text = host(text.to_owned()).start().await.unwrap_err().to_string();
    assert!(
        text.contains(
            "the test's manifest places `stubborn` in the process `other`, and its code is in the package `tests`"
        ),
        "{text}"
    );
}

/// A typo would otherwise leave the module without what it was given.
#[tokio::test]
async fn a_value_for_no_module_stops_the_start() {
    let linked = Linked {
        manifest: "app = \"club\"\nhost = \"club\"\n[modules]\nworker = \"club\"\n",
        file: "the test's manifest",
        root: "/nonexistent",
        kind: Program::Host,
        modules: &[],
        calls: &[],
        host_calls: &["worker"],
        circles: &[],
        local_calls: &[],
    };
    let worker: Arc<dyn Worker> = Arc::<Obedient>::default();
    let app = App::new(linked).unwrap().provide(worker).share("werker", 7_u64);
    let text = app.start().await.unwrap_err().to_string();
    assert!(
        text.contains("the module `werker`, and there is none: did you mean `worker`?"),
        "{text}"
    );
}

#[every_mode]
async fn a_stop_waits_for_what_is_in_flight(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let mut system = system_with(mode, &worker)
        .manifest(|manifest| manifest.calls.connections = Some(1))
        .start()
        .await;
    let client: WorkerClient = system.client();
    let in_flight = client.clone();
    let in_flight = tokio::spawn(async move { in_flight.hold("in flight".into()).await });
    worker.work.running(1).await;
    let Some(process) = system.take_process_of("worker") else {
        // In one process it is the caller who waits.
        worker.work.release();
        assert_eq!(soon(in_flight).await.unwrap().unwrap(), "in flight");
        return system.stop().await;
    };
    let stopping = tokio::spawn(process.stop());
    // Its callers are told, and there is nobody else whom they could call.
    let refused = async {
        loop {
            match client.echo("late".into()).await {
                Ok(_) => tokio::task::yield_now().await,
                refused => break call_error(refused),
            }
        }
    };
    let refused = soon(refused).await;
    assert_eq!((refused.kind(), refused.call()), (CallErrorKind::Unreachable, "worker.echo"));
    assert!(refused.message().starts_with("the process `worker` cannot be reached"), "{refused}");
    assert!(!stopping.is_finished() && !in_flight.is_finished());
    worker.work.release();
    assert_eq!(soon(in_flight).await.unwrap().unwrap(), "in flight");
    soon(stopping).await.unwrap();
    let gone = call_error(client.echo("later still".into()).await);
    let kinds = [CallErrorKind::Unreachable, CallErrorKind::Interrupted];
    assert!(kinds.contains(&gone.kind()), "{gone}");
    system.stop().await;
}

#[test]
fn a_process_that_is_not_up_yet_delays_readiness_and_not_the_start() {
    monolift::testing::run(async {
        let journal = Journal::default();
        let system = system_with(Mode::OverAConnection, &Arc::default())
            .module::<Gamma>()
            .share("gamma", journal.clone())
            .manifest(|manifest| {
                let worker = manifest.processes.get_mut("worker").unwrap();
                let Some(Address::Unix(socket)) = &worker.listen else { unreachable!() };
                worker.connect = Some(Address::Unix(socket.with_extension("later")).into());
            })
            .launch()
            .await
            .unwrap();
        assert!(journal.read().contains(&"gamma starts".to_owned()));
        let client: WorkerClient = system.client();
        let error = call_error(soon(client.echo("x".into())).await);
        assert_eq!((error.kind(), error.call()), (CallErrorKind::Unreachable, "worker.echo"));
        let waiting_for = system.own().readiness().borrow().waiting_for.join(", ");
        assert!(waiting_for.contains("worker at unix:"), "{waiting_for}");

        // It comes up, where it was looked for.
        let Some(Address::Unix(socket)) = system.process_of("worker").address() else {
            unreachable!()
        };
        std::os::unix::fs::symlink(socket, socket.with_extension("later")).unwrap();
        soon(system.ready()).await;
        assert_eq!(client.echo("x".into()).await.unwrap(), "x");
        system.stop().await;
    });
}
