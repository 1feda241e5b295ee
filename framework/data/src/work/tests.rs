//! On SQLite, in a folder that goes with the test; on Postgres the same code runs in the
//! whole-system tests.

mod tables;

use super::{
    Ledger, Perform, Piece, Recurring, Retry, UnlistedWork, Work, WorkKind, Worker, history,
};
use crate::{
    Db, DbSettings, Location,
    call::{
        CallSettings, Context, Trace,
        record::{Ended, Entry, Part, Recorder},
    },
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn database(name: &str) -> (Folder, Db) {
    let folder = std::env::temp_dir().join(format!("ml-work-{}-{name}", std::process::id()));
    let location = Location::File(folder.join("shop.db"));
    let db = Db::open(&location, &DbSettings::default(), &[history()]).await.unwrap();
    (Folder(folder), db)
}

#[derive(Serialize, Deserialize)]
struct Add(u32);

const QUICK: Retry =
    Retry { first: Duration::from_millis(20), most: Duration::from_millis(40), attempts: 3 };

impl Piece for Add {
    const NAME: &'static str = "add";
    const RETRY: Retry = QUICK;
}

#[derive(Serialize, Deserialize)]
struct Tick;

impl Piece for Tick {
    const NAME: &'static str = "tick";

    fn recurring() -> Option<Recurring<Self>> {
        Some(Recurring { schedule: "@every 200ms", piece: Self })
    }
}

/// Adds what it is told, after failing as often as it is told.
#[derive(Default)]
struct Counter {
    sum: AtomicU32,
    tried: AtomicU32,
    failures: u32,
    takes: Duration,
    ticks: AtomicU32,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
}

#[async_trait]
impl Perform<Add> for Counter {
    async fn perform(&self, Add(number): Add) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.tried.fetch_add(1, Ordering::SeqCst) < self.failures {
            assert!(number != 13, "unlucky");
            return Err("not yet".into());
        }
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        sleep(self.takes).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.sum.fetch_add(number, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Perform<Tick> for Counter {
    async fn perform(&self, _: Tick) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.ticks.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

fn start(work: &Work, kinds: Vec<WorkKind>) -> Running {
    start_with(work, kinds, Arc::default())
}

fn start_with(work: &Work, kinds: Vec<WorkKind>, calls: Arc<CallSettings>) -> Running {
    let worker = Worker::new(work.clone(), kinds).unwrap().with(calls);
    let stop = watch::Sender::new(false);
    let mut stopping = stop.subscribe();
    let stopping = async move { drop(stopping.wait_for(|stop| *stop).await) };
    Running { stop, task: tokio::spawn(worker.run(stopping)) }
}

fn adds(counter: &Arc<Counter>) -> Vec<WorkKind> {
    vec![WorkKind::of::<Add, _>(counter)]
}

async fn enqueue(work: &Work, db: &Db, number: u32) {
    let mut tx = db.write().await.unwrap();
    work.enqueue(&mut tx, &Add(number)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if done().await {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within ten seconds");
}

async fn left(ledger: &Ledger) -> (i64, i64) {
    let standing = ledger.standing().await.unwrap();
    standing
        .iter()
        .fold((0, 0), |(left, parked), one| (left + one.waiting + one.at_work, parked + one.parked))
}

#[tokio::test]
async fn what_is_committed_is_done_and_what_is_not_is_not() {
    let (_folder, db) = database("committed").await;
    let work = Work::new(db.clone(), "shop", &["add"]);
    let ledger = Ledger::of(db.clone(), "shop");
    let counter = Arc::new(Counter::default());
    let running = start(&work, adds(&counter));
    let mut tx = db.write().await.unwrap();
    work.enqueue(&mut tx, &Add(100)).await.unwrap();
    tx.rollback().await.unwrap();
    for number in 1..=20 {
        enqueue(&work, &db, number).await;
    }
    until(async || left(&ledger).await == (0, 0)).await;
    assert_eq!(counter.sum.load(Ordering::SeqCst), 210);
    running.stop().await;
}

#[tokio::test]
async fn what_fails_is_tried_again_then_parked_and_can_be_run_again() {
    let (_folder, db) = database("parked").await;
    let work = Work::new(db.clone(), "shop", &["add"]);
    let ledger = Ledger::of(db.clone(), "shop");
    let counter = Arc::new(Counter { failures: 3, ..Counter::default() });
    let running = start(&work, adds(&counter));
    enqueue(&work, &db, 7).await;
    until(async || left(&ledger).await == (0, 1)).await;
    let parked = ledger.parked(10).await.unwrap();
    assert_eq!((parked[0].attempts, &*parked[0].error, &*parked[0].payload), (3, "not yet", "7"));
    assert_eq!(counter.tried.load(Ordering::SeqCst), 3);
    assert_eq!(ledger.run_again(Some("nothing")).await.unwrap(), 0);
    assert_eq!(ledger.run_again(Some(&parked[0].id)).await.unwrap(), 1);
    until(async || left(&ledger).await == (0, 0)).await;
    assert_eq!(counter.sum.load(Ordering::SeqCst), 7);
    running.stop().await;
}

#[tokio::test]
async fn a_panic_and_what_cannot_be_read_are_failures() {
    let (_folder, db) = database("panic").await;
    let work = Work::new(db.clone(), "shop", &["add"]);
    let ledger = Ledger::of(db.clone(), "shop");
    enqueue(&work, &db, 13).await;
    enqueue(&work, &db, 14).await;
    let mut tx = db.write().await.unwrap();
    sqlx::query("UPDATE monolift_work SET payload = '\"x\"' WHERE payload = '14'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let counter = Arc::new(Counter { failures: 9, ..Counter::default() });
    let running = start(&work, adds(&counter));
    until(async || left(&ledger).await == (0, 2)).await;
    let parked = ledger.parked(10).await.unwrap();
    let mut errors: Vec<&str> = parked.iter().map(|piece| piece.error.as_str()).collect();
    errors.sort_unstable();
    assert_eq!(errors[1], "it panicked: unlucky");
    assert!(errors[0].starts_with("it cannot be read: "), "{errors:?}");
    assert!(ledger.give_up(&parked[0].id).await.unwrap());
    assert_eq!(left(&ledger).await, (0, 1));
    running.stop().await;
}

#[tokio::test]
async fn a_key_is_there_once_and_can_be_cancelled() {
    let (_folder, db) = database("key").await;
    let work = Work::new(db.clone(), "shop", &["add"]);
    let hour = Duration::from_secs(3600);
    let mut tx = db.write().await.unwrap();
    assert!(work.enqueue_keyed(&mut tx, "a", hour, &Add(1)).await.unwrap());
    assert!(!work.enqueue_keyed(&mut tx, "a", hour, &Add(2)).await.unwrap());
    assert!(work.enqueue_keyed(&mut tx, "b", hour, &Add(3)).await.unwrap());
    assert!(work.cancel::<Add>(&mut tx, "a").await.unwrap());
    assert!(!work.cancel::<Add>(&mut tx, "a").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(left(&Ledger::of(db.clone(), "shop")).await, (1, 0));
    // Work of a kind that the module does not list would never be done.
    let mut tx = db.write().await.unwrap();
    let error = work.enqueue(&mut tx, &Tick).await.unwrap_err();
    let sqlx::Error::Configuration(source) = &error else { panic!("{error:?}") };
    let unlisted = UnlistedWork { module: "shop".into(), name: "tick" };
    assert_eq!(source.downcast_ref::<UnlistedWork>(), Some(&unlisted));
    let error = error.to_string();
    assert!(error.contains("`tick`") && error.contains("work = ["), "{error}");
}

/// Three workers, as of three processes; and one of them goes as a crash would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_piece_is_done_by_one_worker_at_a_time() {
    let (_folder, db) = database("workers").await;
    let counters: Vec<_> = (0..3)
        .map(|_| Arc::new(Counter { takes: Duration::from_millis(5), ..Counter::default() }))
        .collect();
    let queues: Vec<_> = counters.iter().map(|_| Work::new(db.clone(), "shop", &["add"])).collect();
    let mut running: Vec<_> =
        counters.iter().zip(&queues).map(|(counter, work)| start(work, adds(counter))).collect();
    for _ in 0..100 {
        enqueue(&queues[0], &db, 1).await;
    }
    let ledger = Ledger::of(db.clone(), "shop");
    until(async || left(&ledger).await == (0, 0)).await;
    let sum: u32 = counters.iter().map(|counter| counter.sum.load(Ordering::SeqCst)).sum();
    assert_eq!(sum, 100);
    running.remove(0).task.abort();
    enqueue(&queues[1], &db, 1).await;
    until(async || left(&ledger).await == (0, 0)).await;
    for running in running {
        running.stop().await;
    }
}

/// A lease runs out while its process does not answer; another worker does the piece.
#[tokio::test]
async fn a_piece_of_a_worker_that_died_is_taken_after_its_lease() {
    let (_folder, db) = database("died").await;
    let dead = Work::new(db.clone(), "shop", &["add"]);
    let stuck = Arc::new(Counter { takes: Duration::from_secs(3600), ..Counter::default() });
    let dying = start(&dead, adds(&stuck));
    enqueue(&dead, &db, 5).await;
    until(async || stuck.at_once.load(Ordering::SeqCst) == 1).await;
    dying.task.abort();
    let _ = dying.task.await;
    // Rather than wait for it.
    let mut tx = db.write().await.unwrap();
    let leased: i64 = sqlx::query_scalar("SELECT leased_till_ms FROM monolift_work")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert!(leased > 0);
    sqlx::query("UPDATE monolift_work SET leased_till_ms = 1").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let counter = Arc::new(Counter::default());
    let running = start(&Work::new(db.clone(), "shop", &["add"]), adds(&counter));
    until(async || counter.sum.load(Ordering::SeqCst) == 5).await;
    running.stop().await;
}

/// What is still being done when the process stops is given back at once, and not counted.
#[tokio::test]
async fn what_is_being_done_at_a_stop_is_given_back() {
    let (_folder, db) = database("stop").await;
    let work = Work::new(db.clone(), "shop", &["add"]);
    let slow = Arc::new(Counter { takes: Duration::from_secs(3600), ..Counter::default() });
    let running = start(&work, adds(&slow));
    enqueue(&work, &db, 5).await;
    until(async || slow.at_once.load(Ordering::SeqCst) == 1).await;
    running.stop().await;
    let (attempts, leased): (i64, i64) =
        sqlx::query_as("SELECT attempts, leased_till_ms FROM monolift_work")
            .fetch_one(db.pool())
            .await
            .unwrap();
    assert_eq!((attempts, leased), (0, 0));
}

#[tokio::test]
async fn what_recurs_recurs_once_for_all_workers() {
    let (_folder, db) = database("recurs").await;
    let counter = Arc::new(Counter::default());
    let kinds = || vec![WorkKind::of::<Tick, _>(&counter)];
    let queue = || Work::new(db.clone(), "shop", &["tick"]);
    let begun = std::time::Instant::now();
    let (one, two) = (start(&queue(), kinds()), start(&queue(), kinds()));
    sleep(Duration::from_secs(1)).await;
    until(async || counter.ticks.load(Ordering::SeqCst) >= 2).await;
    one.stop().await;
    two.stop().await;
    let ticks = counter.ticks.load(Ordering::SeqCst);
    let most = begun.elapsed().as_millis() / 200 + 1;
    assert!(ticks as u128 <= most, "{ticks} ticks, {most} at most");
    assert_eq!(left(&Ledger::of(db.clone(), "shop")).await, (1, 0));
}

#[test]
fn pauses_double_up_to_the_most() {
    let pause =
        |attempt: u32, part| Retry::DEFAULT.backoff().pause_at(attempt - 1, part).as_millis();
    assert_eq!([pause(1, 0.5), pause(2, 0.5), pause(5, 0.5)], [1000, 2000, 16_000]);
    assert_eq!([pause(6, 0.5), pause(100, 0.5)], [30_000, 30_000]);
    assert_eq!([pause(1, 0.0), pause(1, 1.0)], [800, 1200]);
}

#[test]
fn a_pause_without_a_bound_is_a_long_one() {
    let retry = Retry { first: Duration::MAX, most: Duration::MAX, attempts: 3 };
    assert!(retry.backoff().pause_at(1, 1.0) > Duration::from_secs(365 * 24 * 60 * 60));
}

/// Remembers what was recorded.
#[derive(Debug, Default)]
struct Remembers(Mutex<Vec<Part>>);

impl Recorder for Remembers {
    fn records(&self, _: &Entry) -> bool {
        true
    }

    fn ended(&self, part: Part) {
        self.0.lock().unwrap().push(part);
    }
}

#[tokio::test]
async fn each_run_is_an_entry_in_the_trace_that_enqueued_it() {
    let (_folder, db) = database("traced").await;
    let counter = Arc::new(Counter { failures: 1, ..Counter::default() });
    let work = Work::new(db.clone(), "shop", &["add"]);
    let recorder = Arc::new(Remembers::default());
    let recorded = Arc::clone(&recorder) as Arc<dyn Recorder>;
    let calls = CallSettings { recorder: Some(recorded), ..CallSettings::default() };
    let running = start_with(&work, adds(&counter), Arc::new(calls));
    let trace = Trace { sampled: true, ..Trace::start() };
    let context = Context::edge(&CallSettings::default()).with_trace(trace);
    context.scope(enqueue(&work, &db, 2)).await;
    while counter.sum.load(Ordering::SeqCst) < 2 || recorder.0.lock().unwrap().len() < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    running.stop().await;
    let runs = recorder.0.lock().unwrap();
    let told = runs.iter().map(|run| (run.trace_id, run.parent, run.sampled, run.entry.clone()));
    let entry = Entry::Work { module: "shop".to_owned(), kind: "add".to_owned() };
    let expected = (trace.trace_id, trace.span_id, true, entry);
    assert_eq!(told.collect::<Vec<_>>(), [expected.clone(), expected]);
    let ends: Vec<Ended> = runs.iter().map(|run| run.ended).collect();
    assert_eq!(ends, [Ended::Failed, Ended::Done]);
    assert_ne!(runs[0].root, runs[1].root);
}
