//! Monolift's events, in one process: the listener takes them from the publisher's database.

use super::{EFFECTS, KEYS, Server, by_hand::effect, open, text_of};
use anyhow::ensure;
use async_trait::async_trait;
use monolift::{
    Db, Delivery, Events, Failure, On,
    data::{
        Backend,
        events::{Event, Feed, Feeds, Heard, Listener, PublisherFeed, history},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// How long a drain may take.
const PATIENCE: Duration = Duration::from_secs(600);
const ORDERS: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, text TEXT NOT NULL)";

/// Something that happened.
#[derive(Serialize, Deserialize)]
pub struct Happened {
    item: u64,
    text: String,
}

impl Event for Happened {
    const MODULE: &'static str = "publisher";
    const NAME: &'static str = "happened";

    fn key(&self) -> Option<String> {
        Some((self.item % KEYS).to_string())
    }
}

/// Two databases with the framework's tables.
pub struct Ours {
    publisher: Db,
    listener: Db,
    events: Events,
    feed: Arc<PublisherFeed<sqlx::Any>>,
}

struct Handler {
    db: Db,
    handled: watch::Sender<u64>,
}

#[async_trait]
impl On<Happened> for Handler {
    async fn on(&self, event: Delivery<Happened>) -> Result<(), Failure> {
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        effect(&mut tx, i64::try_from(event.item)?, 0, &event.text).await?;
        tx.commit().await?;
        self.handled.send_modify(|handled| *handled += 1);
        Ok(())
    }
}

impl Ours {
    /// With nothing in them.
    pub async fn new(server: &Server<'_>, name: &str) -> anyhow::Result<Self> {
        let tables = [history()];
        let publisher = open(server, &format!("{name}_publisher"), &tables, &[ORDERS]).await?;
        let listener = open(server, &format!("{name}_listener"), &tables, &[EFFECTS]).await?;
        let events = Events::outside(publisher.pool(), "publisher");
        let published = watch::Sender::new(());
        let events = events.waking(published.clone());
        let feed = Arc::new(PublisherFeed::new(publisher.clone(), "publisher", published));
        Ok(Self { publisher, listener, events, feed })
    }

    /// Has the listener known, so that events are offered to it when they are published.
    pub async fn register(&self) -> anyhow::Result<()> {
        let ask = monolift::data::events::Ask {
            listener: "listener".to_owned(),
            subscriptions: vec![monolift::data::events::Subscription {
                name: "happened".to_owned(),
                version: 1,
                from_first: true,
            }],
            most: 1,
            wait_ms: 0,
            bytes: u64::MAX,
        };
        let taken = self.feed.take(ask).await;
        ensure!(taken.is_ok_and(|taken| taken.is_empty()), "nothing is published yet");
        Ok(())
    }

    /// Publishes one event with a change.
    pub async fn publish(&self, number: u64) -> anyhow::Result<()> {
        let mut tx = self.publisher.write().await?;
        sqlx::query("INSERT INTO orders (id, text) VALUES ($1, $2)")
            .bind(i64::try_from(number)?)
            .bind(text_of(number))
            .execute(&mut *tx)
            .await?;
        let event = Happened { item: number, text: text_of(number) };
        self.events.publish(&mut tx, &event).await?;
        Ok(tx.commit().await?)
    }

    /// Publishes so many, in few transactions.
    pub async fn fill(&self, count: u64) -> anyhow::Result<()> {
        let mut number = 0;
        while number < count {
            let mut tx = self.publisher.write().await?;
            for _ in 0..500.min(count - number) {
                let event = Happened { item: number, text: text_of(number) };
                self.events.publish(&mut tx, &event).await?;
                number += 1;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Makes this many events wait. One statement writes them, because publishing a million takes minutes.
    pub async fn pile_up(&self, count: u64) -> anyhow::Result<()> {
        let (numbers, id) = match self.publisher.backend() {
            Backend::Sqlite => (
                "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < $1)",
                "printf('%012d', n)",
            ),
            Backend::Postgres => (
                "WITH n AS (SELECT n FROM generate_series(0, $1 - 1) AS n)",
                "lpad(CAST(n AS TEXT), 12, '0')",
            ),
        };
        let events = format!(
            "{numbers} INSERT INTO monolift_events (id, module, name, version, key, number, payload, registry, \
             offered, made_at_ms, keep_until_ms, epoch) SELECT {id}, 'publisher', 'happened', 1, \
             CAST(n % {KEYS} AS TEXT), n / {KEYS} + 1, \
             '{{\"item\":' || CAST(n AS TEXT) || ',\"text\":\"{}\"}}', 1, 1, 0, 9000000000000, 0 FROM n",
            text_of(0)
        );
        let offers = "INSERT INTO monolift_event_offers (module, listener, event, name, version, key, number, begins, \
             due_at_ms, attempts, leased_till_ms, skipped, epoch) SELECT module, 'listener', id, name, version, key, \
             number, CASE WHEN number = 1 THEN 1 ELSE 0 END, 0, 0, 0, 0, 0 FROM monolift_events";
        let keys = "INSERT INTO monolift_event_keys (module, name, key, number, epoch) \
             SELECT module, name, key, MAX(number), 0 FROM monolift_events GROUP BY module, name, key";
        let mut tx = self.publisher.write().await?;
        sqlx::query(sqlx::AssertSqlSafe(events))
            .bind(i64::try_from(count)?)
            .execute(&mut *tx)
            .await?;
        sqlx::query(offers).execute(&mut *tx).await?;
        sqlx::query(keys).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// The time in which a listener that starts now handles the next `count` events.
    pub async fn handle(&self, count: u64) -> anyhow::Result<Duration> {
        let feeds = Arc::new(Feeds::default());
        let feed: Arc<dyn Feed> = Arc::<PublisherFeed<_>>::clone(&self.feed);
        feeds.add("publisher", feed);
        let handled = watch::Sender::new(0);
        let mut done = handled.subscribe();
        let handler = Arc::new(Handler { db: self.listener.clone(), handled });
        let heard = vec![Heard::of::<Happened, _>(&handler)];
        let listener = Listener::new(self.listener.clone(), "listener", heard, feeds);
        let begun = Instant::now();
        let stop = watch::Sender::new(false);
        let mut stopping = stop.subscribe();
        let listening = tokio::spawn(listener.run(async move {
            drop(stopping.wait_for(|stop| *stop).await);
        }));
        timeout(PATIENCE, done.wait_for(|handled| *handled >= count)).await??;
        let took = begun.elapsed();
        stop.send_replace(true);
        listening.await?;
        Ok(took)
    }

    /// The time until all that was published is handled and acknowledged.
    pub async fn drain(&self, count: u64) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let handling = self.handle(count);
        handling.await?;
        // To stop settles what is left.
        while self.waiting().await? > 0 {
            sleep(Duration::from_millis(2)).await;
        }
        Ok(begun.elapsed())
    }

    async fn waiting(&self) -> anyhow::Result<i64> {
        let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM monolift_event_offers";
        Ok(sqlx::query_scalar(count).fetch_one(&mut *self.publisher.connection().await?).await?)
    }
}
