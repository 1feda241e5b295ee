//! On SQLite, in a folder that goes with the test. On PostgreSQL the same is tested with whole systems.

mod batches;
mod builds;
mod kills;
mod subject;

use super::{
    Ask, Delivery, Ending, Event, EventLedger, Events, Failure, Feed, FeedError, Feeds, Heard,
    Listener, Offer, On, Parked, Progress, PublisherFeed, Settled, Start, Subscription, history,
};
use crate::{
    Db, DbSettings, Location,
    call::plant,
    work::{self, Retry},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The databases of a publisher and of a listener.
struct Shop {
    orders: Db,
    mails: Db,
    events: Events,
    feed: Arc<PublisherFeed<sqlx::Any>>,
    _folder: Folder,
}

async fn shop(name: &str) -> Shop {
    let folder = std::env::temp_dir().join(format!("ml-events-{}-{name}", std::process::id()));
    let open = async |file: &str| {
        let location = Location::File(folder.join(file));
        Db::open(&location, &DbSettings::default(), &[history(), work::history()]).await.unwrap()
    };
    let (orders, mails) = (open("orders.db").await, open("mails.db").await);
    let table = "CREATE TABLE mails (id BIGINT, number BIGINT, text TEXT)";
    sqlx::query(table).execute(mails.pool()).await.unwrap();
    let published = watch::Sender::new(());
    let events = Events::new(orders.backend(), "orders", published.clone());
    let feed = Arc::new(PublisherFeed::new(orders.clone(), "orders", published));
    Shop { orders, mails, events, feed, _folder: Folder(folder) }
}

/// One step of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stepped {
    order: i64,
    step: i64,
}

impl Event for Stepped {
    const MODULE: &'static str = "orders";
    const NAME: &'static str = "stepped";

    fn key(&self) -> Option<String> {
        Some(self.order.to_string())
    }
}

/// Something without an order.
#[derive(Serialize, Deserialize)]
struct Noted {
    number: i64,
}

impl Event for Noted {
    const MODULE: &'static str = "orders";
    const NAME: &'static str = "noted";
}

const QUICK: Retry =
    Retry { first: Duration::from_millis(10), most: Duration::from_millis(20), attempts: 3 };

/// Writes a mail for each event.
struct Mails {
    db: Db,
    /// Attempts that fail, by step.
    fails: Mutex<BTreeMap<i64, u32>>,
    tried: AtomicU32,
}

impl Mails {
    fn of(db: &Db) -> Arc<Self> {
        Arc::new(Self { db: db.clone(), fails: Mutex::default(), tried: AtomicU32::new(0) })
    }

    fn failing(db: &Db, step: i64, times: u32) -> Arc<Self> {
        let mails = Self::of(db);
        mails.fails.lock().unwrap().insert(step, times);
        mails
    }

    async fn write(&self, id: i64, number: i64, tx: &mut sqlx::AnyConnection) {
        sqlx::query("INSERT INTO mails (id, number, text) VALUES ($1, $2, '')")
            .bind(id)
            .bind(number)
            .execute(tx)
            .await
            .unwrap();
    }
}

#[async_trait]
impl On<Stepped> for Mails {
    const RETRY: Retry = QUICK;

