//! Operators, listeners that come and go, and replicas, at the same moment. Each test has the order of things that was found
//! to lose an event, to hold one up, or to handle one out of turn.

use super::{Folder, Pair, connected, served, sides};
use crate::{postgres::Postgres, support::soon};
use monolift::data::events::{Ask, Ending, Event, EventLedger, Feed, Offer, Subscription};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

impl Pair {
    /// What the listener is offered of the tables' courses.
    async fn courses(&self) -> Vec<Offer> {
        let cooked = Subscription { name: "cooked".to_owned(), version: 1, from_first: true };
        self.feed.take(ask("hall", cooked)).await.unwrap()
    }

    async fn waiting(&self) -> i64 {
        self.ledger().lag().await.unwrap().iter().map(|one| one.waiting).sum()
    }
}

fn ask(listener: &str, subscription: Subscription) -> Ask {
    let (listener, subscriptions) = (listener.to_owned(), vec![subscription]);
    Ask { listener, subscriptions, most: 100, wait_ms: 0, bytes: u64::MAX }
}

/// A listener is being added while retention looks for what can go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_removed_that_a_listener_is_offered_at_that_moment() {
    let postgres = Postgres::start();
    let (_folder, [_, pair]) = Pair::on_both(&postgres, "removed").await;
    pair.taste(1, &["ada", "bob"]).await;
    let offers = pair.thoughts("hall").await;
    pair.handled("hall", &offers).await;
    pair.run("UPDATE monolift_events SET keep_until_ms = 0").await;
    let mut adding = pair.kitchen.write().await.unwrap();
    for sql in [
        "UPDATE monolift_event_registry SET version = version + 1",
        "INSERT INTO monolift_event_listeners (module, name, listener, registry, from_first, epoch) \
         SELECT module, 'tasted', 'garden', version, 1, 0 FROM monolift_event_registry",
    ] {
        sqlx::query(sql).execute(&mut *adding).await.unwrap();
    }
    let ledger = pair.ledger();
    let mut pruning = std::pin::pin!(ledger.prune(None));
    assert!(timeout(Duration::from_millis(300), &mut pruning).await.is_err());
    adding.commit().await.unwrap();
    assert_eq!(pruning.await.unwrap(), 0);
    let offers = pair.thoughts("garden").await;
    assert_eq!(offers.iter().filter(|offer| !offer.skipped).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_not_undone_by_what_was_said_before_it() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "replayed").await;
    for pair in pairs {
        pair.cook(1, [1]).await;
        let offers = pair.courses().await;
        pair.handled("hall", &offers).await;
        assert_eq!(pair.ledger().replay("hall", None).await.unwrap(), 1);
        // The answer to the first time was lost.
        pair.handled("hall", &offers).await;
        assert_eq!(pair.waiting().await, 1);
        let replay = pair.courses().await;
        // New events of the key do not wait for it, and those of another replay do.
        let parked = Ending::Parked { error: "no plate".to_owned(), passed: false };
        pair.feed.settle("hall".to_owned(), vec![replay[0].settled(parked)]).await.unwrap();
        pair.cook(1, [2]).await;
        let new = pair.courses().await;
        assert_eq!((new.len(), new[0].number, new[0].replay), (1, 2, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_keep_the_order_of_a_key_in_a_replay() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "in_order").await;
    for pair in pairs {
        let all: Vec<i64> = (1..=300).collect();
        pair.cook(1, all.clone()).await;
        let replica = || pair.listen(Arc::<_>::clone(&pair.feed) as Arc<dyn Feed>);
        let replicas = [replica(), replica(), replica()];
        pair.until_nothing_waits().await;
        assert_eq!(served(&pair.hall, 1).await, all);
        pair.ledger().replay("hall", None).await.unwrap();
        pair.until_nothing_waits().await;
        let again = served(&pair.hall, 1).await.split_off(300);
        let turns: Vec<_> = again.windows(2).filter(|two| two[0] > two[1]).collect();
        assert!(turns.is_empty() && again == all, "{turns:?} of {}", again.len());
        for replica in replicas {
            replica.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_with_any_text_is_kept() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "texts").await;
    for pair in pairs {
        pair.cook(1, [1]).await;
        let offers = pair.courses().await;
        let error = format!("no plate for \0 {}", "ä".repeat(100_000));
        let parked = Ending::Parked { error, passed: false };
        pair.feed.settle("hall".to_owned(), vec![offers[0].settled(parked)]).await.unwrap();
        let parked = pair.ledger().parked(10).await.unwrap();
        assert!(parked[0].error.starts_with("no plate for \u{fffd} ä"), "{}", parked[0].error);
        assert!(parked[0].error.len() <= 16 * 1024);
    }
}

/// As a replica that is frozen in a transaction, until the server ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_locked_does_not_hold_up_others() {
    let postgres = Postgres::start();
    let (_folder, [_, pair]) = Pair::on_both(&postgres, "locked").await;
    let listening = pair.listen(Arc::<_>::clone(&pair.feed) as Arc<dyn Feed>);
    pair.cook(1, [1]).await;
    pair.cook(2, [1]).await;
    pair.until_nothing_waits().await;
    let mut frozen = pair.hall.write().await.unwrap();
    let sql = "SELECT number FROM monolift_inbox_keys WHERE key = '1' FOR UPDATE";
    sqlx::query(sql).fetch_one(&mut *frozen).await.unwrap();
    pair.cook(1, [2]).await;
    pair.cook(2, [2, 3]).await;
    soon(async {
        while served(&pair.hall, 2).await != [1, 2, 3] {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(served(&pair.hall, 1).await, [1]);
    frozen.rollback().await.unwrap();
    pair.until_nothing_waits().await;
    assert_eq!(served(&pair.hall, 1).await, [1, 2]);
    listening.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_is_removed_from_one_event_and_comes_back_if_it_listens() {
    let postgres = Postgres::start();
    let (_folder, pairs) = Pair::on_both(&postgres, "gone").await;
    for pair in pairs {
        pair.cook(1, [1]).await;
        pair.taste(1, &["ada"]).await;
        assert_eq!((pair.courses().await.len(), pair.thoughts("hall").await.len()), (1, 1));
        assert_eq!(pair.ledger().remove_listener("hall", Some("tasted")).await.unwrap(), 1);
        let lag = pair.ledger().lag().await.unwrap();
        let names: Vec<&str> = lag.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((names, pair.waiting().await), (vec!["cooked"], 1));
        // An offer of a transaction that had begun before the removal.
        pair.run(
            "INSERT INTO monolift_event_offers (module, listener, event, name, version, number, begins, \
             due_at_ms, attempts, leased_till_ms, skipped, epoch) \
             SELECT module, 'gone', id, name, 1, 0, 0, 0, 0, 0, 0, 0 FROM monolift_events",
        )
        .await;
        pair.ledger().prune(None).await.unwrap();
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM monolift_event_offers";
        let mut connection = pair.kitchen.connection().await.unwrap();
        let left: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(left, 1);
        drop(connection);
        // It is looked now and then whether it is still registered.
        soon(async {
            while pair.thoughts("hall").await.is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
    }
}

/// By the publisher of [`connected`].
#[derive(Serialize, Deserialize)]
struct Told {
    text: String,
}

impl Event for Told {
    const MODULE: &'static str = "source";
    const NAME: &'static str = "told";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_any_size_go_between_processes_or_are_parked() {
    let folder = Folder::new("sizes");
    let (publisher, _) = sides(|side| folder.file(side)).await;
    let process = connected::process(publisher.clone()).await;
    let publish = async |length: usize| {
        let mut tx = publisher.write().await.unwrap();
        let told = Told { text: "x".repeat(length) };
        process.events.publish(&mut tx, &told).await.unwrap();
        tx.commit().await.unwrap();
    };
    // A frame has 4 MiB.
    publish(5 << 20).await;
    for _ in 0..40 {
        publish(200 << 10).await;
    }
    publish(3 << 20).await;
    let subscription = Subscription { name: "told".to_owned(), version: 1, from_first: true };
    let mut taken = 0;
    soon(async {
        while taken < 41 {
            taken += process.feed.take(ask("hall", subscription.clone())).await.unwrap().len();
        }
    })
    .await;
    let ledger = EventLedger::of(publisher.clone(), "source");
    let parked = ledger.parked(10).await.unwrap();
    assert_eq!((taken, parked.len()), (41, 1));
    assert!(parked[0].error.contains("`limits.frame`"), "{}", parked[0].error);
}
