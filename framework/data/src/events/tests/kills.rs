//! Seeded runs in which the publisher and the listener are killed at named points, alone or together. What was committed
//! has its effect once, and that of one key in order.
//!
//! The tests of whole systems run this file too, on PostgreSQL.

use super::{
    Ask, Db, Delivery, Event, Events, Failure, Feed, FeedError, Feeds, Heard, Listener, Offer, On,
    Progress, PublisherFeed, Settled, async_trait,
};
use serde::{Deserialize, Serialize};
use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Where a process is killed. The first two are the publisher's.
const POINTS: [&str; 8] = [
    "before the commit",
    "after the commit",
    "events are sent",
    "before the transaction of the effect",
    "before the commit of the effect",
    "after the effect",
    "before the acknowledgement",
    "after the acknowledgement",
];
const OF_THE_PUBLISHER: usize = 2;
/// How often processes are killed in a run, and how many events it publishes.
const LIVES: u64 = 6;
const EVENTS: i64 = 120;
const KEYS: i64 = 4;
/// How long a process may take to come to a point. It may also never come there.
const LIFE: Duration = Duration::from_millis(400);
/// How long all events may take to be handled in the end.
const HANDLED: Duration = Duration::from_secs(20);

pub(super) const EFFECTS: &str =
    "CREATE TABLE effects (at BIGINT NOT NULL, item BIGINT NOT NULL, number BIGINT NOT NULL)";

/// The databases of the two sides, and how a process of the publisher is started.
pub(super) struct Sides {
    pub(super) publisher: Db,
    pub(super) listener: Db,
    pub(super) start: Box<dyn Fn() -> Pin<Box<dyn Future<Output = Process>>>>,
}

/// A process of the publisher.
pub(super) struct Process {
    pub(super) events: Events,
    /// How the listener reaches it.
    pub(super) feed: Arc<dyn Feed>,
    /// The process ends when this is dropped.
    pub(super) _running: Box<dyn Any>,
}

impl Sides {
    /// Both sides run in one process.
    pub(super) fn in_one_process(publisher: Db, listener: Db) -> Self {
        let of = publisher.clone();
        let start = move || -> Pin<Box<dyn Future<Output = Process>>> {
            let published = watch::Sender::new(());
            let events = Events::outside(of.pool(), "source").waking(published.clone());
            let feed = Arc::new(PublisherFeed::new(of.clone(), "source", published));
            Box::pin(async { Process { events, feed, _running: Box::new(()) } })
        };
        Self { publisher, listener, start: Box::new(start) }
    }
}

#[derive(Serialize, Deserialize)]
struct Moved {
    item: i64,
    number: i64,
}

impl Event for Moved {
    const MODULE: &'static str = "source";
    const NAME: &'static str = "moved";

    fn key(&self) -> Option<String> {
        Some(self.item.to_string())
    }
}

#[derive(Serialize, Deserialize)]
struct Seen {
    number: i64,
}

impl Event for Seen {
    const MODULE: &'static str = "source";
    const NAME: &'static str = "seen";
}

/// Random numbers of a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// Where the next kill is: at a point, when it was passed so often.
struct Fate {
    aim: Mutex<Option<(usize, u64)>>,
    struck: watch::Sender<Option<usize>>,
}

impl Fate {
    fn aim(&self, point: usize, passes: u64) {
        self.struck.send_replace(None);
        *self.aim.lock().unwrap() = Some((point, passes));
    }

    /// Aims no more. Returns where it has struck.
    fn disarm(&self) -> Option<usize> {
        *self.aim.lock().unwrap() = None;
        *self.struck.borrow()
    }

    /// Goes no further if this is where the process is killed.
    async fn pass(&self, point: usize) {
        if self.strikes(point) {
            pending().await
        }
    }

    fn strikes(&self, point: usize) -> bool {
        let mut aim = self.aim.lock().unwrap();
        match &mut *aim {
            Some((aimed, 0)) if *aimed == point => {
                *aim = None;
                self.struck.send_replace(Some(point));
                true
            }
            Some((aimed, passes)) if *aimed == point => {
                *passes -= 1;
                false
            }
            _ => false,
        }
    }
}

struct Hands {
    db: Db,
    fate: Arc<Fate>,
}

