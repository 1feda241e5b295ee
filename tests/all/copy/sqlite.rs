//! From one SQLite file to another.

use super::Project;
use monolift::Db;
use monolift_data::{DbSettings, History, Location, Migration, work};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, Sqlite, SqliteConnection, sqlite::SqliteConnectOptions,
};
use std::{fs, path::Path, time::Duration};

const NOTES: Migration = (
    "0001_notes.sql",
    "CREATE TABLE notes (
         id      INTEGER PRIMARY KEY AUTOINCREMENT,
         author  TEXT NOT NULL REFERENCES people (name) ON DELETE CASCADE,
         answers BIGINT REFERENCES notes,
         body    TEXT COLLATE NOCASE,
         data    BLOB,
         any,
         length  BIGINT GENERATED ALWAYS AS (length(body)) STORED
     );
     CREATE TABLE people (name TEXT PRIMARY KEY) WITHOUT ROWID;
     CREATE TABLE twice (word TEXT);
     CREATE TABLE words (word TEXT);
     INSERT INTO words VALUES ('seed');
     CREATE TABLE changes (note BIGINT);
     CREATE TRIGGER changed AFTER INSERT ON notes BEGIN INSERT INTO changes VALUES (NEW.id); END;",
);

const ROWS: &str = "INSERT INTO people VALUES ('Ann'), ('Bob');
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 25000)
        INSERT INTO notes (author, answers, body) SELECT iif(n % 2, 'Ann', 'Bob'), iif(n % 3, NULL, n), 'note ' || n FROM n;
    INSERT INTO notes (author, body, data, any) VALUES ('Ann', '', x'00ff0a', 1), ('Ann', NULL, zeroblob(3000000), 1.5),
        ('Bob', 'nul' || char(0) || 'byte', x'', '1'), ('Bob', 'åß∂', NULL, x'31'), ('Bob', 'last', NULL, 9e999);
    DELETE FROM notes WHERE body = 'last';
    INSERT INTO twice VALUES ('same'), ('same'), ('Same');
    DELETE FROM words; INSERT INTO words VALUES ('grown');
    INSERT INTO monolift_work (id, module, name, payload, due_at_ms, attempts, leased_till_ms, made_at_ms)
        VALUES ('1', 'notes', 'index', '{}', 0, 3, 0, 0);";

async fn open(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::ZERO);
    options.connect().await.unwrap()
}

