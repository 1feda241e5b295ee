//! The framework's tables between releases, and the epochs of their rows.

use super::{Add, Counter, Folder, adds, database, enqueue, left, start, until};
use crate::{
    Db, DbSettings, Location, Migration, OpenError,
    work::{
        Ledger, Work, history,
        tables::{MIGRATIONS, history_of},
    },
};
use std::sync::{Arc, atomic::Ordering};

const USABLE: Migration = (
    "0004_usable.sql",
    "ALTER TABLE monolift_work ADD COLUMN later BIGINT;
    INSERT INTO monolift_tables (version, readable_since) VALUES (4, 3)",
);
const UNUSABLE: Migration = (
    "0005_unusable.sql",
    "ALTER TABLE monolift_work RENAME COLUMN payload TO content;
    INSERT INTO monolift_tables (version, readable_since) VALUES (5, 5)",
);

/// Opens the database of `folder` as a release with these migrations does.
async fn open(folder: &Folder, migrations: &[Migration]) -> Result<Db, OpenError> {
    let location = Location::File(folder.0.join("shop.db"));
    Db::open(&location, &DbSettings::default(), &[history_of(migrations)]).await
}

#[tokio::test]
async fn every_migration_states_who_can_use_the_tables() {
    let (_folder, db) = database("states").await;
    let stated: Vec<(i64, i64)> =
        sqlx::query_as("SELECT version, readable_since FROM monolift_tables ORDER BY version")
            .fetch_all(db.pool())
            .await
            .unwrap();
    let versions: Vec<i64> = stated.iter().map(|(version, _)| *version).collect();
    let last = i64::try_from(MIGRATIONS.len()).unwrap();
    assert_eq!(versions, (1..=last).collect::<Vec<_>>());
    assert!(stated.iter().all(|(version, since)| since <= version), "{stated:?}");
}

#[tokio::test]
async fn newer_tables_are_used_if_they_say_so_and_refused_otherwise() {
    let (folder, db) = database("newer").await;
    let newer: Vec<Migration> = MIGRATIONS.iter().copied().chain([USABLE]).collect();
    open(&folder, &newer).await.unwrap();
    open(&folder, MIGRATIONS).await.unwrap();
    let work = Work::new(db.clone(), "shop", &["add"]);
    let counter = Arc::new(Counter::default());
    let running = start(&work, adds(&counter));
    enqueue(&work, &db, 3).await;
    until(async || counter.sum.load(Ordering::SeqCst) == 3).await;
    running.stop().await;

    let newest: Vec<Migration> = newer.into_iter().chain([UNUSABLE]).collect();
    open(&folder, &newest).await.unwrap();
    let error = open(&folder, MIGRATIONS).await.unwrap_err().to_string();
    assert!(error.contains("have version 5"), "{error}");
    assert!(error.contains("from version 5 on"), "{error}");
    assert!(error.contains("built with version 3"), "{error}");
    open(&folder, &newest).await.unwrap();
}

/// A piece and a claim as the release without epochs writes them.
#[tokio::test]
async fn the_release_before_shares_the_tables() {
    let folder = std::env::temp_dir().join(format!("ml-work-{}-before", std::process::id()));
    let folder = Folder(folder);
    let before = open(&folder, &MIGRATIONS[..1]).await.unwrap();
    let old_piece = "INSERT INTO monolift_work (module, id, name, key, payload, trace, due_at_ms, \
        attempts, leased_till_ms, made_at_ms) VALUES ('shop', $1, 'add', NULL, '20', NULL, 0, 0, 0, 0)";
    sqlx::query(old_piece).bind("before").execute(before.pool()).await.unwrap();

    let db = open(&folder, history().migrations).await.unwrap();
    sqlx::query(old_piece).bind("beside").execute(before.pool()).await.unwrap();
    let work = Work::new(db.clone(), "shop", &["add"]);
    enqueue(&work, &db, 2).await;
    let claimed: Vec<(String,)> = sqlx::query_as(
        "UPDATE monolift_work SET holder = 'old', leased_till_ms = 1, attempts = attempts + 1 \
         WHERE payload = '2' RETURNING payload",
    )
    .fetch_all(before.pool())
    .await
    .unwrap();
    assert_eq!(claimed.len(), 1);

    let counter = Arc::new(Counter::default());
    let running = start(&work, adds(&counter));
    until(async || left(&Ledger::of(db.clone(), "shop")).await == (0, 0)).await;
    assert_eq!(counter.sum.load(Ordering::SeqCst), 42);
    running.stop().await;
    // It is started again, too: after a rollback, or as a further replica.
    open(&folder, &MIGRATIONS[..1]).await.unwrap();
}

#[tokio::test]
async fn a_piece_of_a_later_epoch_is_not_taken_and_not_cancelled() {
    let (_folder, db) = database("epoch").await;
    let work = Work::new(db.clone(), "shop", &["add"]);
    let mut tx = db.write().await.unwrap();
    work.enqueue_keyed(&mut tx, "moved", std::time::Duration::ZERO, &Add(1)).await.unwrap();
    sqlx::query("UPDATE monolift_work SET epoch = 1").execute(&mut *tx).await.unwrap();
    work.enqueue(&mut tx, &Add(10)).await.unwrap();
    assert!(!work.cancel::<Add>(&mut tx, "moved").await.unwrap());
    tx.commit().await.unwrap();
    let counter = Arc::new(Counter::default());
    let running = start(&work, adds(&counter));
    // One statement claims all that is due: both, if it took the first.
    until(async || left(&Ledger::of(db.clone(), "shop")).await == (1, 0)).await;
    running.stop().await;
    assert_eq!(counter.sum.load(Ordering::SeqCst), 10);
}

/// The new owner has raised the epoch: the old one does not acknowledge the piece.
#[tokio::test]
async fn a_later_epoch_ends_a_claim() {
    let (_folder, db) = database("raised").await;
    let work = Work::new(db.clone(), "shop", &["add"]);
    let slow =
        Arc::new(Counter { takes: std::time::Duration::from_secs(3600), ..Counter::default() });
    let running = start(&work, adds(&slow));
    enqueue(&work, &db, 5).await;
    until(async || slow.at_once.load(Ordering::SeqCst) == 1).await;
    let mut tx = db.write().await.unwrap();
    let raise = "UPDATE monolift_work SET epoch = 1";
    sqlx::query(raise).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    // A stop gives back what is being done, which would undo the attempt if it were still ours.
    running.stop().await;
    let (attempts, held): (i64, i64) = sqlx::query_as(
        "SELECT attempts, CASE WHEN holder IS NULL THEN 0 ELSE 1 END FROM monolift_work",
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert_eq!((attempts, held), (1, 1));
}
