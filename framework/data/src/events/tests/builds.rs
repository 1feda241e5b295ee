//! A read model is built anew while it is read and fed.

use super::{Shop, Stepped, until};
use crate::{
    Db,
    events::{
        Delivery, Failure, Feeds, Heard, Listener, On, PublisherFeed, ReadModel,
        rebuild::{Rebuild, attend, rebuilding},
    },
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

/// Adds up the steps of orders, each with a weight.
struct Tally {
    db: Db,
    weight: AtomicI64,
    /// The pause of a build after the first, for each event.
    pause_ms: AtomicU64,
}

#[async_trait]
impl On<Stepped> for Tally {
    async fn on(&self, event: Delivery<Stepped>) -> Result<(), Failure> {
        if event.build() > 1 {
            sleep(Duration::from_millis(self.pause_ms.load(SeqCst))).await;
        }
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        sqlx::query(
            "INSERT INTO tallies (monolift_build, id, steps) VALUES ($1, $2, $3) \
             ON CONFLICT (monolift_build, id) DO UPDATE SET steps = tallies.steps + $3",
        )
        .bind(event.build())
        .bind(event.order)
        .bind(self.weight.load(SeqCst))
        .execute(&mut **tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

struct Process {
    rebuild: Arc<dyn Rebuild>,
    task: JoinHandle<()>,
}

impl Process {
    /// As a process that is killed.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn tally(shop: &Shop) -> Arc<Tally> {
    let table = "CREATE TABLE tallies (monolift_build BIGINT NOT NULL, id BIGINT NOT NULL, \
        steps BIGINT NOT NULL, PRIMARY KEY (monolift_build, id))";
    sqlx::query(table).execute(shop.mails.pool()).await.unwrap();
    let db = shop.mails.clone();
    Arc::new(Tally { db, weight: AtomicI64::new(1), pause_ms: AtomicU64::new(0) })
}

fn listener(shop: &Shop, tally: &Arc<Tally>, kept: Duration) -> Arc<Listener<sqlx::Any>> {
    let feeds = Arc::new(Feeds::default());
    feeds.add("orders", Arc::<PublisherFeed<_>>::clone(&shop.feed));
    let heard = vec![Heard::of::<Stepped, _>(tally)];
    Arc::new(Listener::new(shop.mails.clone(), "tally", heard, feeds).with_read_model(kept))
}

fn listen(shop: &Shop, tally: &Arc<Tally>, kept: Duration) -> Process {
    let listener = listener(shop, tally, kept);
    let rebuild = rebuilding(&listener);
    Process { rebuild, task: tokio::spawn(listener.run_shared(std::future::pending())) }
}

/// The build that answers, and its sum.
async fn read(shop: &Shop) -> (i64, i64) {
    let mut tx = shop.mails.read().await.unwrap();
    let build = ReadModel::<sqlx::Any>::new("tally").answering(&mut tx).await.unwrap();
    let sql =
        "SELECT CAST(COALESCE(SUM(steps), 0) AS BIGINT) FROM tallies WHERE monolift_build = $1";
    let sum: (i64,) = sqlx::query_as(sql).bind(build).fetch_one(&mut *tx).await.unwrap();
    (build, sum.0)
}

async fn builds_with_rows(shop: &Shop) -> Vec<i64> {
    let sql = "SELECT DISTINCT monolift_build FROM tallies ORDER BY monolift_build";
    let rows: Vec<(i64,)> = sqlx::query_as(sql).fetch_all(shop.mails.pool()).await.unwrap();
    rows.into_iter().map(|row| row.0).collect()
}

async fn listeners(shop: &Shop) -> Vec<String> {
    let lag = shop.ledger().lag().await.unwrap();
    let names: BTreeSet<String> = lag.into_iter().map(|one| one.listener).collect();
    names.into_iter().collect()
}

/// However young the events are that were there before it began.
#[tokio::test]
async fn a_build_answers_with_all_that_was_published_before_it() {
    let shop = super::shop("young").await;
    let tally = tally(&shop).await;
    let listener = listener(&shop, &tally, Duration::from_secs(60));
    let (rebuild, mut running) = (rebuilding(&listener), BTreeMap::new());
    let kept = Duration::from_secs(60);
    attend(&listener, kept, &mut running).await.unwrap();
    shop.publish(1, 1..=3).await;
    until(async || read(&shop).await == (1, 3)).await;
    tally.pause_ms.store(200, SeqCst);
    assert_eq!(rebuild.begin(false).await.unwrap(), 2);
    while read(&shop).await.0 == 1 {
        attend(&listener, kept, &mut running).await.unwrap();
    }
    assert_eq!(read(&shop).await, (2, 3));
}

#[tokio::test]
async fn a_build_answers_once_it_is_whole_and_one_that_is_broken_off_never() {
    let shop = super::shop("builds").await;
    let tally = tally(&shop).await;
    // The first build is made by a mistaken handler.
    tally.weight.store(2, SeqCst);
    let process = listen(&shop, &tally, Duration::from_millis(100));
    for order in 1..=4 {
        shop.publish(order, 1..=25).await;
    }
    until(async || read(&shop).await == (1, 200)).await;
    tally.weight.store(1, SeqCst);

    // One that is slow, and whose process ends.
    tally.pause_ms.store(100, SeqCst);
    assert_eq!(process.rebuild.begin(false).await.unwrap(), 2);
    until(async || builds_with_rows(&shop).await == [1, 2]).await;
    process.kill().await;
    assert_eq!(read(&shop).await, (1, 200));

    // It is begun again while events are published and the tallies are read.
    let process = listen(&shop, &tally, Duration::from_millis(100));
    assert_eq!(process.rebuild.begin(false).await.unwrap(), 3);
    tally.pause_ms.store(5, SeqCst);
    let mut published = 100;
    while read(&shop).await.0 == 1 {
        shop.publish(1 + published % 4, [26 + published]).await;
        published += 1;
        let (build, sum) = read(&shop).await;
        // The old one has all at twice the weight. The new one has all that is a second old.
        assert!(build == 3 || sum >= 200, "build {build} has {sum}");
        assert!(build == 1 || sum >= 100, "build {build} has {sum} of {published}");
        assert!(published < 3_000, "it never caught up");
        sleep(Duration::from_millis(2)).await;
    }
    until(async || read(&shop).await == (3, published)).await;
    // Nothing is left of the others.
    until(async || builds_with_rows(&shop).await == [3]).await;
    until(async || listeners(&shop).await == ["tally.3"]).await;
    until(async || {
        let sql = "SELECT DISTINCT module FROM monolift_inbox_keys";
        let inbox: Vec<(String,)> = sqlx::query_as(sql).fetch_all(shop.mails.pool()).await.unwrap();
        inbox == [("tally.3".to_owned(),)]
    })
    .await;
    process.kill().await;
}

/// As a process that was frozen while another one switched to a new build, and deleted the old one.
#[tokio::test]
async fn a_build_that_others_have_deleted_listens_no_more() {
    let shop = super::shop("zombie").await;
    let tally = tally(&shop).await;
    let process = listen(&shop, &tally, Duration::from_secs(600));
    shop.publish(1, 1..=3).await;
    until(async || read(&shop).await == (1, 3)).await;
    assert_eq!(process.rebuild.begin(false).await.unwrap(), 2);
    until(async || read(&shop).await == (2, 3)).await;
    let mut tx = shop.mails.write().await.unwrap();
    let sql = "UPDATE monolift_builds SET state = 'gone' WHERE number = 2";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    let sql = "UPDATE monolift_builds SET state = 'answering' WHERE number = 1";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    until(async || listeners(&shop).await == ["tally"]).await;
    until(async || builds_with_rows(&shop).await == [1]).await;
    process.kill().await;
}

#[tokio::test]
async fn a_build_is_refused_when_events_were_removed_unless_it_may_be_partial() {
    let shop = super::shop("removed").await;
    let tally = tally(&shop).await;
    let process = listen(&shop, &tally, Duration::from_secs(600));
    shop.publish(1, 1..=3).await;
    until(async || read(&shop).await == (1, 3)).await;
    shop.until_lag((0, 0)).await;
    let sql = "UPDATE monolift_events SET keep_until_ms = 0 WHERE number = 1";
    let mut tx = shop.orders.write().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.ledger().prune(None).await.unwrap(), 1);
    let refused = process.rebuild.begin(false).await.unwrap_err().to_string();
    assert!(refused.contains("`orders` has removed events"), "{refused}");
    assert_eq!(process.rebuild.begin(true).await.unwrap(), 2);
    until(async || read(&shop).await == (2, 2)).await;
    // A call that began before the switch still finds what it reads.
    assert_eq!(builds_with_rows(&shop).await, [1, 2]);
    process.kill().await;
}
