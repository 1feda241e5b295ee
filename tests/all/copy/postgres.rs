//! From PostgreSQL to PostgreSQL.

use super::Project;
use crate::{connections::roles, postgres::Postgres as Server};
use monolift::Db;
use monolift_data::{DbSettings, History, Location, Migration, work};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres};
use std::time::Duration;

const NOTES: Migration = (
    "0001_notes.sql",
    "CREATE TYPE mood AS ENUM ('calm', 'loud');
     CREATE TABLE people (
         id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         name TEXT   NOT NULL UNIQUE
     );
     CREATE TABLE notes (
         id      SERIAL PRIMARY KEY,
         author  BIGINT NOT NULL REFERENCES people ON DELETE CASCADE,
         answers INT    REFERENCES notes DEFERRABLE INITIALLY DEFERRED,
         body    TEXT,
         data    BYTEA,
         facts   JSONB,
         tags    TEXT[],
         moods   mood[],
         price   NUMERIC(20, 5),
         ratio   DOUBLE PRECISION,
         at      TIMESTAMPTZ,
         lasts   INTERVAL,
         \"Length\" INT GENERATED ALWAYS AS (length(body)) STORED
     );
     CREATE TABLE heads (id INT PRIMARY KEY, tail INT);
     CREATE TABLE tails (id INT PRIMARY KEY, head INT NOT NULL REFERENCES heads);
     ALTER TABLE heads ADD FOREIGN KEY (tail) REFERENCES tails;
     CREATE TABLE days (day DATE NOT NULL, what TEXT) PARTITION BY RANGE (day);
     CREATE TABLE days_2025 PARTITION OF days FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
     CREATE TABLE days_2026 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
     CREATE TABLE papers (title TEXT);
     CREATE TABLE long_papers (pages INT) INHERITS (papers);
     CREATE SEQUENCE tickets START 1000;
     CREATE TABLE words (word TEXT PRIMARY KEY);
     INSERT INTO words VALUES ('seed');
     CREATE TABLE changes (note INT);
     CREATE FUNCTION note_changed() RETURNS TRIGGER LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO changes VALUES (NEW.id); RETURN NEW; END $$;
     CREATE TRIGGER changed AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION note_changed();
     CREATE TRIGGER changed_too AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION note_changed();
     ALTER TABLE notes DISABLE TRIGGER changed_too",
);

/// What a module has written over the years.
const ROWS: &str = "INSERT INTO people (name) SELECT 'person ' || n FROM generate_series(1, 100) n;
    DELETE FROM people WHERE id = 100;
    INSERT INTO notes (author, body, tags, moods, price, ratio, at, lasts)
        SELECT 1 + n % 99, 'note ' || n, ARRAY['a', NULL, 'b' || n], ARRAY['calm', 'loud']::mood[],
        n / 7.0, random(), now() - n * INTERVAL '1 hour', n * INTERVAL '1 day 3 ms'
        FROM generate_series(1, 3000) n;
    UPDATE notes SET answers = id + 1 WHERE id % 3 = 0 AND id < 3000;
    INSERT INTO notes (author, body, facts) VALUES
        (1, E'tab\\t line\\n back\\\\slash \\\\. \\\\N \\r end', '{\"a\": [1, null, \"\\\\u00e9\"]}'),
        (2, '', '\"\"'), (3, NULL, 'null'), (4, 'åß∂ 日本', NULL);
    INSERT INTO notes (author, data) VALUES (5, decode('00ff0a5c', 'hex')),
        (6, decode(repeat('00ff0a5c', 1000000), 'hex'));
    INSERT INTO heads VALUES (1, NULL), (2, NULL); INSERT INTO tails VALUES (1, 2), (2, 1);
    UPDATE heads SET tail = id;
    INSERT INTO days VALUES ('2025-05-05', 'a'), ('2026-06-06', 'b'), ('2026-06-06', 'b');
    INSERT INTO papers VALUES ('short'); INSERT INTO long_papers VALUES ('long', 900);
    UPDATE words SET word = 'grown'; INSERT INTO words VALUES ('second');
    SELECT nextval('tickets'), nextval('tickets');
    INSERT INTO monolift_work (id, module, name, payload, due_at_ms, attempts, leased_till_ms, made_at_ms)
        VALUES ('1', 'notes', 'index', '{}', 0, 3, 0, 0), ('2', 'stock', 'count', '{}', 0, 0, 0, 0);";

