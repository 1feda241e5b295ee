//! What is kept of a subject, and what is left of it after it is erased.

use super::{
    Ask, Delivery, Ending, Event, Failure, Feed, Heard, Offer, On, QUICK, Retry, Shop,
    Subscription, end_leases, shop, until,
};
use crate::{
    Column, Db,
    work::{Ledger, Piece, Work},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

const PLANTED: &str = "c4n4ry";

/// A step of an order, for a person.
#[derive(Serialize, Deserialize)]
struct Addressed {
    order: i64,
    step: i64,
    user: String,
}

impl Event for Addressed {
    const MODULE: &'static str = "orders";
    const NAME: &'static str = "addressed";

    fn key(&self) -> Option<String> {
        Some(self.order.to_string())
    }

    fn subject(&self) -> Option<String> {
        Some(self.user.clone())
    }
}

/// A letter to a person.
#[derive(Serialize, Deserialize)]
struct Letter {
    user: String,
}

impl Piece for Letter {
    const NAME: &'static str = "letter";

    fn subject(&self) -> Option<String> {
        Some(self.user.clone())
    }
}

/// Counts what it is asked to handle, and refuses the planted person for as long as it says so.
struct Reads {
    db: Db,
    tried: AtomicU32,
    refuses: AtomicBool,
}

impl Reads {
    fn of(shop: &Shop) -> Arc<Self> {
        let (tried, refuses) = (AtomicU32::new(0), AtomicBool::new(false));
        Arc::new(Self { db: shop.mails.clone(), tried, refuses })
    }
}

#[async_trait]
impl On<Addressed> for Reads {
    const RETRY: Retry = QUICK;

    async fn on(&self, event: Delivery<Addressed>) -> Result<(), Failure> {
        self.tried.fetch_add(1, SeqCst);
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        if self.refuses.load(SeqCst) && event.user == PLANTED {
            return Err(format!("{} has no address", event.user).into());
        }
        sqlx::query("INSERT INTO mails (id, number, text) VALUES ($1, $2, '')")
            .bind(event.order)
            .bind(event.step)
            .execute(&mut **tx)
            .await?;
        Ok(tx.commit().await?)
    }
}

fn addressed(reads: &Arc<Reads>) -> Vec<Heard> {
    vec![Heard::of::<Addressed, _>(reads)]
}

impl Shop {
    async fn address(&self, order: i64, steps: impl IntoIterator<Item = i64>, user: &str) {
        for step in steps {
            let mut tx = self.orders.write().await.unwrap();
            let event = Addressed { order, step, user: user.to_owned() };
            self.events.publish(&mut tx, &event).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// The tables of the framework in which the planted text stands, in any column.
    async fn planted(&self) -> Vec<String> {
        let mut found = Vec::new();
        for db in [&self.orders, &self.mails] {
            let sql = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c \
                WHERE t.type = 'table' AND t.name LIKE 'monolift_%'";
            let columns: Vec<(String, String)> =
                sqlx::query_as(sql).fetch_all(db.pool()).await.unwrap();
            assert!(columns.len() > 60, "{columns:?}");
            for (table, column) in columns {
                let sql = format!(
                    "SELECT COUNT(*) FROM {table} WHERE CAST({column} AS TEXT) LIKE '%{PLANTED}%'"
                );
                let rows = db.rows(sql.into(), Vec::new(), &[Column::Number]).await.unwrap();
                if rows[0][0].number() > 0 {
                    found.push(format!("{table}.{column}"));
                }
            }
        }
        found.sort();
        found
    }

    async fn take(&self) -> Vec<Offer> {
        let name = Addressed::NAME.to_owned();
        let subscriptions = vec![Subscription { name, version: 1, from_first: true }];
        let ask = Ask {
            listener: "mails".to_owned(),
            subscriptions,
            most: 10,
            wait_ms: 0,
            bytes: u64::MAX,
        };
        self.feed.take(ask).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_kept_of_a_subject_is_found_and_erased_and_its_keys_go_on() {
    let shop = shop("subject").await;
    let work = Work::new(shop.orders.clone(), "orders", &[Letter::NAME]);
    let reads = Reads::of(&shop);
    let running = shop.listen(addressed(&reads));
    shop.address(1, [1], PLANTED).await;
    shop.until_mails(1, [1]).await;
    reads.refuses.store(true, SeqCst);
    shop.address(1, 2..=3, PLANTED).await;
    shop.address(1, [4], "bob").await;
    // More than are erased at once.
    shop.address(2, 1..=300, PLANTED).await;
    let mut tx = shop.orders.write().await.unwrap();
    for user in [PLANTED, "bob"] {
        let letter = Letter { user: user.to_owned() };
        work.enqueue_keyed(&mut tx, user, std::time::Duration::ZERO, &letter).await.unwrap();
    }
    work.enqueue(&mut tx, &Letter { user: PLANTED.to_owned() }).await.unwrap();
    let sql = "UPDATE monolift_work SET parked_at_ms = 1, error = 'no c4n4ry' WHERE key IS NULL";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    until(async || shop.lag().await.1 == 2).await;
    let everywhere = [
        "monolift_event_offers.error",
        "monolift_events.payload",
        "monolift_events.subject",
        "monolift_work.error",
        "monolift_work.key",
        "monolift_work.payload",
        "monolift_work.subject",
    ];
    assert_eq!(shop.planted().await, everywhere);

    let events = shop.ledger().of_subject(PLANTED, "").await.unwrap();
    assert_eq!((events.len(), events[0].offers.len()), (128, 0));
    let parked = &events[1].offers[0];
    assert_eq!((&*parked.listener, parked.parked), ("mails", true));
    assert!(parked.error.as_deref().unwrap().contains(PLANTED));
    let letters = Ledger::of(shop.orders.clone(), "orders");
    let pieces = letters.of_subject(PLANTED, "").await.unwrap();
    assert_eq!(pieces.iter().filter(|one| one.parked).count(), 1);
    assert!(pieces.len() == 2 && pieces.iter().all(|one| one.kind == "letter"), "{pieces:?}");

    let tried = reads.tried.load(SeqCst);
    for expected in [128, 128, 47] {
        assert_eq!(shop.ledger().erase(PLANTED).await.unwrap(), expected);
    }
    assert_eq!(letters.erase(PLANTED).await.unwrap(), 2);
    assert_eq!(shop.planted().await, Vec::<String>::new());
    assert_eq!(shop.ledger().erase(PLANTED).await.unwrap(), 0);
    assert_eq!(letters.erase(PLANTED).await.unwrap(), 0);
    assert!(shop.ledger().of_subject(PLANTED, "").await.unwrap().is_empty());
    assert_eq!(letters.of_subject("bob", "").await.unwrap().len(), 1);
    shop.until_mails(1, [1, 4]).await;
    shop.address(2, [301], "bob").await;
    shop.until_mails(2, [301]).await;
    shop.until_lag((0, 0)).await;
    assert_eq!(reads.tried.load(SeqCst), tried + 2);
    running.stop().await;
}

/// An event is erased while its listener is at it. What the listener then says leaves nothing behind.
#[tokio::test]
async fn a_delivery_in_flight_ends_and_is_not_tried_again() {
    let shop = shop("in-flight").await;
    let said = Ending::Again { error: format!("{PLANTED} has no address"), pause_ms: 0 };
    let parks = Ending::Parked { error: format!("{PLANTED} has no address"), passed: false };
    let all = [said, parks, Ending::Handled, Ending::Returned { pause_ms: 0 }];
    for (order, ending) in (1..).zip(all) {
        let handled = matches!(ending, Ending::Handled);
        shop.address(order, [1], PLANTED).await;
        let taken = shop.take().await.pop().unwrap();
        assert_eq!(shop.ledger().erase(PLANTED).await.unwrap(), 1);
        let settled = taken.settled(ending);
        shop.feed.settle("mails".to_owned(), vec![settled]).await.unwrap();
        assert_eq!(shop.planted().await, Vec::<String>::new());
        assert_eq!(shop.lag().await, (i64::from(!handled), 0));
        // The lease of the first delivery lasts.
        assert!(shop.take().await.is_empty());
        end_leases(&shop).await;
        let again = shop.take().await;
        assert_eq!(again.len(), usize::from(!handled));
        assert!(again.iter().all(|offer| offer.skipped && offer.payload.is_empty()));
        end_leases(&shop).await;
        let reads = Reads::of(&shop);
        let running = shop.listen(addressed(&reads));
        shop.until_lag((0, 0)).await;
        running.stop().await;
        assert_eq!(reads.tried.load(SeqCst), 0);
    }
}

#[tokio::test]
async fn a_new_listener_and_a_replay_pass_over_what_was_erased() {
    let shop = shop("late").await;
    shop.address(1, 1..=2, PLANTED).await;
    assert_eq!(shop.ledger().erase(PLANTED).await.unwrap(), 2);
    shop.address(1, [3], "bob").await;
    let reads = Reads::of(&shop);
    let running = shop.listen(addressed(&reads));
    shop.until_mails(1, [3]).await;
    shop.until_lag((0, 0)).await;
    assert_eq!(shop.ledger().replay("mails", None).await.unwrap(), 1);
    shop.until_mails(1, [3, 3]).await;
    running.stop().await;
    assert_eq!(reads.tried.load(SeqCst), 2);
}
