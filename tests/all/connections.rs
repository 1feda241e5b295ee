//! Modules that share a pool: each keeps to its role, they take turns, and PgBouncer may be in between.

use crate::{
    data::{NOTES, cut_everywhere, handle, init_shared},
    postgres::{PgBouncer, Postgres},
    support::soon,
    system::{Run, eventually, request, target},
};
use futures_util::{StreamExt, TryStreamExt};
use monolift::{Db, OnConstraint};
use monolift_data::{
    DbSettings, History, Isolation, Location, Migration, ModuleDatabase, OpenError, SharedPools,
};
use monolift_manifest::Migrate as When;
use sqlx::{Any, AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Makes a role with a schema for each of `roles`, and a login that can take them on. The result is its URL.
pub async fn roles(admin: &str, login: &str, roles: &[&str]) -> String {
    let mut connection = PgConnection::connect(admin).await.unwrap();
    let mut run = async |sql: String| {
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
    };
    run(format!("CREATE ROLE {login} LOGIN NOINHERIT")).await;
    for role in roles {
        run(format!("CREATE ROLE {role}")).await;
        run(format!("CREATE SCHEMA {role} AUTHORIZATION {role}")).await;
        run(format!("ALTER ROLE {role} SET search_path = {role}")).await;
        run(format!("GRANT {role} TO {login}")).await;
    }
    admin.replace("postgres@", &format!("{login}@"))
}

fn at(url: &str, role: &str) -> Location {
    Location::Shared { url: url.to_owned(), role: role.to_owned() }
}

/// A module's database, whose migrations make `table`.
async fn open_as<D: ModuleDatabase>(
    pools: &SharedPools,
    url: &str,
    role: &str,
    table: &'static str,
) -> Result<Db<D>, OpenError> {
    let migrations = [("0001_first.sql", table)];
    let history = History::of("first", &migrations);
    Db::open_in(pools, &at(url, role), &DbSettings::default(), &[history]).await
}

async fn open(pools: &SharedPools, url: &str, role: &str) -> Db {
    open_as(pools, url, role, NOTES).await.unwrap()
}

async fn count(db: &Db) -> i64 {
    let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM notes")
        .fetch_one(&mut *db.connection().await.unwrap())
        .await
        .unwrap();
    count
}

async fn number(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn the_database_keeps_a_module_to_its_own_tables_on_a_shared_pool() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let url = init_shared(&admin, "stock,orders");
    let pools = SharedPools::new(3);
    let stock = open(&pools, &url, "shop_stock").await;
    let orders = open(&pools, &url, "shop_orders").await;
    for (db, name) in [(&stock, "stock"), (&orders, "orders")] {
        let (role, schema) = (format!("shop_{name}"), name.to_owned());
        let login = "shop_shared".to_owned();
        assert_eq!(db.isolation().await.unwrap(), Isolation::TakenOn { role, schema, login });
    }
    let mut admin_connection = PgConnection::connect(&admin).await.unwrap();
    let can_log_in = "SELECT COUNT(*) FROM pg_roles WHERE rolname IN ('shop_stock', 'shop_orders') AND rolcanlogin";
    assert_eq!(number(&admin, can_log_in).await, 0);

    // The same text is each module's own table. Connections pass from one to the other.
    for value in 0..20 {
        handle(&stock, value).await.unwrap();
    }
    assert_eq!((count(&stock).await, count(&orders).await), (20, 0));
    let foreign = "SELECT * FROM stock.notes";
    let denied = |error: sqlx::Error| {
        let error = error.to_string();
        assert!(error.contains("permission denied for schema stock"), "{error}");
    };
    denied(orders.connection().await.unwrap().execute(foreign).await.unwrap_err());
    denied(orders.read().await.unwrap().execute(foreign).await.unwrap_err());
    denied(orders.write().await.unwrap().execute(foreign).await.unwrap_err());
    // Without a role nothing is reached.
    for table in ["SELECT * FROM stock.notes", "SELECT * FROM orders.notes"] {
        orders.pool().execute(table).await.unwrap_err();
    }

    // What is set for a role holds, as after a login, and only for it.
    admin_connection.execute("ALTER ROLE shop_stock SET statement_timeout = '7s'").await.unwrap();
    let stock = open(&pools, &url, "shop_stock").await;
    for (db, expected) in [(&stock, "7s"), (&orders, "0")] {
        let mut tx = db.write().await.unwrap();
        let (timeout,): (String,) =
            sqlx::query_as("SHOW statement_timeout").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(timeout, expected);
    }

    // A transaction can still choose its level of isolation.
    let mut tx = orders.write().await.unwrap();
    tx.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await.unwrap();
    let (level,): (String,) =
        sqlx::query_as("SHOW transaction_isolation").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(level, "serializable");
    tx.commit().await.unwrap();

    // A login that reaches something by itself is told of.
    for (change, back, why) in [
        (
            "GRANT SELECT ON stock.notes TO PUBLIC; GRANT USAGE ON SCHEMA stock TO PUBLIC",
            "REVOKE ALL ON stock.notes FROM PUBLIC; REVOKE ALL ON SCHEMA stock FROM PUBLIC",
            "reaches stock.notes",
        ),
        (
            "ALTER ROLE shop_shared INHERIT",
            "ALTER ROLE shop_shared NOINHERIT",
            "the login shop_shared, which reaches",
        ),
        (
            "ALTER ROLE shop_shared SUPERUSER",
            "ALTER ROLE shop_shared NOSUPERUSER",
            "the login shop_shared, which may do everything",
        ),
    ] {
        admin_connection.execute(change).await.unwrap();
        let said = orders.isolation().await.unwrap().to_string();
        assert!(said.contains("NOT isolated") && said.contains(why), "{said}");
        admin_connection.execute(back).await.unwrap();
    }
    let said = orders.isolation().await.unwrap().to_string();
    assert!(said.contains("isolated against mistakes"), "{said}");
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_on_stops_the_start() {
    let postgres = Postgres::start();
    let url = roles(&postgres.database("shop"), "login", &["stock"]).await;
    let mut admin = PgConnection::connect(&postgres.database("other")).await.unwrap();
    admin.execute("CREATE ROLE stranger").await.unwrap();
    let pools = SharedPools::new(2);
    for (role, why) in [("nobody", "there is no such role"), ("stranger", "it is no member")] {
        let error = open_as::<Any>(&pools, &url, role, NOTES).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("the login login cannot take on the role {role}")),
            "{error}"
        );
        assert!(error.contains(why) && error.contains("db init --shared"), "{error}");
    }
    assert!(open_as::<sqlx::Postgres>(&pools, &url, "stock", NOTES).await.is_ok());
    // A login can take on itself, so that its own pool goes through PgBouncer.
    admin.execute("ALTER ROLE stock LOGIN").await.unwrap();
    let own = open(&SharedPools::new(2), &url.replace("login@", "stock@"), "stock").await;
    let (role, schema) = ("stock".to_owned(), "stock".to_owned());
    assert_eq!(own.isolation().await.unwrap(), Isolation::Role { role, schema });
}

