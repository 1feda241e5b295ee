//! Several replicas of one process: who takes a call, and what becomes of it when one of them goes, fails
//! or has too much to do.

use crate::{
    peers::{client_to, serve_any, unix, us},
    support::{Obedient, Worker, WorkerClient, call_error, soon},
};
use monolift::{CallErrorKind, RetryAdvice};
use monolift_manifest::{Address, Connect};
use monolift_seam::{serve::Limits, serve::Server};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// By then a file that has changed has been looked at.
const LOOKED: Duration = Duration::from_millis(800);

/// One of several workers.
struct One {
    address: Address,
    worker: Arc<Obedient>,
    server: Option<Server>,
}

impl One {
    async fn start(limits: Limits) -> Self {
        let mut one = Self { address: unix(), worker: Arc::default(), server: None };
        one.up(limits).await;
        one
    }

    async fn up(&mut self, limits: Limits) {
        let worker: Arc<dyn Worker> = Arc::<Obedient>::clone(&self.worker);
        self.server = Some(serve_any(&self.address, worker, limits, None).await.0);
    }

    fn echoed(&self) -> usize {
        self.worker.echoed.lock().unwrap().len()
    }

    fn forget(&self) {
        self.worker.echoed.lock().unwrap().clear();
    }
}

async fn workers(count: usize, limits: Limits) -> Vec<One> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(One::start(limits).await);
    }
    all
}

fn client(all: &[One]) -> WorkerClient {
    let addresses = all.iter().map(|one| one.address.clone()).collect();
    client_to(Connect::Addresses(addresses), us(), None)
}

/// So many calls, one behind the other; the result is those that failed.
async fn echo(client: &WorkerClient, calls: usize) -> Vec<String> {
    let mut failed = Vec::new();
    for _ in 0..calls {
        if let Err(error) = client.echo("x".into()).await {
            failed.push(error.to_string());
        }
    }
    failed
}

/// Calls until every replica has taken one.
async fn all_are_called(client: &WorkerClient, all: &[One]) {
    all.iter().for_each(One::forget);
    soon(async {
        while all.iter().any(|one| one.echoed() == 0) {
            assert_eq!(echo(client, 10).await, [""; 0]);
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_takes_its_share_and_one_that_is_killed_takes_nothing_with_it() {
    let mut all = workers(3, Limits::default()).await;
    let client = client(&all);
    all_are_called(&client, &all).await;
    // Calls of idempotent methods that were on their way to it are made again elsewhere.
    for _ in 0..2 {
        drop(all[1].server.take());
        assert_eq!(echo(&client, 200).await, [""; 0]);
        all[1].up(Limits::default()).await;
        all_are_called(&client, &all).await;
    }
}

#[tokio::test]
async fn one_that_leaves_is_left_and_nothing_is_lost() {
    let mut all = workers(2, Limits::default()).await;
    let client = client(&all);
    all_are_called(&client, &all).await;
    // By a method that nobody may call twice.
    let done = Arc::new(AtomicBool::new(false));
    let calling = (0..8).map(|_| {
        let (client, done) = (client.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Relaxed) {
                client.echo_after("x".into(), 5).await.unwrap();
            }
        })
    });
    let calling: Vec<_> = calling.collect();
    for number in [0, 1, 0, 1] {
        let server = all[number].server.take().unwrap();
        soon(server.drain(Instant::now() + Duration::from_secs(5))).await;
        // Nobody need have found it when the next one goes.
        all[number].up(Limits::default()).await;
    }
    done.store(true, Relaxed);
    for caller in calling {
        soon(caller).await.unwrap();
    }
    all_are_called(&client, &all).await;
}

#[tokio::test]
async fn what_one_refuses_another_one_does() {
    let narrow = Limits { running: 1, waiting: 1, ..Limits::default() };
    let all = workers(2, narrow).await;
    let client = client(&all);
    all_are_called(&client, &all).await;
    // Two run, and two wait; by a method that nobody may call twice.
    let holding: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.hold("x".into()).await })
        })
        .collect();
    for one in &all {
        one.worker.work.running(1).await;
    }
    let refused = call_error(soon(client.hold("one more".into())).await);
    assert_eq!((refused.kind(), refused.call()), (CallErrorKind::Overloaded, "worker.hold"));
    assert!(matches!(refused.retry_advice(), Some(RetryAdvice::After(_))), "{refused:?}");
    assert!(refused.message().ends_with("(after 3 attempts)"), "{refused}");
    all.iter().for_each(|one| one.worker.work.release());
    let mut held = 0;
    for call in holding {
        held += usize::from(soon(call).await.unwrap().is_ok());
    }
    // Those that waited for longer than a call may have been refused.
    assert!(held >= 2, "{held}");
}

#[tokio::test]
async fn the_last_one_is_called_whatever_it_does() {
    let all = workers(1, Limits::default()).await;
    let client = client(&all);
    for _ in 0..30 {
        let error = call_error(client.panic("again".into(), false).await);
        assert_eq!(error.kind(), CallErrorKind::Internal, "{error}");
    }
    assert_eq!(echo(&client, 1).await, [""; 0]);
}

#[tokio::test]
async fn addresses_are_taken_from_a_file_as_it_changes() {
    let mut all = workers(2, Limits::default()).await;
    let file = std::env::temp_dir().join(format!("addresses-{}", std::process::id()));
    fs::write(&file, format!("{}\n", all[0].address)).unwrap();
    let client = client_to(Connect::File(file.clone()), us(), None);
    assert_eq!(echo(&client, 10).await, [""; 0]);
    let under_way = client.clone();
    let under_way = tokio::spawn(async move { under_way.hold("x".into()).await });
    all[0].worker.work.running(1).await;

    fs::write(&file, format!("{}\n{}\n", all[0].address, all[1].address)).unwrap();
    all_are_called(&client, &all).await;
    fs::write(&file, format!("{}\n", all[1].address)).unwrap();
    soon(async {
        loop {
            sleep(LOOKED).await;
            all[0].forget();
            assert_eq!(echo(&client, 200).await, [""; 0]);
            if all[0].echoed() == 0 {
                break;
            }
        }
    })
    .await;
    // The call that was on its way there ends there.
    all[0].worker.work.release();
    assert_eq!(soon(under_way).await.unwrap().unwrap(), "x");
    // With nobody in it, the last ones stay.
    fs::write(&file, "# nobody\n").unwrap();
    sleep(LOOKED).await;
    all[1].forget();
    assert_eq!(echo(&client, 10).await, [""; 0]);
    assert_eq!(all[1].echoed(), 10);
    drop(all[1].server.take());
    fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn who_connects_to_a_full_process_hears_why() {
    let mut one = One::start(Limits { connections: 1, ..Limits::default() }).await;
    let first = client_to(one.address.clone().into(), us(), None);
    assert_eq!(echo(&first, 1).await, [""; 0]);
    let second = client_to(one.address.clone().into(), us(), None);
    let error = call_error(soon(second.echo("x".into())).await);
    assert_eq!(error.kind(), CallErrorKind::Unreachable);
    assert!(error.message().contains("it has as many connections as it may have (1)"), "{error}");
    drop(one.server.take());
}
