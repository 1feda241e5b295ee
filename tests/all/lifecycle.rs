//! How a process starts and stops.

use crate::support::{Obedient, Worker, WorkerClient, WorkerError, soon};
use monolift::{
    CallErrorKind, Config, Db, Lifecycle, Shared, State, Tasks, async_trait,
    testing::{Mode, System, every_mode},
};
use serde::Deserialize;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn write(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[monolift::module(name = "lower", lifecycle)]
pub struct Lower {
    journal: Shared<Journal>,
}

#[async_trait]
impl Lifecycle for Lower {
    async fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.journal.write("lower starts");
        Ok(())
    }

    async fn stop(&self) {
        self.journal.write("lower stops");
    }
}

#[monolift::module(name = "upper", lifecycle)]
pub struct Upper {
    journal: Shared<Journal>,
    tasks: Tasks,
    count: State<Mutex<u32>>,
}

#[async_trait]
impl Lifecycle for Upper {
    async fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.journal.write("upper starts");
        *self.count.lock().unwrap() += 1;
        let (tasks, journal) = (self.tasks.clone(), self.journal.clone());
        self.tasks.spawn(async move {
            tasks.stopping().await;
            journal.write("upper's task ends");
        });
        Ok(())
    }

    async fn stop(&self) {
        self.journal.write("upper stops");
    }
}

#[test]
fn modules_stop_in_reverse_and_take_their_tasks_along() {
    monolift::testing::run(async {
        let journal = Journal::default();
        let system = System::new(Mode::InProcess)
            .module::<Lower>()
            .module::<Upper>()
            .share("lower", journal.clone())
            .share("upper", journal.clone())
            .start()
            .await;
        system.stop().await;
        let expected =
            ["lower starts", "upper starts", "upper stops", "upper's task ends", "lower stops"];
        assert_eq!(journal.read(), expected);
    });
}

#[monolift::module(name = "stubborn", lifecycle)]
pub struct Stubborn {
    tasks: Tasks,
    ended: Shared<watch::Sender<bool>>,
}

#[async_trait]
impl Lifecycle for Stubborn {
    async fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        struct Ended(Shared<watch::Sender<bool>>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.send_replace(true);
            }
        }
        let ended = Ended(self.ended.clone());
        self.tasks.spawn(async move {
            let _ended = ended;
            std::future::pending().await
        });
        Err("the printer is on fire".into())
    }
}

#[every_mode]
async fn a_module_that_refuses_to_start_is_named(mode: Mode) {
    let ended = watch::Sender::new(false);
    let mut watching = ended.subscribe();
    let system = System::new(mode).module::<Stubborn>().share("stubborn", ended);
    let errors = system.try_start().await.unwrap_err();
    let text = errors.to_string();
    assert_eq!(text, "module `stubborn`: it refused to start: the printer is on fire");
    soon(watching.wait_for(|ended| *ended)).await.unwrap();
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeedyConfig {
    #[allow(dead_code, reason = "it is only read as settings")]
    most: u32,
}

#[monolift::module(name = "needy")]
#[allow(dead_code, reason = "it never starts")]
pub struct Needy {
    db: Db,
    config: Config<NeedyConfig>,
    journal: Shared<Journal>,
    worker: Shared<u64>,
}

#[every_mode]
async fn all_that_is_wrong_is_said_before_anything_is_touched(mode: Mode) {
    let system = System::new(mode).module::<Needy>().settings("needy", [("most", "many")]);
    let text = system.try_start().await.unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("module `needy`: field `config`: [needy]"), "{text}");
    assert!(lines[1].starts_with("module `needy`: field `journal`: main hands in no"), "{text}");
    assert!(lines[2].contains("field `worker`") && lines[2].contains("u64"), "{text}");
}

#[monolift::module(name = "worker", provides = Worker)]
pub struct RealWorker {
    obedient: State<Obedient>,
}

#[async_trait]
impl Worker for RealWorker {
    async fn echo(&self, text: String) -> Result<String, WorkerError> {
        self.obedient.echo(text).await
    }
    async fn echo_after(&self, text: String, millis: u64) -> Result<String, WorkerError> {
        self.obedient.echo_after(text, millis).await
    }
    async fn long(&self, length: usize) -> Result<String, WorkerError> {
        self.obedient.long(length).await
    }
    async fn time_left(&self) -> Result<u64, WorkerError> {
        self.obedient.time_left().await
    }
    async fn time_left_of_500(&self) -> Result<u64, WorkerError> {
        self.obedient.time_left_of_500().await
    }
    async fn time_left_of_60_000(&self) -> Result<u64, WorkerError> {
        self.obedient.time_left_of_60_000().await
    }
    async fn for_ever(&self) -> Result<(), WorkerError> {
        self.obedient.for_ever().await
    }
    async fn panic(&self, text: String) -> Result<(), WorkerError> {
        self.obedient.panic(text).await
    }
    async fn fail(&self, how: crate::support::How) -> Result<(), WorkerError> {
        self.obedient.fail(how).await
    }
    async fn context(&self) -> Result<String, WorkerError> {
        self.obedient.context().await
    }
}

#[every_mode]
async fn two_providers_of_one_interface_stop_the_start(mode: Mode) {
    let system =
        System::new(mode).module::<RealWorker>().fake::<dyn Worker>(Arc::new(Obedient::default()));
    let text = system.try_start().await.unwrap_err().to_string();
    assert_eq!(text, "`Worker` is provided twice: by the module `worker` and by main");
}

#[every_mode]
async fn a_stop_waits_for_what_is_in_flight(mode: Mode) {
    let obedient = Arc::new(Obedient::default());
    let system = System::new(mode).fake::<dyn Worker>(Arc::clone(&obedient) as _).start().await;
    let worker: WorkerClient = system.client();
    let call = tokio::spawn({
        let worker = worker.clone();
        async move { worker.echo_after("in flight".into(), 200).await }
    });
    soon(obedient.work.started.notified()).await;
    system.stop().await;
    assert_eq!(soon(call).await.unwrap().unwrap(), "in flight");
    if mode == Mode::OverAConnection {
        let Err(WorkerError::Call(error)) = worker.echo("late".into()).await else {
            panic!("it was answered after the stop")
        };
        let kinds =
            [CallErrorKind::Unreachable, CallErrorKind::NotRunning, CallErrorKind::Interrupted];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
}
