//! Databases, on PostgreSQL as on SQLite: what a module can reach, what is applied at once, what is
//! left when a handler is cut, and work that outlives its process.

use crate::{
    postgres::Postgres,
    support::seeds,
    system::{Process, Run, target},
};
use monolift::Db;
use monolift_data::{Backend, DbSettings, History, Isolation, Location};
use sqlx::{Any, Connection, Executor, PgConnection};
use std::{
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

/// The URL of each of these modules, once each has a schema and a role of its own.
pub fn init(admin: &str, modules: &str) -> Vec<(String, String)> {
    // Roles are of the whole server: in its next database they exist already.
    let (output, urls) = urls(init_with(admin, modules, &["--new-passwords"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(urls.len(), modules.split(',').count());
    urls
}

/// The URL of the login that these modules share, once each has a schema and a role of its own.
pub fn init_shared(admin: &str, modules: &str) -> String {
    let output = init_with(admin, modules, &["--shared"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let url = said.strip_prefix("[db]\nurl = \"").and_then(|rest| rest.split('"').next());
    // It exists once for all databases of a server. Passwords are not asked for.
    let login = || admin.replace("postgres@", "shop_shared@");
    url.map_or_else(login, str::to_owned)
}

/// `cargo monolift db init` on a database, and the URLs that it gives.
fn run_init(admin: &str, modules: &str) -> (Output, Vec<(String, String)>) {
    urls(init_with(admin, modules, &[]))
}

fn urls(output: Output) -> (Output, Vec<(String, String)>) {
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let module = |line: &str| line.strip_prefix('[')?.strip_suffix(".db]").map(str::to_owned);
    let url = |line: &str| line.strip_prefix("url = \"")?.strip_suffix('"').map(str::to_owned);
    let modules: Vec<String> = said.lines().filter_map(module).collect();
    let urls = said.lines().filter_map(url);
    (output, modules.into_iter().zip(urls.collect::<Vec<_>>()).collect())
}

fn init_with(admin: &str, modules: &str, more: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Command::new(target().join("debug/cargo-monolift"))
        .args(["db", "init", "--admin", admin, "--modules", modules])
        .args(more)
        .current_dir(root)
        .output()
        .expect("the program cargo-monolift is built: cargo build -p monolift-cli")
}

async fn open(url: &str, module: &str, sql: &'static str) -> Db {
    let location = Location::Url(url.to_owned());
    let migrations = [("0001_first.sql", sql)];
    let history = History::of(module, &migrations);
    Db::<Any>::open(&location, &DbSettings::default(), &[history]).await.unwrap()
}

#[tokio::test]
async fn the_database_keeps_a_module_to_its_own_tables() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let (output, urls) = run_init(&admin, "stock,orders");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [(_, stock), (_, orders)] = &urls[..] else { panic!("{urls:?}") };
    let stock_db = open(stock, "stock", "CREATE TABLE products (sku TEXT NOT NULL)").await;
    let orders_db = open(orders, "orders", "CREATE TABLE orders (id TEXT NOT NULL)").await;
    for (db, name) in [(&stock_db, "stock"), (&orders_db, "orders")] {
        let (role, schema) = (format!("shop_{name}"), name.to_owned());
        assert_eq!(db.isolation().await.unwrap(), Isolation::Role { role, schema });
    }

    // A row of another module's table, also under another name for itself.
    let mut connection = PgConnection::connect(orders).await.unwrap();
    for become_other in [
        "SELECT 1",
        "SET ROLE shop_stock",
        "SET SESSION AUTHORIZATION shop_stock",
        "RESET ROLE",
        "SET search_path = stock",
        "GRANT shop_stock TO shop_orders",
        "ALTER ROLE shop_orders SUPERUSER",
        "GRANT USAGE ON SCHEMA stock TO shop_orders",
    ] {
        let became = connection.execute(become_other).await;
        let harmless = ["SELECT 1", "RESET ROLE", "SET search_path = stock"];
        // PostgreSQL only warns of a grant by one who has nothing to give.
        let warned = become_other.starts_with("GRANT USAGE");
        if !harmless.contains(&become_other) && !warned {
            let error = became.expect_err(become_other).to_string();
            assert!(error.contains("permission denied") || error.contains("must"), "{error}");
        }
        let error = connection.execute("SELECT * FROM stock.products").await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("permission denied for schema stock"), "{become_other}: {error}");
    }

    // A role that changes rows only, beside the owner that migrates.
    let mut admin_connection = PgConnection::connect(&admin).await.unwrap();
    for statement in [
        "CREATE ROLE shop_stock_run LOGIN",
        "ALTER ROLE shop_stock_run IN DATABASE shop SET search_path = stock",
        "GRANT USAGE ON SCHEMA stock TO shop_stock_run",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA stock TO shop_stock_run",
    ] {
        admin_connection.execute(statement).await.unwrap();
    }
    let run = admin.replace("postgres@", "shop_stock_run@");
    let db = open(&run, "stock", "CREATE TABLE products (sku TEXT NOT NULL)").await;
    let (role, schema) = ("shop_stock_run".to_owned(), "stock".to_owned());
    assert_eq!(db.isolation().await.unwrap(), Isolation::Role { role, schema });
    for statement in ["DROP OWNED BY shop_stock_run", "DROP ROLE shop_stock_run"] {
        admin_connection.execute(statement).await.unwrap();
    }

    // Nothing of that is known where all have one role, and it is said.
    let all = open(&admin, "stock", "CREATE TABLE products (sku TEXT NOT NULL)").await;
    let said = all.isolation().await.unwrap().to_string();
    assert!(said.contains("NOT isolated: role postgres may do everything"), "{said}");

    // Again: what is there is kept. A role that was given more is told of.
    let (again, urls) = run_init(&admin, "stock,orders");
    assert!(again.status.success());
    assert!(urls.is_empty(), "{urls:?}");
    for grant in [
        "GRANT USAGE ON SCHEMA stock TO shop_orders",
        "GRANT SELECT ON stock.products TO shop_orders",
    ] {
        admin_connection.execute(grant).await.unwrap();
    }
    let said = orders_db.isolation().await.unwrap().to_string();
    assert!(said.contains("NOT isolated") && said.contains("reaches stock.products"), "{said}");
}

/// A database for each module is the other way to keep them apart.
#[tokio::test]
async fn a_role_that_owns_its_database_is_isolated_once_no_other_role_may_connect() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let mut admin_connection = PgConnection::connect(&admin).await.unwrap();
    for statement in [
        "CREATE ROLE owner LOGIN",
        "CREATE DATABASE owned OWNER owner",
        "CREATE ROLE stranger LOGIN",
    ] {
        admin_connection.execute(statement).await.unwrap();
    }
    let url = admin.replace("postgres@", "owner@").replace("/shop", "/owned");
    let db = open(&url, "stock", "CREATE TABLE products (sku TEXT NOT NULL)").await;
    let said = db.isolation().await.unwrap().to_string();
    assert!(said.contains("NOT isolated: role owner shares it with stranger"), "{said}");
    for what_to_do in [
        "cargo monolift db init",
        "cargo monolift data copy",
        "docs/data.md, \"Data that is shared\"",
        "REVOKE CONNECT ON DATABASE",
    ] {
        assert!(said.contains(what_to_do), "no {what_to_do} in {said}");
    }

    admin_connection.execute("REVOKE CONNECT ON DATABASE owned FROM PUBLIC").await.unwrap();
    let (role, schema) = ("owner".to_owned(), "public".to_owned());
    assert_eq!(db.isolation().await.unwrap(), Isolation::Role { role, schema });

    admin_connection.execute("GRANT CONNECT ON DATABASE owned TO stranger").await.unwrap();
    let said = db.isolation().await.unwrap().to_string();
    assert!(said.contains("shares it with stranger"), "{said}");
}

/// Where the tables belong to another role, its members reach them.
#[tokio::test]
async fn a_member_of_the_owner_of_a_schema_shares_it() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let mut connection = PgConnection::connect(&admin).await.unwrap();
    for statement in [
        "CREATE ROLE orders_owner LOGIN",
        "CREATE ROLE runner LOGIN",
        "CREATE ROLE insider LOGIN",
        "CREATE SCHEMA orders AUTHORIZATION orders_owner",
        "GRANT USAGE ON SCHEMA orders TO runner",
        "ALTER ROLE runner SET search_path = orders",
    ] {
        connection.execute(statement).await.unwrap();
    }
    let location = Location::Url(admin.replace("postgres@", "runner@"));
    let db: Db = Db::open(&location, &DbSettings::default(), &[]).await.unwrap();
    let (role, schema) = ("runner".to_owned(), "orders".to_owned());
    assert_eq!(db.isolation().await.unwrap(), Isolation::Role { role, schema });
    connection.execute("GRANT orders_owner TO insider").await.unwrap();
    let said = db.isolation().await.unwrap().to_string();
    assert!(said.contains("NOT isolated: role runner shares it with insider"), "{said}");
}

#[tokio::test]
async fn modules_can_share_a_schema_and_keep_histories_of_their_own() {
    let postgres = Postgres::start();
    let url = postgres.database("shop");
    let one = open(&url, "one", "CREATE TABLE one (id BIGINT)").await;
    let two = open(&url, "two", "CREATE TABLE two (id BIGINT)").await;
    for (db, table) in [(&one, "SELECT id FROM two"), (&two, "SELECT id FROM one")] {
        db.pool().execute(table).await.unwrap();
    }
}

/// Ten processes of one module start at once, on a database that has nothing.
fn start_ten_at_once(run: &Run) {
    let stock = target().join("debug/stock");
    assert!(stock.exists(), "the programs are built: cargo build --workspace --bins");
    let start = || {
        let mut process = run.start(&stock);
        process.says("stock runs stock");
        process
    };
    let processes: Vec<Process> = thread::scope(|scope| {
        let starting: Vec<_> = (0..10).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for process in processes {
        process.signal("KILL");
        let (_, said) = process.ended();
        assert!(!said.contains("already exists") && !said.contains("WARN"), "{said}");
    }
}

/// How often ten processes start at once: a release asks for more.
fn rounds() -> u64 {
    seeds(5).min(20)
}

#[test]
fn ten_processes_migrate_a_file_once() {
    for round in 0..rounds() {
        start_ten_at_once(&Run::new(&format!("ten-{round}")));
    }
}

#[tokio::test]
async fn ten_processes_migrate_a_schema_once() {
    let postgres = Postgres::start();
    for round in 0..rounds() {
        let url = postgres.database(&format!("ten_{round}"));
        let few = Run::new("ten-postgres").with("SHOP_STOCK__DB__CONNECTIONS", "2");
        start_ten_at_once(&few.with("SHOP_STOCK__DB__URL", url.as_str()));
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let applied: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM stock_migrations")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = std::fs::read_dir(files.join("migrations/stock")).unwrap().count();
        assert_eq!(applied, i64::try_from(files).unwrap());
    }
}

/// What a handler does: it begins, reads, writes and commits.
pub async fn handle(db: &Db, number: i64) -> Result<(), sqlx::Error> {
    let mut tx = db.write().await?;
    sqlx::query("SELECT COUNT(*) FROM notes").fetch_one(&mut *tx).await?;
    sqlx::query("INSERT INTO notes (id) VALUES ($1)").bind(number).execute(&mut *tx).await?;
    tx.commit().await
}

/// Cuts handlers after each number of polls, slow and quick ones, and looks at every connection of
/// the pool then.
pub async fn cut_everywhere(db: &Db) {
    let mut cuts = 0;
    for round in 0..1_000 {
        // On a machine that is fast or busy, many handlers end before they are cut.
        if round >= 60 && cuts >= 20 {
            break;
        }
        let (polls, slow) = (round / 2 % 10, round % 2 == 0);
        let mut handler = Box::pin(handle(db, round));
        let mut ended = false;
        for _ in 0..=polls {
            ended = futures_util::poll!(&mut handler).is_ready();
            match slow {
                _ if ended => break,
                // What it waits for has come by the next poll, or has not.
                true => tokio::time::sleep(Duration::from_millis(2)).await,
                false => tokio::task::yield_now().await,
            }
        }
        drop(handler);
        nothing_is_open(db).await;
        cuts += u32::from(!ended);
    }
    assert!(cuts >= 20, "it was cut {cuts} times only");
}

async fn nothing_is_open(db: &Db) {
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(db.pool().acquire().await.unwrap());
    }
    match db.backend() {
        Backend::Sqlite => {
            // Another writer would wait for one that is open.
            for connection in &mut connections {
                connection.execute("BEGIN IMMEDIATE").await.unwrap();
                connection.execute("ROLLBACK").await.unwrap();
            }
        }
        Backend::Postgres => {
            let open: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'",
            )
            .fetch_one(&mut *connections[0])
            .await
            .unwrap();
            assert_eq!(open, 0);
        }
    }
    drop(connections);
    db.write().await.unwrap().rollback().await.unwrap();
}

pub const NOTES: &str = "CREATE TABLE notes (id BIGINT NOT NULL)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_is_cut_leaves_no_transaction_open() {
    let postgres = Postgres::start();
    let url = postgres.database("cut");
    cut_everywhere(&open(&url, "notes", NOTES).await).await;
    let run = Run::new("cut");
    let file = format!("sqlite://{}/cut.db?mode=rwc", run.data.display());
    cut_everywhere(&open(&file, "notes", NOTES).await).await;
}

/// 32 writers in 4 processes' worth of pools; on SQLite nobody is told that the database is locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once() {
    let run = Run::new("writers");
    let file = Location::File(run.data.join("writers.db"));
    let mut writers = Vec::new();
    let settings = DbSettings::default();
    for pool in 0..4 {
        let migrations = [("0001_notes.sql", NOTES)];
        let history = History::of("notes", &migrations);
        let db = Db::<Any>::open(&file, &settings, &[history]).await.unwrap();
        for writer in 0..8 {
            let db = db.clone();
            writers.push(tokio::spawn(async move {
                for number in 0..25 {
                    handle(&db, pool * 1000 + writer * 100 + number).await?;
                }
                Ok::<_, sqlx::Error>(db)
            }));
        }
    }
    let mut last = None;
    for writer in writers {
        last = Some(writer.await.unwrap().unwrap());
    }
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM notes")
        .fetch_one(last.unwrap().pool())
        .await
        .unwrap();
    assert_eq!(count, 32 * 25);
}
