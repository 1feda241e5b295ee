//! Events that share a transaction, and replays.

use super::*;
use crate::events::feed::LEASE;
use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI64},
    },
};
use tokio::sync::Barrier;

/// Events that arrive together.
const TOGETHER: i64 = 12;

/// Writes a mail for each event, when as many have arrived as arrive together.
struct Crowd {
    mails: Arc<Mails>,
    arrived: Barrier,
    /// The event that is this one of its transaction fails after it has written, so often, or does not end.
    fails: Option<(i64, usize)>,
    hangs: Option<i64>,
    /// The event that fails.
    failing: OnceLock<i64>,
    /// The attempts that events were told, by their numbers.
    attempts: Mutex<BTreeMap<i64, Vec<u32>>>,
    /// The most mails that a transaction has seen and nobody else.
    shared: AtomicI64,
}

impl Crowd {
    fn of(db: &Db) -> Self {
        Self {
            mails: Mails::of(db),
            arrived: Barrier::new(TOGETHER as usize),
            fails: None,
            hangs: None,
            failing: OnceLock::new(),
            attempts: Mutex::default(),
            shared: AtomicI64::new(0),
        }
    }

    /// The number of this delivery of the event.
    fn arrive(&self, event: &Delivery<Noted>) -> usize {
        let mut attempts = self.attempts.lock().unwrap();
        let of_event = attempts.entry(event.number).or_default();
        of_event.push(event.attempt());
        of_event.len()
    }
}