impl Hands {
    async fn handle<E: Event>(
        &self,
        event: &Delivery<E>,
        item: i64,
        number: i64,
    ) -> Result<(), Failure> {
        self.fate.pass(3).await;
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        sqlx::query(
            "INSERT INTO effects (at, item, number) VALUES \
             ((SELECT COUNT(*) FROM effects WHERE item = $1), $1, $2)",
        )
        .bind(item)
        .bind(number)
        .execute(&mut **tx)
        .await?;
        self.fate.pass(4).await;
        tx.commit().await?;
        self.fate.pass(5).await;
        Ok(())
    }
}

#[async_trait]
impl On<Moved> for Hands {
    async fn on(&self, event: Delivery<Moved>) -> Result<(), Failure> {
        self.handle(&event, event.item, event.number).await
    }
}

#[async_trait]
impl On<Seen> for Hands {
    async fn on(&self, event: Delivery<Seen>) -> Result<(), Failure> {
        self.handle(&event, -1, event.number).await
    }
}

struct Fated {
    /// The feed of the publisher's last process.
    feed: Arc<Mutex<Arc<dyn Feed>>>,
    fate: Arc<Fate>,
}

impl Fated {
    fn feed(&self) -> Arc<dyn Feed> {
        Arc::clone(&self.feed.lock().unwrap())
    }
}

impl std::fmt::Debug for Fated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fated")
    }
}

#[async_trait]
impl Feed for Fated {
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError> {
        let taken = self.feed().take(ask).await?;
        if !taken.is_empty() {
            self.fate.pass(2).await;
        }
        Ok(taken)
    }

    async fn settle(&self, listener: String, settled: Vec<Settled>) -> Result<(), FeedError> {
        self.fate.pass(6).await;
        self.feed().settle(listener, settled).await?;
        self.fate.pass(7).await;
        Ok(())
    }

