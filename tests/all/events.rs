//! Events between modules, in each mode, on both databases.

mod connected;
#[path = "../../framework/data/src/events/tests/kills.rs"]
mod kills;
mod races;
mod retention;

use crate::{postgres::Postgres, support::soon};
use monolift::{
    CallError, Db, Delivery, Events, Failure, InterfaceError, On, StartError, async_trait,
    data::{
        DbSettings, Location,
        events::{
            Ask, Event, EventLedger, Feed, FeedError, Feeds, Heard, Listener, Offer, Progress,
            PublisherFeed, Settled, Subscription, history,
        },
    },
    link::{InterfaceEntry, Links},
    module::{Inject, Injector, Module, ModuleFacts},
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum TableError {
    #[error(transparent)]
    Call(CallError),
}

/// One course of a table's dinner.
#[monolift::event(key = table, module = "kitchen")]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Cooked {
    table: i64,
    course: i64,
}

/// Something that concerns no table.
#[monolift::event(module = "kitchen", version = 2, upcast = smelled_before)]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Smelled {
    number: i64,
}

/// In version 1 the number was a text.
fn smelled_before(version: u32, old: &str) -> Result<Smelled, String> {
    #[derive(Deserialize)]
    struct Old {
        number: String,
    }
    assert_eq!(version, 1);
    let old: Old = serde_json::from_str(old).map_err(|error| error.to_string())?;
    let number = old.number.parse().map_err(|_| format!("{} is no number", old.number))?;
    Ok(Smelled { number })
}

/// Where dinners are cooked.
#[monolift::interface(module = "kitchen")]
pub trait Kitchen {
    /// Cooks courses for a table, each in a transaction of its own. A burnt one is rolled back.
    async fn cook(&self, table: i64, courses: Vec<i64>, burnt: bool) -> Result<(), TableError>;

    /// How often the kitchen heard of itself. Modules ask, users do not.
    #[auth(service)]
    async fn heard(&self) -> Result<u32, TableError>;
}

#[monolift::module(name = "kitchen", provides = Kitchen, on = [Cooked])]
pub struct KitchenModule {
    db: Db,
    events: Events,
    heard: monolift::State<AtomicU32>,
}

#[async_trait]
impl Kitchen for KitchenModule {
    async fn cook(&self, table: i64, courses: Vec<i64>, burnt: bool) -> Result<(), TableError> {
        for course in courses {
            let mut tx = self.db.write().await?;
            self.events.publish(&mut tx, &Cooked { table, course }).await?;
            if burnt { tx.rollback().await? } else { tx.commit().await? }
        }
        Ok(())
    }

    async fn heard(&self) -> Result<u32, TableError> {
        Ok(self.heard.load(SeqCst))
    }
}

/// A module can listen to its own events.
#[async_trait]
impl On<Cooked> for KitchenModule {
    async fn on(&self, event: Delivery<Cooked>) -> Result<(), Failure> {
        let Some(tx) = event.begin(&self.db).await? else { return Ok(()) };
        tx.commit().await?;
        self.heard.fetch_add(1, SeqCst);
        Ok(())
    }
}

/// Where dinners are served.
#[monolift::interface(module = "hall")]
pub trait Hall {
    /// The courses that a table got, in order.
    async fn served(&self, table: i64) -> Result<Vec<i64>, TableError>;
}

/// It is made without the macro, which would take what it depends on from this package's Cargo.toml.
struct HallModule {
    db: Db,
    kitchen: KitchenClient,
}

impl Module for HallModule {
    fn facts() -> &'static ModuleFacts {
        static FACTS: ModuleFacts = ModuleFacts {
            name: "hall",
            package: "hall",
            calls: &["kitchen"],
            provides: &[InterfaceEntry::of::<dyn Hall>()],
            needs: &[("db", <Db as Inject>::need), ("kitchen", <KitchenClient as Inject>::need)],
            migrations: &[("0001_served.sql", SERVED)],
            work: &[],
            on: &[("kitchen", "cooked")],
            routes: false,
        };
        &FACTS
    }

    async fn inject(injector: Injector) -> Result<Self, StartError> {
        let (db, kitchen) = (injector.field("db").await?, injector.field("kitchen").await?);
        Ok(Self { db, kitchen })
    }

    fn publish(this: &Arc<Self>, links: &Links) {
        let hall: Arc<dyn Hall> = this.clone();
        links.link::<dyn Hall>().bind(hall);
    }

    fn on(this: &Arc<Self>) -> Vec<Heard> {
        vec![Heard::of::<Cooked, Self>(this)]
    }
}