/// A database in which the module `notes` has worked, beside others.
async fn filled(server: &Server, name: &str) -> (String, PgConnection) {
    let url = server.database(name);
    let histories = [History::of("notes", &[NOTES]), work::history()];
    let location = Location::Url(url.clone());
    Db::<Postgres>::migrate_at(&location, &DbSettings::default(), &histories).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("CREATE TABLE stock (sku TEXT)").await.unwrap();
    sqlx::raw_sql(ROWS).execute(&mut connection).await.unwrap();
    (url, connection)
}

async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// All rows of a table, as text.
async fn rows(connection: &mut PgConnection, table: &str) -> Vec<String> {
    let filter = if table == "monolift_work" { "WHERE module = 'notes'" } else { "" };
    let sql = format!("SELECT t::TEXT FROM ONLY {table} t {filter} ORDER BY 1");
    let sql = sql.replace("ONLY days", "days");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap()
}

const TABLES: [&str; 10] = [
    "people",
    "notes",
    "heads",
    "tails",
    "days",
    "papers",
    "long_papers",
    "words",
    "changes",
    "monolift_work",
];

#[tokio::test]
async fn every_row_of_a_module_is_in_its_new_database() {
    let server = Server::start();
    let (old, mut source) = filled(&server, "old").await;
    let new = server.database("new");
    let project = Project::new("all", &[NOTES]).with("SHOP_NOTES__DB__URL", &old);
    let to = new.replace("postgres@", "postgres:CANARY@");

    let copied = project.copy(&["notes", "--to", &to]);
    copied.well("notes          3006 rows, equal");
    copied.well("copied ");
    copied.well("[notes.db]");
    copied.well("url = \"postgres://postgres@127.0.0.1");
    assert!(!copied.text.contains("CANARY"), "{}", copied.text);
    let mut target = PgConnection::connect(&new).await.unwrap();
    for table in TABLES {
        let (here, there) = (rows(&mut source, table).await, rows(&mut target, table).await);
        assert!(!here.is_empty() && here == there, "{table}: {} rows", there.len());
    }
    // What other modules have is not there.
    let others = "SELECT (to_regclass('stock') IS NOT NULL)::INT::BIGINT \
        + (SELECT COUNT(*) FROM monolift_work WHERE module <> 'notes')";
    assert_eq!(number(&mut target, others).await, 0);
    // New rows have new numbers, and triggers fire as the migrations left them.
    let person = "INSERT INTO people (name) VALUES ('new') RETURNING id";
    assert_eq!(number(&mut target, person).await, 101);
    let note = "INSERT INTO notes (author, body) VALUES (1, 'four') RETURNING id::BIGINT";
    assert_eq!(number(&mut target, note).await, 3007);
    assert_eq!(number(&mut target, "SELECT COUNT(*) FROM changes WHERE note = 3007").await, 1);
    assert_eq!(number(&mut target, "SELECT nextval('tickets')").await, 1002);
    let length = "SELECT \"Length\"::BIGINT FROM notes WHERE id = 3007";
    assert_eq!(number(&mut target, length).await, 4);
    let orphan = target.execute("INSERT INTO tails VALUES (9, 9)").await.unwrap_err().to_string();
    assert!(orphan.contains("foreign key"), "{orphan}");

    let keys = "SELECT string_agg(conname || condeferrable || condeferred, ' ' ORDER BY conname) \
        FROM pg_constraint WHERE contype = 'f'";
    let keys = async |connection: &mut PgConnection| {
        sqlx::query_scalar::<_, String>(keys).fetch_one(connection).await.unwrap()
    };
    assert_eq!(keys(&mut source).await, keys(&mut target).await);

    // It has other rows now, and they stay.
    let again = project.copy(&["notes", "--to", &to]);
    again.badly("notes: 3006 rows in the source and 3007 in the target");
    again.badly("at least 1 of the target are not in the source");
    target.execute("DELETE FROM people WHERE id = 101").await.unwrap();
    target.execute("DELETE FROM notes WHERE id = 3007").await.unwrap();
    target.execute("DELETE FROM changes WHERE note = 3007").await.unwrap();
    project.copy(&["notes", "--to", &to]).well("already copied");
    target.execute("UPDATE notes SET body = 'changed' WHERE id = 7").await.unwrap();
    let again = project.copy(&["notes", "--to", &to]);
    again.badly("at least 1 of the source are not in the target");
    project.copy(&["notes", "--to", &old]).badly("the same schema of the same database");
}