    async fn renew(
        &self,
        listener: String,
        events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedError> {
        self.feed().renew(listener, events, holders).await
    }

    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError> {
        self.feed().progress(listener, names).await
    }

    async fn leave(&self, listener: String) -> Result<(), FeedError> {
        self.feed().leave(listener).await
    }
}

/// Publishes what is left, each event in a transaction of its own. Some are rolled back.
async fn publish(db: Db, events: Events, next: Arc<AtomicI64>, fate: Arc<Fate>) {
    loop {
        let number = next.fetch_add(1, SeqCst);
        if number >= EVENTS {
            return;
        }
        let mut tx = db.write().await.unwrap();
        let item = number % (KEYS + 1);
        if item == KEYS {
            events.publish(&mut tx, &Seen { number }).await.unwrap();
        } else {
            events.publish(&mut tx, &Moved { item, number }).await.unwrap();
        }
        if number % 13 == 7 {
            tx.rollback().await.unwrap();
            continue;
        }
        fate.pass(0).await;
        tx.commit().await.unwrap();
        fate.pass(1).await;
    }
}

fn listen(db: Db, feed: Arc<dyn Feed>, fate: Arc<Fate>) -> JoinHandle<()> {
    let feeds = Arc::new(Feeds::default());
    feeds.add("source", feed);
    let hands = Arc::new(Hands { db: db.clone(), fate });
    let heard = vec![Heard::of::<Moved, _>(&hands), Heard::of::<Seen, _>(&hands)];
    let listener = Listener::new(db, "hands", heard, feeds);
    tokio::spawn(listener.run(pending()))
}

async fn end(task: &mut Option<JoinHandle<()>>, db: &Db) {
    if let Some(task) = task.take() {
        task.abort();
        let _ = task.await;
        // A transaction that was cut is rolled back when its connection is used again.
        db.write().await.unwrap().rollback().await.unwrap();
    }
}

/// What is wrong after a run, and the points at which it has killed.
pub(super) async fn run(sides: &Sides, seed: u64, hit: &mut BTreeSet<&'static str>) -> Vec<String> {
    let mut random = Random(seed);
    let fate = Arc::new(Fate { aim: Mutex::default(), struck: watch::Sender::new(None) });
    let mut process = (sides.start)().await;
    let feed = Arc::new(Mutex::new(Arc::clone(&process.feed)));
    let fated = || -> Arc<dyn Feed> {
        Arc::new(Fated { feed: Arc::clone(&feed), fate: Arc::clone(&fate) })
    };
    let next = Arc::new(AtomicI64::new(0));
    let (mut publishing, mut listening) = (None, None);
    for life in 0..=LIVES {
        let mut struck = fate.struck.subscribe();
        if life < LIVES {
            let point = ((seed + life) % POINTS.len() as u64) as usize;
            let most = if point < OF_THE_PUBLISHER { 8 } else { 3 };
            fate.aim(point, random.below(most));
        }
        publishing.get_or_insert_with(|| {
            let (db, events) = (sides.publisher.clone(), process.events.clone());
            tokio::spawn(publish(db, events, Arc::clone(&next), Arc::clone(&fate)))
        });
        listening.get_or_insert_with(|| listen(sides.listener.clone(), fated(), Arc::clone(&fate)));
        if life == LIVES {
            break;
        }
        let _ = timeout(LIFE, struck.wait_for(Option::is_some)).await;
        // When nothing is left to publish, nothing comes there.
        let Some(point) = fate.disarm() else { continue };
        hit.insert(POINTS[point]);
        let both = random.below(2) == 0;
        if both || point < OF_THE_PUBLISHER {
            end(&mut publishing, &sides.publisher).await;
            drop(process);
            process = (sides.start)().await;
            *feed.lock().unwrap() = Arc::clone(&process.feed);
        }
        if both || point >= OF_THE_PUBLISHER {
            end(&mut listening, &sides.listener).await;
            // What it held, without waiting for its lease.
            let mut tx = sides.publisher.write().await.unwrap();
            let sql = "UPDATE monolift_event_offers SET leased_till_ms = 0";
            sqlx::query(sql).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    if let Some(publishing) = publishing.take() {
        publishing.await.unwrap();
    }
    let left = async || -> i64 {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM monolift_event_offers";
        let mut connection = sides.publisher.connection().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap()
    };
    let handled = timeout(HANDLED, async {
        while left().await > 0 || effects(sides).await.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    let mut wrong = Vec::new();
    if handled.await.is_err() {
        wrong.push(format!("{} events are not handled in {HANDLED:?}", left().await));
    }
    end(&mut listening, &sides.listener).await;
    let (committed, effects) = (committed(sides).await, effects(sides).await);
    for item in -1..KEYS {
        let of = |all: &BTreeMap<i64, Vec<i64>>| all.get(&item).cloned().unwrap_or_default();
        let (mut expected, mut found) = (of(&committed), of(&effects));
        if item == -1 {
            expected.sort_unstable();
            found.sort_unstable();
        }
        if expected != found {
            wrong.push(format!(
                "of {item}: {expected:?} was committed, and the effects are {found:?}"
            ));
        }
    }
    wrong
}

/// The numbers that were published and committed of each item, in order.
async fn committed(sides: &Sides) -> BTreeMap<i64, Vec<i64>> {
    let sql = "SELECT payload FROM monolift_events ORDER BY number, id";
    let mut connection = sides.publisher.connection().await.unwrap();
    let payloads: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
    let mut committed = BTreeMap::<i64, Vec<i64>>::new();
    for payload in payloads {
        let fields: BTreeMap<String, i64> = serde_json::from_str(&payload).unwrap();
        let item = fields.get("item").copied().unwrap_or(-1);
        committed.entry(item).or_default().push(fields["number"]);
    }
    committed
}

/// The numbers that had an effect, of each item, in order.
async fn effects(sides: &Sides) -> BTreeMap<i64, Vec<i64>> {
    let sql = "SELECT item, number FROM effects ORDER BY item, at";
    let mut connection = sides.listener.connection().await.unwrap();
    let rows: Vec<(i64, i64)> = sqlx::query_as(sql).fetch_all(&mut *connection).await.unwrap();
    let mut effects = BTreeMap::<i64, Vec<i64>>::new();
    for (item, number) in rows {
        effects.entry(item).or_default().push(number);
    }
    effects
}

/// How many runs, unless `MONOLIFT_SEEDS` says otherwise.
pub(super) fn seeds() -> u64 {
    std::env::var("MONOLIFT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(8)
}

/// Runs all seeds, and says whether each point was struck.
pub(super) async fn all(mut open: impl AsyncFnMut(u64) -> Sides) {
    let mut hit = BTreeSet::new();
    for seed in 0..seeds() {
        let sides = open(seed).await;
        let wrong = run(&sides, seed, &mut hit).await;
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
    assert_eq!(hit, BTreeSet::from(POINTS));
}