    async fn on(&self, event: Delivery<Stepped>) -> Result<(), Failure> {
        self.tried.fetch_add(1, SeqCst);
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        self.write(event.order, event.step, &mut tx).await;
        if let Some(left) = self.fails.lock().unwrap().get_mut(&event.step)
            && *left > 0
        {
            *left -= 1;
            return Err("no paper".into());
        }
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl On<Noted> for Mails {
    async fn on(&self, event: Delivery<Noted>) -> Result<(), Failure> {
        self.tried.fetch_add(1, SeqCst);
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        self.write(0, event.number, &mut tx).await;
        Ok(tx.commit().await?)
    }
}

/// The same, which does not wait for a parked event, and begins with what is published from now on.
struct Eager(Arc<Mails>);

#[async_trait]
impl On<Stepped> for Eager {
    const START: Start = Start::Now;
    const RETRY: Retry = QUICK;
    const PARKED: Parked = Parked::KeyPasses;

    async fn on(&self, event: Delivery<Stepped>) -> Result<(), Failure> {
        self.0.on(event).await
    }
}

impl Shop {
    async fn publish(&self, order: i64, steps: impl IntoIterator<Item = i64>) {
        for step in steps {
            let mut tx = self.orders.write().await.unwrap();
            self.events.publish(&mut tx, &Stepped { order, step }).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    fn listen(&self, heard: Vec<Heard>) -> Running {
        self.listen_through(Arc::<PublisherFeed<_>>::clone(&self.feed), heard)
    }

    fn listen_through(&self, feed: Arc<dyn Feed>, heard: Vec<Heard>) -> Running {
        let feeds = Arc::new(Feeds::default());
        feeds.add("orders", feed);
        let listener = Listener::new(self.mails.clone(), "mails", heard, feeds);
        let stop = watch::Sender::new(false);
        let mut stopping = stop.subscribe();
        let stopping = async move { drop(stopping.wait_for(|stop| *stop).await) };
        Running { stop, task: tokio::spawn(listener.run(stopping)) }
    }

    /// The mails of an order, in the order in which they were written.
    async fn mails(&self, order: i64) -> Vec<i64> {
        let sql = "SELECT number FROM mails WHERE id = $1 ORDER BY rowid";
        let rows: Vec<(i64,)> =
            sqlx::query_as(sql).bind(order).fetch_all(self.mails.pool()).await.unwrap();
        rows.into_iter().map(|row| row.0).collect()
    }

    async fn until_mails(&self, order: i64, expected: impl IntoIterator<Item = i64>) {
        let expected: Vec<i64> = expected.into_iter().collect();
        until(async || self.mails(order).await.len() >= expected.len()).await;
        assert_eq!(self.mails(order).await, expected);
    }

    fn ledger(&self) -> EventLedger {
        EventLedger::of(self.orders.clone(), "orders")
    }

    /// Events that wait for the listener, and that are parked for it.
    async fn lag(&self) -> (i64, i64) {
        let lag = self.ledger().lag().await.unwrap();
        lag.iter()
            .fold((0, 0), |(waiting, parked), one| (waiting + one.waiting, parked + one.parked))
    }

    async fn until_lag(&self, expected: (i64, i64)) {
        until(async || self.lag().await == expected).await;
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

    /// As a process that is killed.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if done().await {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within twenty seconds");
}

fn stepped(mails: &Arc<Mails>) -> Vec<Heard> {
    vec![Heard::of::<Stepped, _>(mails)]
}

#[tokio::test]
async fn what_is_committed_is_handled_once_and_in_order_and_what_is_not_is_not() {
    let shop = shop("committed").await;
    let running = shop.listen(stepped(&Mails::of(&shop.mails)));
    let mut tx = shop.orders.write().await.unwrap();
    shop.events.publish(&mut tx, &Stepped { order: 1, step: 99 }).await.unwrap();
    tx.rollback().await.unwrap();
    for step in 1..=20 {
        shop.publish(1, [step]).await;
        shop.publish(2, [step]).await;
    }
    shop.until_mails(1, 1..=20).await;
    shop.until_mails(2, 1..=20).await;
    shop.until_lag((0, 0)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_new_listener_begins_with_the_first_event_that_is_kept_or_now() {
    let shop = shop("new").await;
    shop.publish(1, 1..=300).await;
    let first = shop.listen(stepped(&Mails::of(&shop.mails)));
    shop.until_mails(1, 1..=300).await;
    first.stop().await;
    // Another listener module has the same database here. It keeps apart what it has handled.
    let feeds = Arc::new(Feeds::default());
    feeds.add("orders", Arc::<PublisherFeed<_>>::clone(&shop.feed));
    let eager = Arc::new(Eager(Mails::of(&shop.mails)));
    let heard = vec![Heard::of::<Stepped, _>(&eager)];
    let listener = Listener::new(shop.mails.clone(), "eager", heard, feeds);
    let eager_runs = tokio::spawn(listener.run(std::future::pending()));
    until(async || shop.ledger().lag().await.unwrap().len() == 2).await;
    shop.publish(1, 301..=303).await;
    shop.until_mails(1, (1..=300).chain(301..=303)).await;
    eager_runs.abort();
}

#[tokio::test]
async fn what_is_no_longer_kept_is_not_missed() {
    let shop = shop("pruned").await;
    let running = shop.listen(stepped(&Mails::of(&shop.mails)));
    shop.publish(1, 1..=3).await;
    shop.until_mails(1, 1..=3).await;
    shop.until_lag((0, 0)).await;
    running.stop().await;
    shop.publish(1, 4..=5).await;
    assert_eq!(shop.ledger().prune(None).await.unwrap(), 0);
    let mut tx = shop.orders.write().await.unwrap();
    let sql = "UPDATE monolift_events SET keep_until_ms = 0";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    // What the listener has not handled is kept.
    assert_eq!(shop.ledger().prune(None).await.unwrap(), 3);
    assert_eq!(shop.ledger().prune(None).await.unwrap(), 0);
    shop.ledger().remove_listener("mails", None).await.unwrap();
    sqlx::query("DELETE FROM monolift_inbox_keys").execute(shop.mails.pool()).await.unwrap();
    // The feed of another process, which does not know the listener.
    let feed = PublisherFeed::new(shop.orders.clone(), "orders", watch::Sender::new(()));
    let again = shop.listen_through(Arc::new(feed), stepped(&Mails::of(&shop.mails)));
    shop.until_mails(1, 1..=5).await;
    shop.publish(1, [6]).await;
    shop.until_mails(1, 1..=6).await;
    again.stop().await;
}

/// Hears nothing of how it went.
#[derive(Debug)]
struct Deaf(Arc<PublisherFeed<sqlx::Any>>);

#[async_trait]
impl Feed for Deaf {
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError> {
        self.0.take(ask).await
    }

    async fn settle(&self, _: String, _: Vec<Settled>) -> Result<(), FeedError> {
        Err(FeedError::new("it is deaf"))
    }

    async fn renew(&self, _: String, _: Vec<String>, _: Vec<String>) -> Result<(), FeedError> {
        Ok(())
    }

    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError> {
        self.0.progress(listener, names).await
    }

    async fn leave(&self, listener: String) -> Result<(), FeedError> {
        self.0.leave(listener).await
    }
}

/// The publisher cannot be told for longer than notes are kept.
#[tokio::test]
async fn a_note_is_kept_while_its_event_can_be_offered_again() {
    let shop = shop("notes").await;
    let mails = Mails::of(&shop.mails);
    let heard = || vec![Heard::of::<Noted, _>(&mails)];
    let deaf = shop.listen_through(Arc::new(Deaf(Arc::clone(&shop.feed))), heard());
    for number in 1..=3 {
        let mut tx = shop.orders.write().await.unwrap();
        shop.events.publish(&mut tx, &Noted { number }).await.unwrap();
        tx.commit().await.unwrap();
    }
    until(async || shop.mails(0).await.len() == 3).await;
    deaf.task.abort();
    let feeds = Arc::new(Feeds::default());
    feeds.add("orders", Arc::<PublisherFeed<_>>::clone(&shop.feed));
    let tidy = Listener::new(shop.mails.clone(), "mails", heard(), feeds);
    let notes = async || -> i64 {
        let sql = "SELECT COUNT(*) FROM monolift_inbox";
        sqlx::query_scalar(sql).fetch_one(shop.mails.pool()).await.unwrap()
    };
    sleep(Duration::from_millis(5)).await;
    tidy.forget_notes(Duration::ZERO).await.unwrap();
    assert_eq!(notes().await, 3);
    let running = shop.listen(heard());
    shop.until_lag((0, 0)).await;
    assert_eq!(shop.mails(0).await.len(), 3);
    sleep(Duration::from_millis(5)).await;
    tidy.forget_notes(Duration::ZERO).await.unwrap();
    assert_eq!(notes().await, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_key_waits_for_a_parked_event_until_it_is_discarded_or_handled() {
    let shop = shop("parked").await;
    let mails = Mails::failing(&shop.mails, 2, 3);
    let running = shop.listen(stepped(&mails));
    shop.publish(1, 1..=4).await;
    shop.publish(2, [1]).await;
    shop.until_lag((2, 1)).await;
    assert_eq!((shop.mails(1).await, shop.mails(2).await), (vec![1], vec![1]));
    let parked = shop.ledger().parked(10).await.unwrap();
    assert_eq!((&*parked[0].listener, &*parked[0].error), ("mails", "no paper"));
    assert_eq!((parked[0].attempts, &*parked[0].payload), (3, "{\"order\":1,\"step\":2}"));
    assert_eq!(shop.ledger().retry("mails", None).await.unwrap(), 1);
    shop.until_mails(1, 1..=4).await;

    mails.fails.lock().unwrap().insert(6, 3);
    shop.publish(1, 5..=7).await;
    shop.until_lag((1, 1)).await;
    let parked = shop.ledger().parked(10).await.unwrap();
    assert!(shop.ledger().discard("mails", &parked[0].event).await.unwrap());
    shop.until_mails(1, [1, 2, 3, 4, 5, 7]).await;
    shop.until_lag((0, 0)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_key_passes_a_parked_event_where_its_listener_says_so() {
    let shop = shop("passes").await;
    let mails = Mails::failing(&shop.mails, 2, 3);
    let eager = Arc::new(Eager(mails));
    let running = shop.listen(vec![Heard::of::<Stepped, _>(&eager)]);
    until(async || !shop.ledger().lag().await.unwrap().is_empty()).await;
    shop.publish(1, 1..=4).await;
    shop.until_mails(1, [1, 3, 4]).await;
    shop.until_lag((0, 1)).await;
    assert_eq!(shop.ledger().retry("mails", None).await.unwrap(), 1);
    shop.until_mails(1, [1, 3, 4, 2]).await;
    shop.until_lag((0, 0)).await;
    running.stop().await;
}

/// A feed that loses what it is told or what it answers, now and then.
#[derive(Debug)]
struct Lossy {
    feed: Arc<PublisherFeed<sqlx::Any>>,
    asked: AtomicU32,
}

impl Lossy {
    fn loses(&self) -> bool {
        self.asked.fetch_add(1, SeqCst).is_multiple_of(3)
    }
}

#[async_trait]
impl Feed for Lossy {
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError> {
        self.feed.take(ask).await
    }

    async fn settle(&self, listener: String, settled: Vec<Settled>) -> Result<(), FeedError> {
        if self.loses() {
            return Err(FeedError::new("lost on the way"));
        }
        self.feed.settle(listener, settled).await?;
        if self.loses() { Err(FeedError::new("lost on the way back")) } else { Ok(()) }
    }

    async fn renew(
        &self,
        listener: String,
        events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedError> {
        self.feed.renew(listener, events, holders).await
    }

    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError> {
        self.feed.progress(listener, names).await
    }

    async fn leave(&self, listener: String) -> Result<(), FeedError> {
        self.feed.leave(listener).await
    }
}

/// What a killed process leaves behind, without waiting for its lease.
async fn end_leases(shop: &Shop) {
    let sql = "UPDATE monolift_event_offers SET leased_till_ms = 0";
    let mut tx = shop.orders.write().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Listens, and is killed again and again between an effect and what the publisher is told of it.
async fn killed(name: &str) -> Vec<i64> {
    let shop = shop(name).await;
    for order in 0..4 {
        shop.publish(order, 1..=25).await;
    }
    for number in 0..50 {
        let mut tx = shop.orders.write().await.unwrap();
        shop.events.publish(&mut tx, &Noted { number }).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mails = Mails::of(&shop.mails);
    let heard = || {
        let mut heard = stepped(&mails);
        heard.push(Heard::of::<Noted, _>(&mails));
        heard
    };
    for kill in 1..=10 {
        let lossy = Lossy { feed: Arc::clone(&shop.feed), asked: AtomicU32::new(kill) };
        let running = shop.listen_through(Arc::new(lossy), heard());
        let until_tried = mails.tried.load(SeqCst) + 10;
        let _ = timeout(Duration::from_millis(300), async {
            while mails.tried.load(SeqCst) < until_tried {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        running.kill().await;
        // A transaction that was cut is rolled back when its connection is used again.
        shop.mails.write().await.unwrap().rollback().await.unwrap();
        end_leases(&shop).await;
    }
    let running = shop.listen(heard());
    shop.until_lag((0, 0)).await;
    running.stop().await;
    let mut all = Vec::new();
    for order in 1..4 {
        all.extend(shop.mails(order).await);
    }
    let sql = "SELECT number FROM mails WHERE id = 0 ORDER BY number";
    let rows: Vec<(i64,)> = sqlx::query_as(sql).fetch_all(shop.mails.pool()).await.unwrap();
    // Order 0 and the notes share a number.
    all.extend(rows.into_iter().map(|row| row.0));
    all
}

fn each_once() -> Vec<i64> {
    let steps = (0..3).flat_map(|_| 1..=25);
    let mut notes: Vec<i64> = (0..50).chain(1..=25).collect();
    notes.sort_unstable();
    steps.chain(notes).collect()
}

#[tokio::test]
async fn a_listener_that_is_killed_has_each_effect_once_and_in_order() {
    assert_eq!(killed("killed").await, each_once());
}

#[tokio::test]
async fn an_inbox_that_forgets_is_noticed() {
    plant("inbox-forgets");
    assert_ne!(killed("forgets").await, each_once());
}

/// Two replicas take turns with the events of one key, and neither is before the other.
#[tokio::test]
async fn replicas_share_the_events_and_keep_the_order() {
    let shop = shop("replicas").await;
    let mails = Mails::of(&shop.mails);
    let replicas: Vec<Running> = (0..3).map(|_| shop.listen(stepped(&mails))).collect();
    for step in 1..=40 {
        shop.publish(1, [step]).await;
        shop.publish(2, [step]).await;
    }
    shop.until_mails(1, 1..=40).await;
    shop.until_mails(2, 1..=40).await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test]
async fn an_event_of_a_later_version_waits_and_holds_up_its_key() {
    let shop = shop("version").await;
    shop.publish(1, 1..=3).await;
    let mut tx = shop.orders.write().await.unwrap();
    let sql = "UPDATE monolift_events SET version = 2 WHERE number = 2";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let running = shop.listen(stepped(&Mails::of(&shop.mails)));
    shop.until_mails(1, [1]).await;
    shop.publish(2, 1..=2).await;
    shop.until_mails(2, 1..=2).await;
    assert_eq!((shop.mails(1).await, shop.lag().await.0), (vec![1], 2));
    running.stop().await;
}

#[tokio::test]
async fn an_offer_of_a_later_epoch_is_not_taken_and_not_settled() {
    let shop = shop("epoch").await;
    let ask = || Ask {
        listener: "mails".to_owned(),
        subscriptions: vec![Subscription {
            name: "stepped".to_owned(),
            version: 1,
            from_first: true,
        }],
        most: 10,
        wait_ms: 0,
        bytes: u64::MAX,
    };
    shop.publish(1, [1]).await;
    let taken = shop.feed.take(ask()).await.unwrap();
    assert_eq!(taken.len(), 1);
    let mut tx = shop.orders.write().await.unwrap();
    let sql = "UPDATE monolift_event_offers SET epoch = 1, leased_till_ms = 0";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let settled = taken[0].settled(Ending::Handled);
    shop.feed.settle("mails".to_owned(), vec![settled]).await.unwrap();
    assert_eq!(shop.lag().await, (1, 0));
    assert!(shop.feed.take(ask()).await.unwrap().is_empty());
}