async fn count(connection: &mut sqlx::AnyConnection) -> i64 {
    let sql = "SELECT COUNT(*) FROM mails";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

#[async_trait]
impl On<Noted> for Crowd {
    const RETRY: Retry = QUICK;
    const DEADLINE: Duration = Duration::from_secs(2);

    async fn on(&self, event: Delivery<Noted>) -> Result<(), Failure> {
        let nth = self.arrive(&event);
        if nth == 1 {
            self.arrived.wait().await;
        }
        let db = &self.mails.db;
        let Some(mut tx) = event.begin(db).await? else { return Ok(()) };
        self.mails.write(0, event.number, &mut tx).await;
        let outside = count(&mut db.pool().acquire().await.unwrap()).await;
        let place = count(&mut tx).await - outside;
        self.shared.fetch_max(place, SeqCst);
        if nth == 1 && self.hangs == Some(place) {
            pending().await
        }
        let fails = self.fails.is_some_and(|(at, often)| {
            let is_it = nth == 1 && place == at && self.failing.set(event.number).is_ok();
            (is_it || self.failing.get() == Some(&event.number)) && nth <= often
        });
        if fails { Err("no paper".into()) } else { Ok(tx.commit().await?) }
    }
}

impl Shop {
    async fn note(&self, numbers: impl IntoIterator<Item = i64>) {
        let mut tx = self.orders.write().await.unwrap();
        for number in numbers {
            self.events.publish(&mut tx, &Noted { number }).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Waits until these notes were mailed, once each, and the publisher knows.
    async fn until_noted(&self, numbers: impl IntoIterator<Item = i64>) {
        let expected: Vec<i64> = numbers.into_iter().collect();
        until(async || self.noted().await.len() >= expected.len()).await;
        self.until_lag((0, 0)).await;
        assert_eq!(self.noted().await, expected);
    }

    /// The numbers of the notes that were mailed.
    async fn noted(&self) -> Vec<i64> {
        let mut noted = self.mails(0).await;
        noted.sort_unstable();
        noted
    }
}

#[tokio::test]
async fn events_that_are_ready_together_share_a_transaction() {
    let shop = shop("together").await;
    let crowd = Arc::new(Crowd::of(&shop.mails));
    shop.note(0..TOGETHER).await;
    let running = shop.listen(vec![Heard::of::<Noted, _>(&crowd)]);
    shop.until_noted(0..TOGETHER).await;
    let shared = crowd.shared.load(SeqCst);
    assert!(shared >= TOGETHER / 3, "a transaction had {shared} mails at most");
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_hangs_undoes_its_own_effect_only() {
    let shop = shop("hangs").await;
    let crowd = Arc::new(Crowd { hangs: Some(2), ..Crowd::of(&shop.mails) });
    shop.note(0..TOGETHER).await;
    let running = shop.listen(vec![Heard::of::<Noted, _>(&crowd)]);
    shop.until_noted(0..TOGETHER).await;
    assert!(crowd.shared.load(SeqCst) > 1);
    running.stop().await;
}

/// Those that shared a transaction with an event that fails are delivered again, and have used up no attempt. The event
/// itself is delivered once more than others that fail: at first it is not known whose failure it was.
#[tokio::test]
async fn an_event_that_fails_costs_others_no_attempt() {
    let shop = shop("fails").await;
    let crowd = Arc::new(Crowd { fails: Some((2, 3)), ..Crowd::of(&shop.mails) });
    shop.note(0..TOGETHER).await;
    let running = shop.listen(vec![Heard::of::<Noted, _>(&crowd)]);
    shop.until_noted(0..TOGETHER).await;
    running.stop().await;
    let failing = *crowd.failing.get().unwrap();
    for (number, attempts) in &*crowd.attempts.lock().unwrap() {
        if *number == failing {
            assert_eq!(*attempts, [1, 1, 2, 3]);
        } else {
            assert!(attempts.iter().all(|attempt| *attempt == 1), "{number}: {attempts:?}");
        }
    }
}

/// As a process that is killed while a batch is open, and one whose acknowledgements are lost.
#[tokio::test]
async fn a_batch_that_is_cut_is_handled_again_and_once() {
    let shop = shop("cut").await;
    let crowd = Arc::new(Crowd { hangs: Some(2), ..Crowd::of(&shop.mails) });
    shop.note(0..TOGETHER).await;
    let running = shop.listen(vec![Heard::of::<Noted, _>(&crowd)]);
    until(async || crowd.shared.load(SeqCst) > 1).await;
    running.kill().await;
    shop.mails.write().await.unwrap().rollback().await.unwrap();
    end_leases(&shop).await;
    let running = shop.listen(vec![Heard::of::<Noted, _>(&Mails::of(&shop.mails))]);
    shop.until_noted(0..TOGETHER).await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_replayed_is_handled_once_more_and_in_order() {
    let shop = shop("replayed").await;
    let mails = Mails::of(&shop.mails);
    let running = shop.listen(stepped(&mails));
    shop.publish(1, 1..=20).await;
    shop.until_mails(1, 1..=20).await;
    shop.until_lag((0, 0)).await;
    assert_eq!(shop.ledger().replay("mails", Some("nothing")).await.unwrap(), 0);
    assert_eq!(shop.ledger().replay("mails", None).await.unwrap(), 20);
    shop.until_mails(1, (1..=20).chain(1..=20)).await;
    shop.until_lag((0, 0)).await;
    // New events go on from where the others were.
    shop.publish(1, [21]).await;
    shop.until_mails(1, (1..=20).chain(1..=20).chain([21])).await;
    running.stop().await;
}

async fn sides(folder: &Folder, seed: u64) -> kills::Sides {
    let open = async |file: &str| -> Db {
        let location = Location::File(folder.0.join(format!("{file}-{seed}.db")));
        Db::open(&location, &DbSettings::default(), &[history()]).await.unwrap()
    };
    let (publisher, listener) = (open("source").await, open("hands").await);
    sqlx::query(kills::EFFECTS).execute(&mut *listener.connection().await.unwrap()).await.unwrap();
    kills::Sides::in_one_process(publisher, listener)
}

fn folder(name: &str) -> Folder {
    Folder(std::env::temp_dir().join(format!("ml-events-{}-{name}", std::process::id())))
}

#[tokio::test]
async fn kills_at_every_point_lose_and_double_nothing() {
    let folder = folder("points");
    kills::all(async |seed| sides(&folder, seed).await).await;
}

/// A mistake in the code is noticed by the same runs.
async fn is_found(mistake: &'static str) {
    plant(mistake);
    let folder = folder(mistake);
    let mut hit = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let wrong = kills::run(&sides(&folder, seed).await, seed, &mut hit).await;
        if !wrong.is_empty() {
            return;
        }
    }
    panic!("nothing was wrong in 20 runs");
}

#[tokio::test]
async fn an_inbox_row_outside_of_the_transaction_is_found() {
    is_found("inbox-apart").await;
}

#[tokio::test]
async fn an_outbox_that_is_read_by_id_is_found() {
    is_found("outbox-by-id").await;
}

#[tokio::test]
async fn an_acknowledgement_before_the_effect_is_found() {
    is_found("event-acknowledged-first").await;
}

/// What a killed listener held comes to another one when the lease is over, without a restart.
#[tokio::test]
async fn what_a_killed_listener_held_is_handled_once_the_lease_is_over() {
    // So that it takes less than five seconds.
    const { assert!(LEASE.as_secs() <= 4) };
    let shop = shop("held").await;
    let crowd = Arc::new(Crowd { hangs: Some(2), ..Crowd::of(&shop.mails) });
    shop.note(0..TOGETHER).await;
    let running = shop.listen(vec![Heard::of::<Noted, _>(&crowd)]);
    until(async || crowd.shared.load(SeqCst) > 1).await;
    running.kill().await;
    shop.mails.write().await.unwrap().rollback().await.unwrap();
    let killed = std::time::Instant::now();
    let running = shop.listen(vec![Heard::of::<Noted, _>(&Mails::of(&shop.mails))]);
    shop.until_lag((0, 0)).await;
    assert!(killed.elapsed() < 2 * LEASE, "{:?}", killed.elapsed());
    assert_eq!(shop.noted().await, (0..TOGETHER).collect::<Vec<_>>());
    running.stop().await;
}

/// The clock of the publisher's database was an hour ahead when an event was taken.
#[tokio::test]
async fn a_lease_of_a_clock_that_went_back_ends() {
    let shop = shop("clock").await;
    shop.publish(1, 1..=2).await;
    let ask = Ask {
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
    assert_eq!(shop.feed.take(ask.clone()).await.unwrap().len(), 2);
    assert!(shop.feed.take(ask.clone()).await.unwrap().is_empty());
    let mut tx = shop.orders.write().await.unwrap();
    let sql = "UPDATE monolift_event_offers SET leased_till_ms = leased_till_ms + 3600000";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.feed.take(ask).await.unwrap().len(), 2);
}

/// A listener that is frozen with an event in its hands wakes up after another one has handled it.
#[tokio::test]
async fn a_listener_that_wakes_up_late_changes_nothing() {
    struct Frozen(Arc<Mails>, watch::Sender<bool>);

    #[async_trait]
    impl On<Stepped> for Frozen {
        async fn on(&self, event: Delivery<Stepped>) -> Result<(), Failure> {
            let mut wakes = self.1.subscribe();
            drop(wakes.wait_for(|awake| *awake).await);
            self.0.on(event).await
        }
    }

    let shop = shop("frozen").await;
    let frozen = Arc::new(Frozen(Mails::of(&shop.mails), watch::Sender::new(false)));
    shop.publish(1, 1..=3).await;
    let stopped = Stopped {
        feed: Arc::clone(&shop.feed),
        has_offers: AtomicBool::new(false),
        wakes: frozen.1.subscribe(),
    };
    let handlers = frozen.1.receiver_count();
    let sleeping = shop.listen_through(Arc::new(stopped), vec![Heard::of::<Stepped, _>(&frozen)]);
    until(async || frozen.1.receiver_count() > handlers).await;
    end_leases(&shop).await;
    let awake = shop.listen(stepped(&Mails::of(&shop.mails)));
    shop.until_mails(1, 1..=3).await;
    frozen.1.send_replace(true);
    shop.publish(1, 4..=6).await;
    shop.until_mails(1, 1..=6).await;
    shop.until_lag((0, 0)).await;
    sleeping.stop().await;
    awake.stop().await;
    assert_eq!(shop.mails(1).await, (1..=6).collect::<Vec<_>>());
}

/// The feed of a process that is stopped with its first offers in hand: until it wakes up it takes no others, and it renews
/// no lease.
#[derive(Debug)]
struct Stopped {
    feed: Arc<PublisherFeed<sqlx::Any>>,
    has_offers: AtomicBool,
    wakes: watch::Receiver<bool>,
}

#[async_trait]
impl Feed for Stopped {
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError> {
        if self.has_offers.load(SeqCst) {
            drop(self.wakes.clone().wait_for(|awake| *awake).await);
        }
        let offers = self.feed.take(ask).await?;
        self.has_offers.fetch_or(!offers.is_empty(), SeqCst);
        Ok(offers)
    }

    async fn settle(&self, listener: String, settled: Vec<Settled>) -> Result<(), FeedError> {
        self.feed.settle(listener, settled).await
    }

    async fn renew(&self, _: String, _: Vec<String>, _: Vec<String>) -> Result<(), FeedError> {
        Ok(())
    }

    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError> {
        self.feed.progress(listener, names).await
    }

    async fn leave(&self, listener: String) -> Result<(), FeedError> {
        self.feed.leave(listener).await
    }
}
