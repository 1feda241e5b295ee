//! Migrations as teams run them: by a job, outside of a transaction, and beside the release before.

use crate::{
    postgres::Postgres,
    system::{Process, Run, target},
};
use monolift::Db;
use monolift_data::{DbSettings, History, Location, Migration, OpenError};
use monolift_manifest::Migrate as When;
use sqlx::{Any, Connection, Executor, PgConnection, migrate::Migrate};
use std::{path::Path, time::Duration};

const NOTES: Migration =
    ("0001_notes.sql", "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY, text TEXT)");

async fn open(url: &str, when: When, migrations: &[Migration]) -> Result<Db, OpenError> {
    let settings = DbSettings { migrate: Some(when), ..DbSettings::default() };
    let location = Location::Url(url.to_owned());
    Db::<Any>::open(&location, &settings, &[History::of("notes", migrations)]).await
}

fn told(result: Result<Db, OpenError>) -> String {
    result.unwrap_err().to_string()
}

async fn number(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

const VALID: &str = "SELECT COUNT(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
    WHERE relname = 'notes_text' AND indisvalid";

/// Building an index concurrently waits for every statement that runs, also for one that waits for the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_built_concurrently_while_ten_start() {
    let postgres = Postgres::start();
    let url = postgres.database("notes");
    const INDEX: Migration = (
        "0002_index.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY notes_text ON notes (text);\n\
         ALTER TABLE notes ADD COLUMN kind BIGINT;\n",
    );
    const THIRD: Migration = ("0003_flag.sql", "ALTER TABLE notes ADD COLUMN flag BIGINT");
    let starting: Vec<_> = (0..10)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(&url, When::Start, &[NOTES, INDEX, THIRD]).await })
        })
        .collect();
    for started in starting {
        started.await.unwrap().unwrap();
    }
    assert_eq!(number(&url, VALID).await, 1);
    assert_eq!(number(&url, "SELECT COUNT(*) FROM notes_migrations WHERE success").await, 3);
}

#[tokio::test]
async fn a_migration_that_fails_half_way_says_how_to_go_on() {
    let postgres = Postgres::start();
    let url = postgres.database("notes");
    const TORN: Migration = (
        "0002_index.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY notes_text ON notes (text);\n\n\
         CREATE INDEX CONCURRENTLY other ON notes (nothing);\n",
    );
    let failed = told(open(&url, When::Start, &[NOTES, TORN]).await);
    assert!(failed.contains("0002_index.sql failed outside of a transaction"), "{failed}");
    assert!(failed.contains("statement 2 (line 4)"), "{failed}");
    let again = "DELETE FROM notes_migrations WHERE version = 2";
    assert!(failed.contains(again), "{failed}");

    // Nothing goes on by itself, also after the file was corrected, and the lock is free.
    const MENDED: Migration = (
        "0002_index.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY notes_text ON notes (text);\n",
    );
    for when in [When::Start, When::Never] {
        for file in [TORN, MENDED] {
            let refused = told(open(&url, when, &[NOTES, file]).await);
            let begun =
                "0002_index.sql was begun outside of a transaction and has not ended: it failed";
            assert!(refused.contains(begun) && refused.contains(again), "{refused}");
        }
        // The release before does not have it.
        open(&url, when, &[NOTES]).await.unwrap();
    }
    // The server ends a closed connection a little later.
    while number(&url, "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'").await != 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // While a process migrates, it may be this one that runs.
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.lock().await.unwrap();
    let refused = told(open(&url, When::Never, &[NOTES, TORN]).await);
    assert!(refused.contains("another process is migrating this database"), "{refused}");
    assert!(!refused.contains(again), "{refused}");
    other.unlock().await.unwrap();

    // As it says: what it did is undone, the record too, and the file is corrected.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("DROP INDEX notes_text").await.unwrap();
    connection.execute(again).await.unwrap();
    open(&url, When::Start, &[NOTES, MENDED]).await.unwrap();
    open(&url, When::Never, &[NOTES, MENDED]).await.unwrap();
    assert_eq!(number(&url, VALID).await, 1);
}