/// A statement is a transaction: what it did is there when it has ended, and a failure leaves the connection as it was.
async fn statements_commit_by_themselves(db: &Db, other: &Db) {
    let mut connection = other.connection().await.unwrap();
    for number in 0..5_i64 {
        let insert = sqlx::query("INSERT INTO notes (id) VALUES ($1)").bind(number);
        assert_eq!(insert.execute(&mut *connection).await.unwrap().rows_affected(), 1);
        assert_eq!(count(db).await, number + 1);
    }
    let wrong = sqlx::query("SELECT nothing FROM notes").execute(&mut *connection).await;
    assert!(wrong.unwrap_err().to_string().contains("nothing"));
    let refused = sqlx::query("INSERT INTO notes (id) VALUES (0)").execute(&mut *connection).await;
    let refused = refused.on_constraint("notes_pkey", |_| sqlx::Error::RowNotFound);
    assert!(matches!(refused, Err(sqlx::Error::RowNotFound)), "{refused:?}");
    // All rows, one row of several, a stream that is read to its end, and one that is not.
    let select = "SELECT id FROM notes ORDER BY id";
    let all: Vec<(i64,)> = sqlx::query_as(select).fetch_all(&mut *connection).await.unwrap();
    assert_eq!(all.len(), 5);
    let (first,): (i64,) = sqlx::query_as(select).fetch_one(&mut *connection).await.unwrap();
    assert_eq!(first, 0);
    let mut rows = sqlx::query_as::<_, (i64,)>(select).fetch(&mut *connection);
    let mut sum = 0;
    while let Some((id,)) = rows.try_next().await.unwrap() {
        sum += id;
    }
    drop(rows);
    assert_eq!(sum, 10);
    let mut rows = sqlx::query_as::<_, (i64,)>(select).fetch(&mut *connection);
    assert_eq!(rows.next().await.unwrap().unwrap(), (0,));
    drop(rows);
    sqlx::query("DELETE FROM notes").execute(&mut *connection).await.unwrap();
    assert_eq!(count(db).await, 0);
}