/// The login of a shared pool reaches no table, so a copy has to take on the module's role, and says how.
#[tokio::test]
async fn rows_move_to_a_shared_pool_and_back() {
    let server = Server::start();
    let (old, mut source) = filled(&server, "old").await;
    let admin = server.database("shop");
    let url = roles(&admin, "login", &["shop_notes"]).await;
    let as_role = format!("{url}?options[role]=shop_notes&options[search_path]=shop_notes");
    let project = Project::new("shared-pool", &[NOTES]).with("SHOP_DB__URL", &url);

    let to = project.copy(&["notes", "--from", &old, "--to", &url]);
    to.badly("--to (or MONOLIFT_TO_URL) is the URL of a pool that modules share");
    to.badly("`options[role]=shop_notes` and `options[search_path]=notes`");
    project.copy(&["notes", "--from", &old, "--to", &as_role]).well("copied ");
    let pool = Location::Shared { url: url.clone(), role: "shop_notes".to_owned() };
    let histories = [History::of("notes", &[NOTES]), work::history()];
    let db: Db<Postgres> = Db::open(&pool, &DbSettings::default(), &histories).await.unwrap();
    for table in TABLES {
        let there = rows(&mut db.read().await.unwrap(), table).await;
        let here = rows(&mut source, table).await;
        assert!(!here.is_empty() && here == there, "{table}: {} rows", there.len());
    }

    let new = server.database("new");
    let from = project.copy(&["notes", "--to", &new]);
    from.badly("by its settings, notes uses a pool that modules share");
    from.badly("a URL that logs in as the role shop_notes");
    let from = project.copy(&["notes", "--from", &url, "--to", &new]);
    from.badly("--from (or MONOLIFT_FROM_URL) is the URL of a pool that modules share");
    project.copy(&["notes", "--from", &as_role, "--to", &new]).well("copied ");
    // The role that migrates reaches the tables.
    let project = project.with("SHOP_NOTES__DB__MIGRATE_URL", &as_role);
    project.copy(&["notes", "--to", &new]).well("already copied");
}

/// The first module of an old program: its tables are beside those that stay.
#[tokio::test]
async fn tables_of_an_old_program_move_to_a_schema_of_their_own() {
    let server = Server::start();
    let url = server.database("gazette");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let old = "CREATE TABLE users (id BIGINT PRIMARY KEY);
        CREATE TABLE follows (
            follower BIGINT NOT NULL REFERENCES users ON DELETE CASCADE,
            followed BIGINT NOT NULL REFERENCES users ON DELETE CASCADE,
            PRIMARY KEY (follower, followed)
        );
        CREATE TABLE _sqlx_migrations (version BIGINT);
        INSERT INTO users SELECT generate_series(1, 50);
        INSERT INTO follows SELECT a.id, b.id FROM users a, users b WHERE a.id <> b.id;
        CREATE SCHEMA notes; CREATE ROLE notes_owner LOGIN; ALTER SCHEMA notes OWNER TO notes_owner;
        ALTER ROLE notes_owner SET search_path = notes;";
    sqlx::raw_sql(old).execute(&mut connection).await.unwrap();
    const OWN: Migration = (
        "0001_follows.sql",
        "CREATE TABLE follows (follower BIGINT NOT NULL, followed BIGINT NOT NULL, \
         PRIMARY KEY (follower, followed))",
    );
    let project = Project::new("schema", &[OWN]);
    let to = url.replace("postgres@", "notes_owner@");
    project.copy(&["notes", "--from", &url, "--to", &to]).well("copied 2450 rows");
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM notes.follows").await, 2450);

    // Without migrations of the module, the tables are named, and created by hand.
    std::fs::remove_dir_all(project.folder.join("migrations")).unwrap();
    let by_hand = "CREATE TABLE follows AS SELECT * FROM notes.follows WITH NO DATA";
    let other = server.database("other");
    let mut there = PgConnection::connect(&other).await.unwrap();
    let arguments = ["notes", "--from", &url, "--to", &other];
    project.copy(&arguments).badly("name its tables by --table");
    let named = [&arguments[..], &["--table", "follows"]].concat();
    project.copy(&named).badly("the target has no table `follows`");
    let by_hand =
        by_hand.replace("notes.follows", "(VALUES (1::BIGINT, 2::BIGINT)) t (follower, followed)");
    there.execute(AssertSqlSafe(by_hand)).await.unwrap();
    project.copy(&named).well("copied 2450 rows");
    assert_eq!(number(&mut there, "SELECT COUNT(*) FROM follows").await, 2450);
}

const MANY: Migration =
    ("0001_notes.sql", "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL)");

/// A database with so many rows that a copy takes a while.
async fn many(server: &Server) -> (String, PgConnection) {
    let url = server.database("old");
    let location = Location::Url(url.clone());
    let histories = [History::of("notes", &[MANY])];
    Db::<Postgres>::migrate_at(&location, &DbSettings::default(), &histories).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let fill = "INSERT INTO notes SELECT n, repeat(n::TEXT, 40) FROM generate_series(1, 200000) n";
    connection.execute(fill).await.unwrap();
    (url, connection)
}