/// A project whose module has worked on its file in the data directory.
async fn filled(name: &str) -> (Project, SqliteConnection) {
    let project = Project::new(name, &[NOTES]);
    let file = project.folder.join("data/notes.db");
    let histories = [History::of("notes", &[NOTES]), work::history()];
    let location = Location::File(file.clone());
    Db::<Sqlite>::migrate_at(&location, &DbSettings::default(), &histories).await.unwrap();
    let mut connection = open(&file).await;
    sqlx::raw_sql(ROWS).execute(&mut connection).await.unwrap();
    (project, connection)
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

async fn rows(connection: &mut SqliteConnection, table: &str, columns: &str) -> Vec<String> {
    let sql = format!("SELECT {columns} FROM {table} ORDER BY 1");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap()
}

const TABLES: [(&str, &str); 6] = [
    (
        "notes",
        "printf('%08d', id) || author || quote(answers) || hex(body) || quote(data) || typeof(any) || quote(any) || quote(length)",
    ),
    ("people", "name"),
    ("twice", "word"),
    ("words", "word"),
    ("changes", "printf('%08d', note)"),
    ("monolift_work", "id || module || name || payload || attempts"),
];

#[tokio::test]
async fn every_row_of_a_module_is_in_its_new_file() {
    let (project, mut source) = filled("file").await;
    let copied = project.copy(&["notes", "--to", "sqlite:moved/notes.db", "--write"]);
    copied.well("notes          25004 rows, equal");
    copied.well("settings.toml has the new URL");
    let file = project.folder.join("moved/notes.db");
    let settings = fs::read_to_string(project.folder.join("settings.toml")).unwrap();
    assert_eq!(settings, format!("[notes.db]\nurl = \"sqlite://{}\"\n", file.display()));
    let mut target = open(&file).await;
    for (table, columns) in TABLES {
        let here = rows(&mut source, table, columns).await;
        let there = rows(&mut target, table, columns).await;
        assert!(!here.is_empty() && here == there, "{table}: {} rows", there.len());
    }
    // New rows have new numbers, and triggers fire again.
    let note = "INSERT INTO notes (author, body) VALUES ('Ann', 'four') RETURNING id";
    assert_eq!(number(&mut target, note).await, 25_006);
    assert_eq!(number(&mut target, "SELECT COUNT(*) FROM changes WHERE note = 25006").await, 1);
    assert!(target.execute("INSERT INTO notes (author) VALUES ('Eve')").await.is_err());

    // The settings name the new file now.
    let to = ["notes", "--to", "sqlite:moved/notes.db"];
    project.copy(&to).badly("it is the same file");
    let from = ["--from", "sqlite:data/notes.db"];
    let again = project.copy(&[&to[..], &from].concat());
    again.badly("notes: 25004 rows in the source and 25005 in the target");
    target.execute("DELETE FROM notes WHERE id = 25006").await.unwrap();
    target.execute("DELETE FROM changes WHERE note = 25006").await.unwrap();
    project.copy(&[&to[..], &from].concat()).well("already copied");
    // Equal by its collation, and not the same.
    target.execute("UPDATE notes SET body = 'NOTE 7' WHERE id = 7").await.unwrap();
    project
        .copy(&[&to[..], &from].concat())
        .badly("at least 1 of the source are not in the target");
}

#[tokio::test]
async fn rows_that_refer_to_nothing_are_refused() {
    let (project, mut source) = filled("orphans").await;
    let orphan = "PRAGMA foreign_keys = OFF; INSERT INTO notes (author) VALUES ('Eve')";
    sqlx::raw_sql(orphan).execute(&mut source).await.unwrap();
    let refused = project.copy(&["notes", "--to", "sqlite:new.db"]);
    refused.badly("1 rows of `notes` refer to rows of `people` that are not there");
    let mut target = open(&project.folder.join("new.db")).await;
    assert_eq!(number(&mut target, "SELECT COUNT(*) FROM notes").await, 0);
}

#[tokio::test]
async fn writers_wait_for_a_copy_and_readers_do_not() {
    let (project, mut source) = filled("wait").await;
    let mut copying = project.start(&["notes", "--to", "sqlite:new.db"]);
    // The file is locked while the copy is at work.
    let mut refused = 0;
    while copying.is_at_work() {
        match source.execute("UPDATE words SET word = word").await {
            Ok(_) => {}
            Err(error) => {
                assert!(error.to_string().contains("locked"), "{error}");
                refused += 1;
            }
        }
        assert_eq!(number(&mut source, "SELECT COUNT(*) FROM notes").await, 25_004);
    }
    copying.ended().well("25004 rows, equal");
    assert!(refused > 0);
    source.execute("UPDATE words SET word = 'late'").await.unwrap();
}

#[tokio::test]
async fn a_copy_that_takes_too_long_or_dies_has_changed_nothing() {
    let (project, mut source) = filled("hold").await;
    let to = ["notes", "--to", "sqlite:new.db"];
    source.execute("BEGIN IMMEDIATE").await.unwrap();
    let blocked = project.copy(&[&to[..], &["--hold", "200ms"]].concat());
    blocked.badly("writes waited for 200ms, and the locks were not free");
    source.execute("ROLLBACK").await.unwrap();
    let over = project.copy(&[&to[..], &["--hold", "30ms"]].concat());
    over.badly("writes waited for 30ms, and the ");
    source.execute("UPDATE words SET word = 'goes on'").await.unwrap();

    let killed = project.start(&to);
    crate::support::soon(async {
        while source.execute("UPDATE words SET word = word").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    killed.kill();
    source.execute("UPDATE words SET word = 'goes on'").await.unwrap();
    let mut target = open(&project.folder.join("new.db")).await;
    assert_eq!(number(&mut target, "SELECT COUNT(*) FROM notes").await, 0);
    // It has the rows of its migrations, as after a start of the module, and the error says what to do.
    project.copy(&to).badly("empty these tables");
    target.execute("DELETE FROM words").await.unwrap();
    project.copy(&to).well("25004 rows, equal");
}
