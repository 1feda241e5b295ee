//! On SQLite, in a folder that goes with the test.

use super::{Backend, Db, DbSettings, History, Location, Migration, OpenError};
use crate::call::Context;
use monolift_call::{StartError, StartErrors};
use sqlx::{Any, Pool, Sqlite, sqlite::SqliteConnectOptions};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{Barrier, Notify},
    time::Instant,
};

const FIRST: Migration = ("0001_notes.sql", "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY)");
const SECOND: Migration = ("0002_text.sql", "ALTER TABLE notes ADD COLUMN text TEXT");

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ml-data-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn location(&self) -> Location {
        Location::File(self.0.join("notes.db"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn open(location: &Location, migrations: &[Migration]) -> Result<Db, OpenError> {
    Db::open(location, &DbSettings::default(), &[History::of("notes", migrations)]).await
}

async fn count(db: &Db) -> i64 {
    let (count,) = sqlx::query_as::<Any, (i64,)>("SELECT COUNT(*) FROM notes")
        .fetch_one(db.pool())
        .await
        .unwrap();
    count
}

#[tokio::test]
async fn migrations_are_applied_once_and_a_newer_database_is_accepted() {
    let folder = Folder::new("once");
    let db = open(&folder.location(), &[FIRST, SECOND]).await.unwrap();
    assert_eq!(db.backend(), Backend::Sqlite);
    open(&folder.location(), &[FIRST, SECOND]).await.unwrap();
    // A release that was rolled back knows only the first.
    open(&folder.location(), &[FIRST]).await.unwrap();
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn a_changed_migration_is_refused_by_name() {
    let folder = Folder::new("changed");
    open(&folder.location(), &[FIRST]).await.unwrap();
    let changed = (FIRST.0, "CREATE TABLE notes (id TEXT)");
    let error = open(&folder.location(), &[changed]).await.unwrap_err();
    assert!(error.to_string().contains("0001_notes.sql was changed"), "{error}");
}

/// A pool of sqlx would try again for half a minute, and then say that there is no connection.
#[tokio::test]
async fn a_file_that_is_no_database_is_refused_at_once() {
    let folder = Folder::new("no-database");
    std::fs::write(folder.0.join("notes.db"), "no database ".repeat(100)).unwrap();
    let url = format!("sqlite:{}", folder.0.join("notes.db").display());
    for location in [folder.location(), Location::Url(url)] {
        let opening = tokio::time::timeout(Duration::from_secs(15), open(&location, &[FIRST]));
        let error = opening.await.expect("it does not try again").unwrap_err();
        let reasons = StartErrors::from(StartError::new("its database").because(error)).to_string();
        assert_eq!(reasons.matches("file is not a database").count(), 1, "{reasons}");
    }
}

/// To turn a file to writing ahead, SQLite needs it alone.
#[tokio::test]
async fn a_file_that_another_program_reads_is_waited_for() {
    let folder = Folder::new("read");
    let file = SqliteConnectOptions::new().filename(folder.0.join("notes.db"));
    let reading = Pool::<Sqlite>::connect_with(file.create_if_missing(true)).await.unwrap();
    sqlx::raw_sql("CREATE TABLE words (word TEXT)").execute(&reading).await.unwrap();
    let mut reader = reading.begin().await.unwrap();
    sqlx::raw_sql("SELECT * FROM words").execute(&mut *reader).await.unwrap();
    let location = folder.location();
    let opening = tokio::spawn(async move { open(&location, &[FIRST]).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!opening.is_finished());
    reader.rollback().await.unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_once_migrate_once() {
    let folder = Folder::new("at-once");
    let starting: Vec<_> = (0..10)
        .map(|_| {
            let location = folder.location();
            tokio::spawn(async move { open(&location, &[FIRST, SECOND]).await })
        })
        .collect();
    for started in starting {
        started.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_wait_for_each_other() {
    let folder = Folder::new("writers");
    let db = open(&folder.location(), &[FIRST]).await.unwrap();
    let writing: Vec<_> = (0..32)
        .map(|number: i64| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.write().await?;
                sqlx::query("SELECT COUNT(*) FROM notes").fetch_one(&mut *tx).await?;
                sqlx::query("INSERT INTO notes (id) VALUES ($1)")
                    .bind(number)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await
            })
        })
        .collect();
    for written in writing {
        written.await.unwrap().unwrap();
    }
    assert_eq!(count(&db).await, 32);
}

/// A caller goes away while its transaction waits for the write lock.
#[tokio::test]
async fn a_beginning_that_is_cut_leaves_nothing_open() {
    let folder = Folder::new("cut");
    let db = open(&folder.location(), &[FIRST]).await.unwrap();
    for polls in 1..12 {
        let holder = db.write().await.unwrap();
        let mut beginning = Box::pin(db.write());
        for _ in 0..polls {
            assert!(futures_util::poll!(&mut beginning).is_pending());
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        drop(beginning);
        holder.rollback().await.unwrap();
        // No connection of the pool may be within a transaction.
        let mut open = Vec::new();
        for _ in 0..5 {
            let mut connection = db.pool().acquire().await.unwrap();
            let began = sqlx::query("BEGIN DEFERRED").execute(&mut *connection).await;
            assert!(began.is_ok(), "after {polls} polls: {began:?}");
            sqlx::query("ROLLBACK").execute(&mut *connection).await.unwrap();
            open.push(connection);
        }
    }
}

/// Also those of an earlier release, which others could read.
#[tokio::test]
async fn nobody_else_reads_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("private");
    let data = folder.0.join("data/shop");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let file = data.join("notes.db");
    let url = Location::Url(format!("sqlite://{}?mode=rwc", data.join("other.db").display()));
    for location in [Location::File(file), url] {
        for earlier in [false, true] {
            let db = open(&location, &[FIRST]).await.unwrap();
            sqlx::query("INSERT INTO notes (id) VALUES ($1)")
                .bind(i64::from(earlier))
                .execute(db.pool())
                .await
                .unwrap();
            assert_eq!(mode(&data), 0o700);
            let mut files = 0;
            for file in std::fs::read_dir(&data).unwrap() {
                let path = file.unwrap().path();
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                files += 1;
                if !earlier {
                    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
                }
            }
            assert!(files > 0);
        }
        // The next one's are made private by that one alone.
        for file in std::fs::read_dir(&data).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_runs_again_while_another_process_has_the_lock() {
    let folder = Folder::new("busy");
    open(&folder.location(), &[FIRST]).await.unwrap();
    // As two processes would: neither waits for the other's lock in the database.
    let file = folder.0.join("notes.db");
    let process = async || {
        let options = SqliteConnectOptions::new().filename(&file).busy_timeout(Duration::ZERO);
        Db::<Sqlite>::new(Pool::connect_with(options).await.unwrap(), Backend::Sqlite)
    };
    let (one, other) = (process().await, process().await);
    let (held, refused) = (Arc::new(Barrier::new(2)), Arc::new(Notify::new()));
    let adding = {
        let (one, held, refused) = (one.clone(), Arc::clone(&held), Arc::clone(&refused));
        tokio::spawn(async move {
            one.transaction(async |mut tx| {
                sqlx::query("INSERT INTO notes (id) VALUES (1)").execute(&mut **tx).await?;
                held.wait().await;
                refused.notified().await;
                tokio::time::sleep(Duration::from_millis(30)).await;
                Ok::<_, sqlx::Error>(())
            })
            .await
        })
    };
    held.wait().await;
    let error = other.write().await.unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    refused.notify_one();
    let added = other.transaction(async |mut tx| {
        sqlx::query("INSERT INTO notes (id) VALUES (2)").execute(&mut **tx).await
    });
    added.await.unwrap();
    adding.await.unwrap().unwrap();
    let (count,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM notes").fetch_one(one.pool()).await.unwrap();
    assert_eq!(count, 2);
}

#[tokio::test]
async fn a_transaction_that_never_gets_the_lock_ends_within_its_deadline() {
    let folder = Folder::new("locked");
    let db = open(&folder.location(), &[FIRST]).await.unwrap();
    let held = db.write().await.unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.0.join("notes.db"))
        .busy_timeout(Duration::ZERO);
    let other = Db::<Sqlite>::new(Pool::connect_with(options).await.unwrap(), Backend::Sqlite);
    let context = Context::until(Instant::now() + Duration::from_millis(50));
    let began = Instant::now();
    let work = other.transaction(async |_| Ok::<_, sqlx::Error>(()));
    let error = context.scope(work).await.unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(held);
}