/// Waits for a lock on the table of the module's rows.
async fn see(connection: &mut PgConnection, sql: &'static str) {
    crate::support::soon(async {
        while number(connection, sql).await == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

const HELD: &str = "SELECT COUNT(*) FROM pg_locks WHERE relation = 'notes'::REGCLASS \
    AND mode = 'ShareLock' AND granted";
const WAITS: &str = "SELECT COUNT(*) FROM pg_locks WHERE relation = 'notes'::REGCLASS \
    AND mode = 'RowExclusiveLock' AND NOT granted";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_wait_for_a_copy_and_readers_do_not() {
    let server = Server::start();
    let (old, mut source) = many(&server).await;
    let new = server.database("new");
    let project = Project::new("writers", &[MANY]).with("SHOP_NOTES__DB__URL", &old);
    let mut copying = project.start(&["notes", "--to", &new]);
    see(&mut source, HELD).await;
    let mut writer = PgConnection::connect(&old).await.unwrap();
    let writing = tokio::spawn(async move {
        writer.execute("INSERT INTO notes VALUES (0, 'late')").await.unwrap();
    });
    see(&mut source, WAITS).await;
    assert_eq!(number(&mut source, "SELECT COUNT(*) FROM notes").await, 200_000);
    assert!(copying.is_at_work() && !writing.is_finished());
    copying.ended().well("200000 rows, equal");
    writing.await.unwrap();
    assert_eq!(number(&mut source, "SELECT COUNT(*) FROM notes").await, 200_001);
    let mut target = PgConnection::connect(&new).await.unwrap();
    assert_eq!(number(&mut target, "SELECT COUNT(*) FROM notes").await, 200_000);
    // What came after the copy is found by one more.
    project.copy(&["notes", "--to", &new]).badly("200001 rows in the source and 200000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_takes_too_long_or_dies_has_changed_nothing() {
    let server = Server::start();
    let (old, mut source) = many(&server).await;
    let new = server.database("new");
    let project = Project::new("hold", &[MANY]).with("SHOP_NOTES__DB__URL", &old);
    // A transaction that writes goes on for longer.
    let mut writer = PgConnection::connect(&old).await.unwrap();
    writer.execute("BEGIN; INSERT INTO notes VALUES (-1, 'open')").await.unwrap();
    let blocked = project.copy(&["notes", "--to", &new, "--hold", "200ms"]);
    blocked.badly("writes waited for 200ms, and the locks were not free");
    writer.execute("ROLLBACK").await.unwrap();
    let mut target = PgConnection::connect(&new).await.unwrap();
    let is_empty = "SELECT COUNT(*) FROM notes";
    assert_eq!(number(&mut target, is_empty).await, 0);

    let over = project.copy(&["notes", "--to", &new, "--hold", "60ms"]);
    over.badly("writes waited for 60ms, and the ");
    over.badly("Nothing was copied, and writes go on");
    writer.execute("INSERT INTO notes VALUES (0, 'goes on')").await.unwrap();
    assert_eq!(number(&mut target, is_empty).await, 0);

    let killed = project.start(&["notes", "--to", &new]);
    see(&mut source, HELD).await;
    killed.kill();
    writer.execute("INSERT INTO notes VALUES (-1, 'goes on')").await.unwrap();
    assert_eq!(number(&mut target, is_empty).await, 0);
    project.copy(&["notes", "--to", &new]).well("200002 rows, equal");
}

/// What is in the target decides, whatever the source has.
#[tokio::test]
async fn a_source_of_another_release_is_refused() {
    let server = Server::start();
    let (old, mut source) = many(&server).await;
    source.execute("DELETE FROM notes WHERE id > 10").await.unwrap();
    const KIND: Migration = ("0002_kind.sql", "ALTER TABLE notes ADD COLUMN kind TEXT");
    let project = Project::new("releases", &[MANY, KIND]).with("SHOP_NOTES__DB__URL", &old);
    let to = server.database("newer");
    project.copy(&["notes", "--to", &to]).badly("the source lacks the migration 2 of `notes`");
    let location = Location::Url(old.clone());
    let histories = [History::of("notes", &[MANY, KIND])];
    Db::<Postgres>::migrate_at(&location, &DbSettings::default(), &histories).await.unwrap();
    project.copy(&["notes", "--to", &to]).well("10 rows, equal");
    let before = Project::new("before", &[MANY]).with("SHOP_NOTES__DB__URL", &old);
    let to = server.database("older");
    before.copy(&["notes", "--to", &to]).badly("the source has the migration 2 of `notes`");
}