#[tokio::test]
async fn a_file_can_be_changed_outside_of_a_transaction_too() {
    let run = Run::new("outside");
    let url = format!("sqlite://{}/notes.db?mode=rwc", run.data.display());
    const TORN: Migration = (
        "0002_vacuum.sql",
        "-- no-transaction\nALTER TABLE notes ADD COLUMN kind BIGINT;\nVACUUM;\nSELECT nothing;",
    );
    let failed = told(open(&url, When::Start, &[NOTES, TORN]).await);
    assert!(failed.contains("statement 3 (line 4)"), "{failed}");
    let db = Db::<Any>::open(&Location::Url(url.clone()), &DbSettings::default(), &[]).await;
    let done = "UPDATE notes_migrations SET success = TRUE WHERE version = 2";
    assert!(failed.contains(done), "{failed}");
    db.unwrap().pool().execute(done).await.unwrap();
    open(&url, When::Start, &[NOTES, TORN]).await.unwrap();
}

/// Processes that open a file by its URL have no lock but SQLite's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_changes_a_file_outside_of_a_transaction() {
    let run = Run::new("outside-at-once");
    let url = format!("sqlite://{}/notes.db?mode=rwc", run.data.display());
    const KIND: Migration =
        ("0002_kind.sql", "-- no-transaction\nALTER TABLE notes ADD COLUMN kind BIGINT;");
    open(&url, When::Start, &[NOTES]).await.unwrap();
    let starting: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(&url, When::Start, &[NOTES, KIND]).await })
        })
        .collect();
    let mut started = 0;
    for one in starting {
        match one.await.unwrap() {
            Ok(_) => started += 1,
            // Another one has begun it, and is not done.
            Err(error) => assert!(error.to_string().contains("it still runs"), "{error}"),
        }
    }
    assert!(started > 0);
    open(&url, When::Never, &[NOTES, KIND]).await.unwrap();
}