const SERVED: &str =
    "CREATE TABLE served (at_ms BIGINT NOT NULL, dinner BIGINT NOT NULL, course BIGINT NOT NULL)";

/// The time is that of the order of insertions: one connection writes at a time in these tests, or one key is meant.
async fn serve(tx: &mut sqlx::AnyConnection, table: i64, course: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO served (at_ms, dinner, course) VALUES \
         ((SELECT COUNT(*) FROM served WHERE dinner = $1), $1, $2)",
    )
    .bind(table)
    .bind(course)
    .execute(tx)
    .await
    .map(drop)
}

async fn served(db: &Db, table: i64) -> Vec<i64> {
    let sql = "SELECT course FROM served WHERE dinner = $1 ORDER BY at_ms, course";
    let mut connection = db.connection().await.unwrap();
    let rows: Vec<(i64,)> =
        sqlx::query_as(sql).bind(table).fetch_all(&mut *connection).await.unwrap();
    rows.into_iter().map(|row| row.0).collect()
}

#[async_trait]
impl On<Cooked> for HallModule {
    async fn on(&self, event: Delivery<Cooked>) -> Result<(), Failure> {
        // While no transaction is open.
        self.kitchen.heard().await?;
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        serve(&mut tx, event.table, event.course).await?;
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl Hall for HallModule {
    async fn served(&self, table: i64) -> Result<Vec<i64>, TableError> {
        Ok(served(&self.db, table).await)
    }
}

async fn dinners_are_served(system: System) {
    let system = system.module::<KitchenModule>().module::<HallModule>().start().await;
    let (kitchen, hall): (KitchenClient, HallClient) = (system.client(), system.client());
    let courses: Vec<i64> = (1..=20).collect();
    kitchen.cook(7, vec![99], true).await.unwrap();
    kitchen.cook(7, courses.clone(), false).await.unwrap();
    kitchen.cook(8, courses.clone(), false).await.unwrap();
    soon(async {
        for table in [7, 8] {
            while hall.served(table).await.unwrap().len() < courses.len() {
                sleep(Duration::from_millis(10)).await;
            }
        }
        while kitchen.heard().await.unwrap() < 40 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for table in [7, 8] {
        assert_eq!(hall.served(table).await.unwrap(), courses);
    }
    system.stop().await;
}

#[every_mode]
async fn what_is_published_is_handled_by_other_modules_in_order(mode: Mode) {
    dinners_are_served(System::new(mode)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_on_postgres_too() {
    let postgres = Postgres::start();
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let mut system = System::new(mode);
        for module in ["kitchen", "hall"] {
            let url = postgres.database(&format!("{module}_{mode:?}").to_lowercase());
            system = system.settings(module, [("db", BTreeMap::from([("url", url)]))]);
        }
        dinners_are_served(system).await;
    }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("ml-events-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(folder))
    }

    fn file(&self, module: &str) -> Location {
        Location::File(self.0.join(format!("{module}.db")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A publisher and a listener, each with a database on the same kind of server.
struct Pair {
    kitchen: Db,
    hall: Db,
    events: Events,
    feed: Arc<PublisherFeed<sqlx::Any>>,
    tried: Arc<AtomicU32>,
}

impl Pair {
    async fn open(locations: [Location; 2]) -> Self {
        let mut opened = Vec::new();
        for location in locations {
            let db = Db::open(&location, &DbSettings::default(), &[history()]).await.unwrap();
            opened.push(db);
        }
        let (hall, kitchen) = (opened.pop().unwrap(), opened.pop().unwrap());
        sqlx::query(SERVED).execute(&mut *hall.connection().await.unwrap()).await.unwrap();
        let events = Events::outside(kitchen.pool(), "kitchen");
        let feed = PublisherFeed::new(kitchen.clone(), "kitchen", watch::Sender::new(()));
        Self { kitchen, hall, events, feed: Arc::new(feed), tried: Arc::default() }
    }

    async fn on_both(postgres: &Postgres, name: &str) -> (Folder, [Self; 2]) {
        let folder = Folder::new(name);
        let file = |module| folder.file(module);
        let url = |module| Location::Url(postgres.database(&format!("{name}_{module}")));
        let on_sqlite = Self::open([file("kitchen"), file("hall")]).await;
        let on_postgres = Self::open([url("kitchen"), url("hall")]).await;
        (folder, [on_sqlite, on_postgres])
    }

    async fn cook(&self, table: i64, courses: impl IntoIterator<Item = i64>) {
        for course in courses {
            let mut tx = self.kitchen.write().await.unwrap();
            self.events.publish(&mut tx, &Cooked { table, course }).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    async fn smell(&self, number: i64) {
        let mut tx = self.kitchen.write().await.unwrap();
        self.events.publish(&mut tx, &Smelled { number }).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn take(&self, wait: Duration) -> Vec<Offer> {
        let one =
            |name: &str, version| Subscription { name: name.to_owned(), version, from_first: true };
        let ask = Ask {
            listener: "hall".to_owned(),
            subscriptions: vec![one("cooked", 1), one("smelled", 2)],
            most: 100,
            wait_ms: u64::try_from(wait.as_millis()).unwrap(),
            bytes: u64::MAX,
        };
        self.feed.take(ask).await.unwrap()
    }

    fn listen(&self, feed: Arc<dyn Feed>) -> JoinHandle<()> {
        let feeds = Arc::new(Feeds::default());
        feeds.add("kitchen", feed);
        let waiter = Arc::new(Waiter { db: self.hall.clone(), tried: Arc::clone(&self.tried) });
        let heard = vec![Heard::of::<Cooked, _>(&waiter), Heard::of::<Smelled, _>(&waiter)];
        let listener = Listener::new(self.hall.clone(), "hall", heard, feeds);
        tokio::spawn(listener.run(std::future::pending()))
    }

    async fn until_nothing_waits(&self) {
        let ledger = EventLedger::of(self.kitchen.clone(), "kitchen");
        soon(async {
            loop {
                let is_known = !ledger.lag().await.unwrap().is_empty();
                // A listener is registered for one name after the other.
                let sql = "SELECT id FROM monolift_events WHERE offered < \
                    (SELECT version FROM monolift_event_registry) LIMIT 1";
                let behind = sqlx::query(sql).fetch_optional(self.kitchen.pool()).await.unwrap();
                let mut lag = ledger.lag().await.unwrap().into_iter();
                if is_known && behind.is_none() && lag.all(|one| one.waiting + one.parked == 0) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

struct Waiter {
    db: Db,
    tried: Arc<AtomicU32>,
}

#[async_trait]
impl On<Cooked> for Waiter {
    async fn on(&self, event: Delivery<Cooked>) -> Result<(), Failure> {
        self.tried.fetch_add(1, SeqCst);
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        serve(&mut tx, event.table, event.course).await?;
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl On<Smelled> for Waiter {
    async fn on(&self, event: Delivery<Smelled>) -> Result<(), Failure> {
        self.tried.fetch_add(1, SeqCst);
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        serve(&mut tx, 0, event.number).await?;
        Ok(tx.commit().await?)
    }
}

fn numbers(offers: &[Offer]) -> Vec<&str> {
    offers.iter().map(|offer| offer.payload.as_str()).collect()
}

/// The first transaction is begun first and committed last. SQLite has one writer at a time, so this is PostgreSQL alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_committed_late_is_not_missed() {
    let postgres = Postgres::start();
    let (_folder, [_, pair]) = Pair::on_both(&postgres, "late").await;
    // It publishes before the listener is known, and commits after that.
    let mut late = pair.kitchen.write().await.unwrap();
    pair.events.publish(&mut late, &Smelled { number: 1 }).await.unwrap();
    let mut key = pair.kitchen.write().await.unwrap();
    pair.events.publish(&mut key, &Cooked { table: 1, course: 1 }).await.unwrap();
    pair.smell(2).await;
    assert_eq!(numbers(&pair.take(Duration::ZERO).await), ["{\"number\":2}"]);
    // The next event of the key waits for the commit of this one.
    let next = pair.cook(1, [2]);
    let mut next = std::pin::pin!(next);
    assert!(timeout(Duration::from_millis(200), &mut next).await.is_err());
    pair.smell(3).await;
    assert_eq!(numbers(&pair.take(Duration::ZERO).await), ["{\"number\":3}"]);
    late.commit().await.unwrap();
    assert_eq!(numbers(&pair.take(Duration::from_secs(2)).await), ["{\"number\":1}"]);
    key.commit().await.unwrap();
    next.await;
    let taken = pair.take(Duration::from_secs(2)).await;
    assert_eq!(taken.iter().map(|offer| offer.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(taken.iter().map(|offer| offer.begins).collect::<Vec<_>>(), [true, false]);
}

/// A feed that loses what it is told, or its answer, as a connection does that is cut.
#[derive(Debug)]
struct Lossy(Arc<PublisherFeed<sqlx::Any>>, AtomicU32);

impl Lossy {
    fn loses(&self) -> bool {
        self.1.fetch_add(1, SeqCst).is_multiple_of(3)
    }
}

#[async_trait]
impl Feed for Lossy {
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError> {
        self.0.take(ask).await
    }

    async fn settle(&self, listener: String, settled: Vec<Settled>) -> Result<(), FeedError> {
        if self.loses() {
            return Err(FeedError::new("lost on the way"));
        }
        self.0.settle(listener, settled).await?;
        if self.loses() { Err(FeedError::new("lost on the way back")) } else { Ok(()) }
    }

    async fn renew(
        &self,
        listener: String,
        events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedError> {
        self.0.renew(listener, events, holders).await
    }

    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError> {
        self.0.progress(listener, names).await
    }

    async fn leave(&self, listener: String) -> Result<(), FeedError> {
        self.0.leave(listener).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_killed_have_each_effect_once_and_in_order() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "killed").await;
    for pair in pairs {
        for table in 1..=4 {
            pair.cook(table, 1..=25).await;
        }
        for number in 1..=50 {
            pair.smell(number).await;
        }
        for kill in 1..=10 {
            let replicas: Vec<_> = (0..2)
                .map(|_| Lossy(Arc::clone(&pair.feed), AtomicU32::new(kill)))
                .map(|feed| pair.listen(Arc::new(feed)))
                .collect();
            let until = pair.tried.load(SeqCst) + 12;
            let _ = timeout(Duration::from_millis(400), async {
                while pair.tried.load(SeqCst) < until {
                    sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
            for replica in replicas {
                replica.abort();
                let _ = replica.await;
            }
            // What they held, without waiting for the lease.
            let mut tx = pair.kitchen.write().await.unwrap();
            let sql = "UPDATE monolift_event_offers SET leased_till_ms = 0";
            sqlx::query(sql).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
        let feed: Arc<dyn Feed> = Arc::<PublisherFeed<_>>::clone(&pair.feed);
        let replicas = [pair.listen(Arc::clone(&feed)), pair.listen(feed)];
        pair.until_nothing_waits().await;
        replicas.iter().for_each(JoinHandle::abort);
        for table in 1..=4 {
            assert_eq!(served(&pair.hall, table).await, (1..=25).collect::<Vec<i64>>());
        }
        let mut smelled = served(&pair.hall, 0).await;
        smelled.sort_unstable();
        assert_eq!(smelled, (1..=50).collect::<Vec<i64>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_an_earlier_version_is_made_one_of_today() {
    let folder = Folder::new("earlier");
    let pair = Pair::open([folder.file("kitchen"), folder.file("hall")]).await;
    pair.smell(1).await;
    let mut tx = pair.kitchen.write().await.unwrap();
    let sql = "UPDATE monolift_events SET version = 1, payload = '{\"number\":\"41\"}'";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let listening = pair.listen(Arc::<PublisherFeed<_>>::clone(&pair.feed));
    pair.until_nothing_waits().await;
    assert_eq!(served(&pair.hall, 0).await, [41]);
    listening.abort();
}

/// Ignores that a statement has failed, so often for one event, and commits. PostgreSQL then commits nothing.
struct Careless {
    db: Db,
    event: i64,
    left: AtomicU32,
    attempts: std::sync::Mutex<BTreeMap<i64, u32>>,
}

#[async_trait]
impl On<Smelled> for Careless {
    async fn on(&self, event: Delivery<Smelled>) -> Result<(), Failure> {
        self.attempts.lock().unwrap().insert(event.number, event.attempt());
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        serve(&mut tx, 0, event.number).await?;
        let is_left = |left: u32| left.checked_sub(1);
        if event.number == self.event && self.left.try_update(SeqCst, SeqCst, is_left).is_ok() {
            let failed = sqlx::query("SELECT 1 FROM nowhere").execute(&mut **tx).await;
            assert!(failed.is_err());
        }
        Ok(tx.commit().await?)
    }
}

/// The failures are those of an undivided batch, of a divided one, and of two transactions of the event's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_statement_that_a_handler_ignores_loses_nothing() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "careless").await;
    for pair in pairs {
        for number in 1..=20 {
            pair.smell(number).await;
        }
        let (event, left, attempts) = (5, AtomicU32::new(4), std::sync::Mutex::default());
        let careless = Careless { db: pair.hall.clone(), event, left, attempts };
        let careless = Arc::new(careless);
        let feeds = Arc::new(Feeds::default());
        feeds.add("kitchen", Arc::<PublisherFeed<_>>::clone(&pair.feed));
        let heard = vec![Heard::of::<Smelled, _>(&careless)];
        let listener = Listener::new(pair.hall.clone(), "hall", heard, feeds);
        let listening = tokio::spawn(listener.run(std::future::pending()));
        pair.until_nothing_waits().await;
        let mut all = served(&pair.hall, 0).await;
        all.sort_unstable();
        assert_eq!(all, (1..=20).collect::<Vec<_>>());
        let attempts = careless.attempts.lock().unwrap();
        assert!(attempts.iter().all(|(number, attempt)| *number == event || *attempt == 1));
        listening.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_another_module_is_refused() {
    let folder = Folder::new("another");
    let pair = Pair::open([folder.file("kitchen"), folder.file("hall")]).await;
    let hall = Events::outside(pair.hall.pool(), "hall");
    let mut tx = pair.hall.write().await.unwrap();
    let refused = hall.publish(&mut tx, &Smelled { number: 1 }).await.unwrap_err().to_string();
    assert!(refused.contains("the module `hall` publishes `smelled`"), "{refused}");
    assert!(refused.contains("belongs to the module `kitchen`"), "{refused}");
}

/// The databases of the two sides of a run.
async fn sides(at: impl Fn(&str) -> Location) -> (Db, Db) {
    let open = async |side: &str| -> Db {
        Db::open(&at(side), &DbSettings::default(), &[history()]).await.unwrap()
    };
    let (publisher, listener) = (open("source").await, open("hands").await);
    sqlx::query(kills::EFFECTS).execute(&mut *listener.connection().await.unwrap()).await.unwrap();
    (publisher, listener)
}

fn on_postgres(postgres: &Postgres, seed: u64) -> impl Fn(&str) -> Location {
    move |side| Location::Url(postgres.database(&format!("{side}_{seed}")))
}

/// The publisher runs in a process of its own, and where `moves` each second time in that of its listener.
fn over_a_connection((publisher, listener): (Db, Db), moves: bool) -> kills::Sides {
    let (of, starts) = (publisher.clone(), AtomicU32::new(0));
    let sides = kills::Sides::in_one_process(publisher, listener);
    let together = sides.start;
    let start = Box::new(move || -> Pin<Box<dyn Future<Output = _>>> {
        match starts.fetch_add(1, SeqCst) % 2 {
            1 if moves => together(),
            _ => Box::pin(connected::process(of.clone())),
        }
    });
    kills::Sides { start, ..sides }
}

/// On SQLite the same is tested beside the code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_every_point_lose_and_double_nothing_on_postgres() {
    let postgres = Postgres::start();
    kills::all(async |seed| {
        let (publisher, listener) = sides(on_postgres(&postgres, seed)).await;
        kills::Sides::in_one_process(publisher, listener)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_over_a_connection_lose_and_double_nothing() {
    let folder = Folder::new("connected");
    kills::all(async |seed| {
        over_a_connection(sides(|side| folder.file(&format!("{side}-{seed}"))).await, false)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_moves_between_processes_loses_and_doubles_nothing() {
    let folder = Folder::new("moving");
    kills::all(async |seed| {
        over_a_connection(sides(|side| folder.file(&format!("{side}-{seed}"))).await, true)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_over_a_connection_lose_and_double_nothing_on_postgres() {
    let postgres = Postgres::start();
    kills::all(async |seed| over_a_connection(sides(on_postgres(&postgres, seed)).await, false))
        .await;
}