const UNIQUE_NOTES: &str = "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY)";

#[tokio::test]
async fn a_statement_on_a_shared_pool_commits_before_it_answers() {
    let postgres = Postgres::start();
    let url = roles(&postgres.database("shop"), "login", &["stock"]).await;
    let pgbouncer = PgBouncer::start(&postgres, 2, &["login"]);
    for url in [url.clone(), pgbouncer.through(&url)] {
        // As two processes.
        let (one, other) = (SharedPools::new(2), SharedPools::new(2));
        let db = open_as(&one, &url, "stock", UNIQUE_NOTES).await.unwrap();
        let other = open_as(&other, &url, "stock", UNIQUE_NOTES).await.unwrap();
        statements_commit_by_themselves(&db, &other).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_is_cut_leaves_no_transaction_open_on_a_shared_pool() {
    let postgres = Postgres::start();
    let url = roles(&postgres.database("cut"), "login", &["stock"]).await;
    let pools = SharedPools::new(5);
    cut_everywhere(&open(&pools, &url, "stock").await).await;

    // A statement that commits by itself is cut.
    let db = open(&pools, &url, "stock").await;
    for polls in 0..40 {
        let mut statement = Box::pin(async {
            let mut connection = db.connection().await?;
            for _ in 0..3 {
                sqlx::query("INSERT INTO notes (id) VALUES (1)").execute(&mut *connection).await?;
            }
            Ok::<_, sqlx::Error>(())
        });
        for _ in 0..polls {
            if futures_util::poll!(&mut statement).is_ready() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        drop(statement);
        // Each connection of the pool takes on the role, and none is within a transaction.
        let held: Vec<_> = futures_util::future::join_all((0..5).map(|_| db.write())).await;
        for tx in held {
            let mut tx = tx.unwrap();
            let (role,): (String,) =
                sqlx::query_as("SELECT current_user::TEXT").fetch_one(&mut *tx).await.unwrap();
            assert_eq!(role, "stock");
        }
    }
}

const SERVER_CONNECTIONS: &str = "SELECT COUNT(*) FROM pg_stat_activity \
    WHERE usename = 'login' AND backend_type = 'client backend'";

/// Runs `work` and counts meanwhile; the result is the most connections that the server had.
async fn most_connections(admin: &str, work: impl Future<Output = ()>) -> i64 {
    let ended = AtomicBool::new(false);
    let counting = async {
        let mut connection = PgConnection::connect(admin).await.unwrap();
        let mut most = 0;
        while !ended.load(Ordering::SeqCst) {
            let now: i64 =
                sqlx::query_scalar(SERVER_CONNECTIONS).fetch_one(&mut connection).await.unwrap();
            most = most.max(now);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        most
    };
    let working = async {
        work.await;
        ended.store(true, Ordering::SeqCst);
    };
    tokio::join!(counting, working).0
}

const MODULES: [&str; 8] = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"];

/// Each of eight modules works in each of `processes`, in transactions and by single statements.
async fn eight_modules_work(url: &str, processes: usize, connections: u32) {
    let mut working = Vec::new();
    for process in 0..processes {
        let pools = SharedPools::new(connections);
        for module in MODULES {
            let db = open(&pools, url, module).await;
            for worker in 0..4 {
                let db = db.clone();
                working.push(tokio::spawn(async move {
                    for number in 0..10 {
                        handle(&db, process as i64 * 1_000 + worker * 100 + number).await?;
                        sqlx::query("UPDATE notes SET id = id WHERE id = $1")
                            .bind(number)
                            .execute(&mut *db.connection().await?)
                            .await?;
                    }
                    Ok::<_, sqlx::Error>(db)
                }));
            }
        }
    }
    for worker in working {
        let db = worker.await.unwrap().unwrap();
        drop(db);
    }
    let pools = SharedPools::new(1);
    for module in MODULES {
        let db = open(&pools, url, module).await;
        assert_eq!(count(&db).await, processes as i64 * 40, "{module}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_modules_have_no_more_connections_than_their_pool() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let url = roles(&admin, "login", &MODULES).await;
    let most = most_connections(&admin, eight_modules_work(&url, 1, 3)).await;
    // And the one that counts in the end.
    assert!((2..=4).contains(&most), "{most} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_have_no_more_connections_than_pgbouncer() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let url = roles(&admin, "login", &MODULES).await;
    let pgbouncer = PgBouncer::start(&postgres, 2, &["login"]);
    let url = pgbouncer.through(&url);
    let most = most_connections(&admin, eight_modules_work(&url, 3, 5)).await;
    assert_eq!(most, 2);
}

/// A module with many calls holds what it may and waits for more, and another module comes with one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_with_many_calls_does_not_keep_another_one_waiting() {
    let postgres = Postgres::start();
    let url = roles(&postgres.database("shop"), "login", &["busy", "quiet"]).await;
    let pools = SharedPools::new(1);
    // It may have more than there is, so that its settings do not keep its calls out of the line.
    let settings = DbSettings { connections: Some(100), ..DbSettings::default() };
    let busy: Db = Db::open_in(&pools, &at(&url, "busy"), &settings, &[]).await.unwrap();
    let quiet = open(&pools, &url, "quiet").await;
    let held = busy.read().await.unwrap();
    let order: Arc<Mutex<Vec<&str>>> = Arc::default();
    let (come, mut came) = tokio::sync::mpsc::unbounded_channel();
    let call = |db: &Db, who: &'static str| {
        let (db, order, come) = (db.clone(), Arc::clone(&order), come.clone());
        tokio::spawn(async move {
            let mut connecting = Box::pin(db.connection());
            let at_once = futures_util::poll!(&mut connecting).is_ready();
            come.send(at_once).unwrap();
            let mut connection = connecting.await.unwrap();
            sqlx::query("SELECT 1").execute(&mut *connection).await.unwrap();
            order.lock().unwrap().push(who);
        })
    };
    let mut calls: Vec<_> = (0..100).map(|_| call(&busy, "busy")).collect();
    for _ in 0..100 {
        assert!(!came.recv().await.unwrap());
    }
    calls.push(call(&quiet, "quiet"));
    assert!(!came.recv().await.unwrap());
    drop(held);
    for call in calls {
        soon(call).await.unwrap();
    }
    let before = order.lock().unwrap().iter().position(|who| *who == "quiet").unwrap();
    // Its turn is the next one.
    assert!(before <= 1, "{before} calls of the busy module were first");
}

/// However large the pool is, a module has at once what its settings say.
#[tokio::test]
async fn a_module_has_no_more_of_a_shared_pool_than_its_settings_say() {
    let postgres = Postgres::start();
    let url = roles(&postgres.database("shop"), "login", &["busy", "quiet"]).await;
    let pools = SharedPools::new(10);
    let settings = DbSettings { connections: Some(2), ..DbSettings::default() };
    let busy: Db = Db::open_in(&pools, &at(&url, "busy"), &settings, &[]).await.unwrap();
    let held = (busy.write().await.unwrap(), busy.write().await.unwrap());
    let third = tokio::time::timeout(Duration::from_millis(200), busy.write()).await;
    assert!(third.is_err());
    let quiet = open(&pools, &url, "quiet").await;
    handle(&quiet, 1).await.unwrap();
    drop(held);
    busy.write().await.unwrap().commit().await.unwrap();
}

const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'login'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ends_are_replaced() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let url = roles(&admin, "login", &["stock"]).await;
    let pgbouncer = PgBouncer::start(&postgres, 3, &["login"]);
    let mut killer = PgConnection::connect(&admin).await.unwrap();
    for url in [url.clone(), pgbouncer.through(&url)] {
        let pools = SharedPools::new(5);
        let db = open(&pools, &url, "stock").await;
        let before = count(&db).await;
        for round in 0..5 {
            // All are there, and idle.
            let held = futures_util::future::join_all((0..3).map(|_| db.write())).await;
            let open = held.into_iter().map(Result::unwrap).collect::<Vec<_>>();
            futures_util::future::join_all(open.into_iter().map(|tx| tx.commit())).await;
            // A connection that goes back to its pool is asked whether it is alive, which may need another of the server.
            while number(&admin, SERVER_CONNECTIONS).await > 0 {
                killer.execute(KILL).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // No call fails for that.
            handle(&db, round).await.unwrap();
            assert_eq!(count(&db).await, before + round + 1);
            // One that is killed within its transaction fails, and the next one does not.
            let mut tx = db.write().await.unwrap();
            killer.execute(KILL).await.unwrap();
            let failed = sqlx::query("DELETE FROM notes").execute(&mut *tx).await;
            assert!(failed.is_err());
            drop(tx);
            assert_eq!(count(&db).await, before + round + 1);
        }
    }
}

const INDEX: Migration =
    ("0002_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY notes_id ON notes (id);\n");
const THIRD: Migration = ("0003_text.sql", "ALTER TABLE notes ADD COLUMN text TEXT");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_are_applied_through_pgbouncer_but_for_those_outside_of_a_transaction() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let url = roles(&admin, "login", &["stock"]).await;
    let pgbouncer = PgBouncer::start(&postgres, 3, &["login"]);
    let url = pgbouncer.through(&url);
    let first: Migration = ("0001_notes.sql", NOTES);
    let open = async |when: When, migrations: &'static [Migration]| -> Result<Db, OpenError> {
        let settings = DbSettings { migrate: Some(when), ..DbSettings::default() };
        let history = History::of("notes", migrations);
        Db::open(&at(&url, "stock"), &settings, &[history]).await
    };
    static TWO: [Migration; 2] = [("0001_notes.sql", NOTES), THIRD];
    assert_eq!(TWO[0], first);
    let missing = open(When::Never, &TWO).await.unwrap_err().to_string();
    assert!(missing.contains("0001_notes.sql and 1 more"), "{missing}");
    let starting: Vec<_> = (0..10)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let history = History::of("notes", &TWO);
                Db::<Any>::open(&at(&url, "stock"), &DbSettings::default(), &[history]).await
            })
        })
        .collect();
    for started in starting {
        started.await.unwrap().unwrap();
    }
    let applied = "SELECT COUNT(*) FROM stock.notes_migrations WHERE success";
    assert_eq!(number(&admin, applied).await, 2);
    open(When::Never, &TWO).await.unwrap();
    let owner =
        "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'stock' AND tableowner = 'stock'";
    assert_eq!(number(&admin, owner).await, 2);

    // One outside of a transaction is refused before anything is applied.
    static WITH_INDEX: [Migration; 4] = [
        ("0001_notes.sql", NOTES),
        INDEX,
        THIRD,
        ("0004_more.sql", "ALTER TABLE notes ADD COLUMN more TEXT"),
    ];
    let refused = open(When::Start, &WITH_INDEX).await.unwrap_err().to_string();
    assert!(refused.contains("0002_index.sql runs outside of a transaction"), "{refused}");
    assert!(refused.contains("`migrate_url`"), "{refused}");
    assert_eq!(number(&admin, applied).await, 2);
    // As it says.
    let mut connection = PgConnection::connect(&admin).await.unwrap();
    connection.execute("ALTER ROLE stock LOGIN").await.unwrap();
    let migrate_url = Location::Url(admin.replace("postgres@", "stock@"));
    let history = History::of("notes", &WITH_INDEX);
    let settings = DbSettings::default();
    let applied = Db::<Any>::migrate_at(&migrate_url, &settings, &[history]).await.unwrap();
    assert_eq!(applied, ["0002_index.sql", "0004_more.sql"]);
    open(When::Never, &WITH_INDEX).await.unwrap();
    open(When::Start, &WITH_INDEX).await.unwrap();
}

/// A program of several modules with one setting, and the command that reads their work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_has_one_pool_by_one_setting() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let url = init_shared(&admin, "users,stock,orders,payments,notifications,reports");
    let pgbouncer = PgBouncer::start(&postgres, 4, &["shop_shared"]);
    let monolith = target().join("debug/app-monolith");
    assert!(monolith.exists(), "the programs are built: cargo build --workspace --bins");
    let run = Run::new("one-pool").with("SHOP_DB__URL", pgbouncer.through(&url));
    let mut shop = run.with("SHOP_DB__CONNECTIONS", "3").gateway("monolith").start(&monolith);
    shop.says("schema orders, isolated against mistakes: transactions of shop_shared take on role shop_orders");
    let address = shop.http();
    let answer = request(&address, "GET", "/products/tea", &[], "").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    // Work that recurs is there soon after the start.
    eventually("the work of stock is shown", || {
        let output = Command::new(target().join("debug/cargo-monolift"))
            .arg("work")
            .env("SHOP_DB__URL", &url)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).contains("stock")
    });
    shop.kill();
}
