//! What a publisher keeps of events that are handled, on both databases.

use super::Pair;
use crate::postgres::Postgres;
use monolift::{
    Db,
    data::events::{Ask, Ending, EventLedger, Feed, Offer, Subscription},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::sleep;

/// What a guest thinks of a course. It is no longer known after a day.
#[monolift::event(key = table, subject = guest, payload = "1d", module = "kitchen")]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tasted {
    table: i64,
    guest: String,
}

impl Pair {
    pub(super) async fn taste(&self, table: i64, guests: &[&str]) {
        for guest in guests {
            let mut tx = self.kitchen.write().await.unwrap();
            let guest = (*guest).to_owned();
            self.events.publish(&mut tx, &Tasted { table, guest }).await.unwrap();
            tx.commit().await.unwrap();
            // Numbers sort by milliseconds.
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// What `listener` is offered of the guests' thoughts.
    pub(super) async fn thoughts(&self, listener: &str) -> Vec<Offer> {
        let tasted = Subscription { name: "tasted".to_owned(), version: 1, from_first: true };
        let (listener, subscriptions) = (listener.to_owned(), vec![tasted]);
        self.feed
            .take(Ask { listener, subscriptions, most: 100, wait_ms: 0, bytes: u64::MAX })
            .await
            .unwrap()
    }

    pub(super) async fn handled(&self, listener: &str, offers: &[Offer]) {
        let settled = offers.iter().map(|offer| offer.settled(Ending::Handled));
        self.feed.settle(listener.to_owned(), settled.collect()).await.unwrap();
    }

    /// Has a day gone by for payloads.
    async fn day_later(&self) {
        self.run("UPDATE monolift_events SET payload_until_ms = payload_until_ms - 86400000").await;
    }

    pub(super) async fn run(&self, sql: &'static str) {
        let mut tx = self.kitchen.write().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) fn ledger(&self) -> EventLedger {
        EventLedger::of(self.kitchen.clone(), "kitchen")
    }
}

async fn payloads(db: &Db) -> Vec<(String, Option<String>)> {
    let sql = "SELECT payload, subject FROM monolift_events ORDER BY number, id";
    sqlx::query_as(sql).fetch_all(&mut *db.connection().await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_was_kept_long_enough_is_emptied_once_it_is_handled() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "payloads").await;
    for pair in pairs {
        pair.taste(1, &["ada", "bob"]).await;
        let offers = pair.thoughts("hall").await;
        assert_eq!(offers.len(), 2);
        pair.handled("hall", &offers[..1]).await;
        assert_eq!(pair.ledger().prune(None).await.unwrap(), 0);
        pair.day_later().await;
        // The second one is not handled.
        assert_eq!(pair.ledger().prune(None).await.unwrap(), 1);
        assert_eq!(pair.ledger().prune(None).await.unwrap(), 0);
        let left = payloads(&pair.kitchen).await;
        assert_eq!(left[0], (String::new(), None));
        assert_eq!(left[1].1.as_deref(), Some("bob"));
        pair.handled("hall", &offers[1..]).await;
        assert_eq!(pair.ledger().prune(None).await.unwrap(), 1);
        // A new listener passes them over, and handles what comes after them.
        pair.taste(1, &["eve"]).await;
        let offers = pair.thoughts("garden").await;
        let seen: Vec<_> = offers.iter().map(|offer| (offer.number, offer.skipped)).collect();
        assert_eq!(seen, [(1, true), (2, true), (3, false)]);
        assert_eq!(pair.ledger().replay("hall", None).await.unwrap(), 0);
        // A read model that is built anew would miss them.
        let names = vec!["tasted".to_owned()];
        assert!(pair.feed.progress("garden".to_owned(), names).await.unwrap().removed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_beyond_a_size_is_deleted_before_its_time_once_it_is_handled() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "sizes").await;
    for pair in pairs {
        // Each payload has as many bytes, more than it has characters.
        let guests = ["ärger", "bärte", "cäsar", "däche", "emsör"];
        pair.taste(1, &guests).await;
        pair.taste(2, &guests).await;
        let size = payloads(&pair.kitchen).await[0].0.len() as u64;
        let offers = pair.thoughts("hall").await;
        assert_eq!(pair.ledger().prune(Some(0)).await.unwrap(), 0);
        let first: Vec<Offer> =
            offers.iter().filter(|offer| offer.key.as_deref() == Some("1")).cloned().collect();
        pair.handled("hall", &first).await;
        assert_eq!(pair.ledger().prune(Some(10 * size)).await.unwrap(), 0);
        assert_eq!(pair.ledger().prune(Some(7 * size)).await.unwrap(), 3);
        // Of those that are not handled none is deleted, and they count.
        assert_eq!(pair.ledger().prune(Some(size)).await.unwrap(), 2);
        assert_eq!(pair.ledger().prune(Some(size)).await.unwrap(), 0);
        assert_eq!(payloads(&pair.kitchen).await.len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_listener_is_behind_before_it_was_offered_anything() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "behind").await;
    for pair in pairs {
        pair.taste(1, &["ada", "bob"]).await;
        assert_eq!(pair.thoughts("hall").await.len(), 2);
        pair.taste(1, &["eve"]).await;
        // As it is between the listener's registration and its first offers.
        pair.run("UPDATE monolift_events SET offered = 0 WHERE number <= 2").await;
        pair.run("DELETE FROM monolift_event_offers WHERE number <= 2").await;
        let lag = pair.ledger().lag().await.unwrap();
        assert_eq!((lag[0].waiting, lag[0].parked), (3, 0));
        assert!(lag[0].oldest_ms.is_some());
    }
}