#[tokio::test]
async fn a_migration_that_cannot_be_applied_as_its_file_says_is_refused_with_a_hint() {
    let postgres = Postgres::start();
    let url = postgres.database("notes");
    const INDEX: Migration =
        ("0002_index.sql", "CREATE INDEX CONCURRENTLY notes_text ON notes (text)");
    let failed = told(open(&url, When::Start, &[NOTES, INDEX]).await);
    assert!(failed.contains("0002_index.sql failed, and changed nothing: "), "{failed}");
    assert!(failed.contains("begin the file with `-- no-transaction`"), "{failed}");

    const OWN: Migration = ("0002_own.sql", "BEGIN;\nDROP TABLE notes;\nCOMMIT;");
    const OPEN: Migration = ("0002_open.sql", "-- no-transaction\nBEGIN;\nDROP TABLE notes;");
    for migration in [OWN, OPEN] {
        let refused = told(open(&url, When::Start, &[NOTES, migration]).await);
        assert!(refused.contains("transaction") && refused.contains("(line "), "{refused}");
        assert_eq!(number(&url, "SELECT COUNT(*) FROM notes").await, 0);
        open(&url, When::Never, &[NOTES]).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_migration_sets_ends_with_it() {
    const SETS: Migration =
        ("0002_kind.sql", "SET lock_timeout = '7s'; ALTER TABLE notes ADD kind BIGINT");
    let postgres = Postgres::start();
    let url = postgres.database("notes");
    let db = open(&url, When::Start, &[NOTES, SETS]).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..DbSettings::CONNECTIONS {
        let mut connection = db.pool().acquire().await.unwrap();
        let timeout: String =
            sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(timeout, "0");
        all.push(connection);
    }
}

/// Programs with sqlx's own migrations can share the database.
#[tokio::test]
async fn the_lock_of_sqlx_is_waited_for() {
    let postgres = Postgres::start();
    let url = postgres.database("notes");
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.lock().await.unwrap();
    let mut opening = Box::pin(open(&url, When::Start, &[NOTES]));
    tokio::time::timeout(Duration::from_millis(500), &mut opening).await.unwrap_err();
    other.unlock().await.unwrap();
    opening.await.unwrap();
}

#[tokio::test]
async fn a_remark_can_be_added_to_a_migration_that_was_applied() {
    let run = Run::new("remark");
    let url = format!("sqlite://{}/notes.db?mode=rwc", run.data.display());
    const BEFORE: Migration = ("0002_drop.sql", "ALTER TABLE notes DROP COLUMN text;\n");
    const AFTER: Migration = (
        "0002_drop.sql",
        "-- monolift: breaks nothing, because no release reads it\nALTER TABLE notes DROP COLUMN text;\n",
    );
    open(&url, When::Start, &[NOTES, BEFORE]).await.unwrap();
    open(&url, When::Start, &[NOTES, AFTER]).await.unwrap();
}

/// A role that may change rows, and no tables.
#[tokio::test]
async fn a_process_that_never_migrates_needs_a_role_that_reads_and_writes_only() {
    let postgres = Postgres::start();
    let owner = postgres.database("notes");
    let mut admin = PgConnection::connect(&owner).await.unwrap();
    admin.execute("CREATE ROLE runner LOGIN").await.unwrap();
    let runner = owner.replace("postgres@", "runner@");
    const TEXT: Migration = ("0002_kind.sql", "ALTER TABLE notes ADD COLUMN kind BIGINT");
    let refused = told(open(&runner, When::Never, &[NOTES, TEXT]).await);
    let expected = "it lacks the migration 0001_notes.sql and 1 more, and `migrate` is \"never\"";
    assert!(refused.contains(expected) && refused.contains("argument `migrate`"), "{refused}");
    assert!(refused.contains("The role sees no table `notes_migrations`"), "{refused}");

    let migrate = async |migrations: &[Migration]| {
        let history = History::of("notes", migrations);
        let location = Location::Url(owner.clone());
        // The job applies them, whatever holds for the others.
        let settings = DbSettings { migrate: Some(When::Never), ..DbSettings::default() };
        Db::<Any>::migrate_at(&location, &settings, &[history]).await.unwrap()
    };
    assert_eq!(migrate(&[NOTES]).await, ["0001_notes.sql"]);
    admin.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO runner").await.unwrap();
    let refused = told(open(&runner, When::Never, &[NOTES, TEXT]).await);
    assert!(refused.contains("lacks the migration 0002_kind.sql, and"), "{refused}");
    assert!(!refused.contains("The role sees no table"), "{refused}");

    assert_eq!(migrate(&[NOTES, TEXT]).await, ["0002_kind.sql"]);
    assert!(migrate(&[NOTES, TEXT]).await.is_empty());
    // Where nothing is missing, a start only reads.
    for when in [When::Never, When::Start] {
        let db = open(&runner, when, &[NOTES, TEXT]).await.unwrap();
        let mut tx = db.write().await.unwrap();
        let keep = "INSERT INTO notes (id, kind) VALUES ($1, 0)";
        sqlx::query(keep).bind(when as i64).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        assert!(db.pool().execute("CREATE TABLE more (id BIGINT)").await.is_err());
    }
}

/// The statements of a release that knows the first migration only.
async fn release_before(db: &Db, id: i64) {
    let mut tx = db.write().await.unwrap();
    let keep = sqlx::query("INSERT INTO notes (id, text) VALUES ($1, 'a')");
    keep.bind(id).execute(&mut *tx).await.unwrap();
    sqlx::query("UPDATE notes SET text = 'b' WHERE id = $1")
        .bind(id)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let text: String = sqlx::query_scalar("SELECT text FROM notes WHERE id = $1")
        .bind(id)
        .fetch_one(&mut *db.connection().await.unwrap())
        .await
        .unwrap();
    assert_eq!(text, "b");
}

/// It runs when the newer release migrates, and it starts again afterwards: a roll-back.
#[tokio::test]
async fn the_release_before_goes_on_with_the_tables_of_the_newer_one() {
    const KIND: Migration = (
        "0002_kind.sql",
        "-- no-transaction\nALTER TABLE notes ADD COLUMN kind BIGINT NOT NULL DEFAULT 0;\n\
         CREATE INDEX notes_kind ON notes (kind);",
    );
    const MORE: Migration = ("0003_more.sql", "CREATE TABLE more (id BIGINT NOT NULL)");
    let postgres = Postgres::start();
    let run = Run::new("before");
    let file = format!("sqlite://{}/notes.db?mode=rwc", run.data.display());
    for url in [postgres.database("notes"), file] {
        let before = open(&url, When::Start, &[NOTES]).await.unwrap();
        release_before(&before, 1).await;
        let newer = open(&url, When::Start, &[NOTES, KIND, MORE]).await.unwrap();
        release_before(&before, 2).await;
        for (when, id) in [(When::Start, 3), (When::Never, 4)] {
            release_before(&open(&url, when, &[NOTES]).await.unwrap(), id).await;
        }
        let kinds: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM notes WHERE kind = 0")
            .fetch_one(&mut *newer.connection().await.unwrap())
            .await
            .unwrap();
        assert_eq!(kinds, 4);
    }
}

/// The program of a module with durable work, whose tables a job makes as their owner.
#[tokio::test]
async fn a_job_migrates_and_the_processes_need_not() {
    let postgres = Postgres::start();
    let owner = postgres.database("shop");
    let mut admin = PgConnection::connect(&owner).await.unwrap();
    for statement in [
        "CREATE ROLE runner LOGIN",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO runner",
    ] {
        admin.execute(statement).await.unwrap();
    }
    let run = Run::new("job")
        .with("SHOP_DB__MIGRATE", "never")
        .with("SHOP_STOCK__DB__URL", owner.replace("postgres@", "runner@"));
    let program = target().join("debug/stock");
    assert!(program.exists(), "the programs are built: cargo build --workspace --bins");

    let (status, said) = run.start(&program).ended();
    assert!(!status.success());
    assert!(said.contains("lacks the migration 0001_products.sql"), "{said}");
    assert!(said.contains("argument `migrate`"), "{said}");

    let job = |env: &[(String, String)]| {
        let process = Process::start_in(&program, &["migrate"], env, Path::new("."));
        let (status, said) = process.ended();
        assert!(status.success(), "{said}");
        said
    };
    let mut env = run.env.clone();
    env.push(("SHOP_STOCK__DB__MIGRATE_URL".to_owned(), owner.clone()));
    let said = job(&env);
    assert!(said.contains("applied 0001_products.sql") && said.contains("0001_work.sql"), "{said}");
    assert!(!said.contains("stock runs stock"), "it starts nothing: {said}");
    assert!(job(&env).contains("is up to date"));

    let mistyped = Process::start_in(&program, &["migrat"], &env, Path::new("."));
    let (status, said) = mistyped.ended();
    assert!(!status.success());
    assert!(said.contains("there is no command `migrat`: did you mean `migrate`?"), "{said}");

    let mut process = run.start(&program);
    process.says("stock runs stock");
    process.stop();

    // A module's own setting stands over that of all: a role without the right is refused by the server.
    admin.execute("DROP TABLE stock_migrations CASCADE").await.unwrap();
    let (status, said) = run.with("SHOP_STOCK__DB__MIGRATE", "start").start(&program).ended();
    assert!(!status.success());
    assert!(said.contains("permission denied"), "{said}");
}
