//! Transactions that a caller shares with another module, by methods with `#[local]`: on PostgreSQL as on SQLite, and
//! wherever caller and module are together.

use crate::{connections::roles, postgres::Postgres};
use monolift::{
    CallError, CallErrorKind, Db, Inject, InterfaceError, Lend, LocalTx, StartError, Tx,
    app::{App, Linked, Program},
    async_trait,
    data::ModuleDatabase,
    module::Injector,
    testing::{Mode, RunningSystem, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    Connection, PgConnection, PgPool, Pool, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use std::{
    collections::BTreeMap,
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ShopError {
    #[error("sold out")]
    SoldOut,
    #[error(transparent)]
    Call(CallError),
}

/// What [`take`] does when it has written its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Then {
    Answers,
    Refuses,
    Panics,
    /// Until its deadline, in a statement where the database has one that takes long.
    Hangs,
    /// A statement fails, and it answers all the same.
    OverlooksAnError,
    AsksForMore,
    LendsItOn,
    /// To one that hangs, and goes on without waiting for it.
    LendsItOnForAMoment,
}

/// How the caller ends its transaction, whatever became of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum End {
    Commits,
    RollsBack,
    /// It does not wait for the end of the call.
    CutsTheCall,
    /// It passes the connection on to old code, which lends that.
    LendsTheConnection,
}

const TABLES: &str = "CREATE TABLE sales (item BIGINT PRIMARY KEY, done BIGINT NOT NULL); \
                      CREATE TABLE taken (item BIGINT PRIMARY KEY); CREATE TABLE booked (item BIGINT PRIMARY KEY)";

/// Three modules on one database: the counter sells, the shelf takes, and the ledger books.
macro_rules! shop {
    ($name:ident, $database:ident, $counter:literal, $shelf:literal, $ledger:literal) => {
        mod $name {
            use super::*;

            pub const COUNTER: &str = $counter;
            pub const SHELF: &str = $shelf;
            pub const LEDGER: &str = $ledger;

            #[monolift::interface(module = $counter)]
            pub trait Counter {
                async fn sell(&self, item: i64, then: Then, end: End) -> Result<i64, ShopError>;
            }

            #[monolift::interface(module = $shelf)]
            pub trait Shelf {
                /// How many sales of the item there are, as the caller's transaction sees it.
                #[local]
                #[deadline("1s")]
                async fn take(
                    &self,
                    tx: LocalTx<'_>,
                    item: i64,
                    then: Then,
                ) -> Result<i64, ShopError>;

                #[idempotent]
                async fn taken(&self) -> Result<i64, ShopError>;
            }

            #[monolift::interface(module = $ledger)]
            pub trait Ledger {
                #[local]
                async fn book(
                    &self,
                    item: i64,
                    hang: bool,
                    tx: LocalTx<'_>,
                ) -> Result<(), ShopError>;
            }

            /// Clients of what this package does not depend on.
            pub struct Shelves(ShelfClient);
            pub struct Ledgers(LedgerClient);

            impl Inject for Shelves {
                async fn inject(injector: &Injector) -> Result<Self, StartError> {
                    Ok(Self(injector.client()))
                }
            }

            impl Inject for Ledgers {
                async fn inject(injector: &Injector) -> Result<Self, StartError> {
                    Ok(Self(injector.client()))
                }
            }

            #[monolift::module(name = $counter, provides = Counter)]
            pub struct CounterModule {
                db: Db<sqlx::$database>,
                shelf: Shelves,
            }

            #[async_trait]
            impl Counter for CounterModule {
                async fn sell(&self, item: i64, then: Then, end: End) -> Result<i64, ShopError> {
                    let mut tx: Tx<'_, sqlx::$database> = self.db.write().await?;
                    sqlx::query("INSERT INTO sales (item, done) VALUES ($1, 0)")
                        .bind(item)
                        .execute(&mut *tx)
                        .await?;
                    let taken = match end {
                        End::CutsTheCall => {
                            let call = self.shelf.0.take(tx.lend(), item, then);
                            assert!(timeout(Duration::from_millis(50), call).await.is_err());
                            Ok(0)
                        }
                        End::LendsTheConnection => {
                            let connection: &mut <sqlx::$database as sqlx::Database>::Connection =
                                &mut tx;
                            self.shelf.0.take(connection.lend(), item, then).await
                        }
                        _ => self.shelf.0.take(tx.lend(), item, then).await,
                    };
                    // The transaction goes on, whatever became of that.
                    sqlx::query("UPDATE sales SET done = 1 WHERE item = $1")
                        .bind(item)
                        .execute(&mut *tx)
                        .await?;
                    match end {
                        End::RollsBack => tx.rollback().await?,
                        _ => tx.commit().await?,
                    }
                    taken
                }
            }

            #[monolift::module(name = $shelf, provides = Shelf)]
            pub struct ShelfModule {
                db: Db<sqlx::$database>,
                ledger: Ledgers,
            }

            #[async_trait]
            impl Shelf for ShelfModule {
                async fn take(
                    &self,
                    tx: LocalTx<'_>,
                    item: i64,
                    then: Then,
                ) -> Result<i64, ShopError> {
                    let mut tx = self.db.join(tx).await?;
                    let take = "INSERT INTO taken (item) VALUES ($1)";
                    sqlx::query(take).bind(item).execute(&mut *tx).await?;
                    match then {
                        Then::Answers => {}
                        Then::Refuses => return Err(ShopError::SoldOut),
                        Then::Panics => panic!("the shelf falls"),
                        Then::Hangs => {
                            // On SQLite there is no such function.
                            let _ = sqlx::query("SELECT pg_sleep(2)").execute(&mut *tx).await;
                            pending::<()>().await;
                        }
                        Then::OverlooksAnError => {
                            sqlx::query(take).bind(item).execute(&mut *tx).await.unwrap_err();
                        }
                        Then::AsksForMore => drop(self.db.connection().await?),
                        Then::LendsItOn => self.ledger.0.book(item, false, tx.lend()).await?,
                        Then::LendsItOnForAMoment => {
                            let call = self.ledger.0.book(item, true, tx.lend());
                            assert!(timeout(Duration::from_millis(50), call).await.is_err());
                        }
                    }
                    let (sales,): (i64,) =
                        sqlx::query_as("SELECT COUNT(*) FROM sales WHERE item = $1")
                            .bind(item)
                            .fetch_one(&mut *tx)
                            .await?;
                    Ok(sales)
                }

                async fn taken(&self) -> Result<i64, ShopError> {
                    let (taken,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM taken")
                        .fetch_one(&mut *self.db.connection().await?)
                        .await?;
                    Ok(taken)
                }
            }

            /// A program's own code behind an interface.
            pub struct Book(pub Db<sqlx::$database>);

            #[async_trait]
            impl Ledger for Book {
                async fn book(
                    &self,
                    item: i64,
                    hang: bool,
                    tx: LocalTx<'_>,
                ) -> Result<(), ShopError> {
                    let mut tx = self.0.join(tx).await?;
                    let book = "INSERT INTO booked (item) VALUES ($1)";
                    sqlx::query(book).bind(item).execute(&mut *tx).await?;
                    if hang {
                        pending::<()>().await;
                    }
                    Ok(())
                }
            }

            /// All of them, and all in one process of their own where calls go over a connection.
            pub fn system(mode: Mode, pool: &Pool<sqlx::$database>) -> System {
                without_pools(mode, pool).pool(COUNTER, pool.clone()).pool(SHELF, pool.clone())
            }

            /// The same, where settings say which databases counter and shelf have.
            pub fn without_pools(mode: Mode, of_ledger: &Pool<sqlx::$database>) -> System {
                let backend = <sqlx::$database as ModuleDatabase>::backend(of_ledger);
                let book = Book(Db::new(of_ledger.clone(), backend));
                System::new(mode)
                    .module::<CounterModule>()
                    .module::<ShelfModule>()
                    .fake::<dyn Ledger>(Arc::new(book))
                    .beside(SHELF, COUNTER)
                    .beside(LEDGER, COUNTER)
            }

            /// The rows of an item: whether its sale is done, whether it was taken, and whether it was booked.
            pub async fn rows(
                pool: &Pool<sqlx::$database>,
                item: i64,
            ) -> (Option<i64>, bool, bool) {
                let sale = sqlx::query_scalar("SELECT done FROM sales WHERE item = $1");
                let sale: Option<i64> = sale.bind(item).fetch_optional(pool).await.unwrap();
                let taken = sqlx::query("SELECT item FROM taken WHERE item = $1").bind(item);
                let taken = taken.fetch_optional(pool).await.unwrap();
                let booked = sqlx::query("SELECT item FROM booked WHERE item = $1").bind(item);
                let booked = booked.fetch_optional(pool).await.unwrap();
                (sale, taken.is_some(), booked.is_some())
            }

            /// Each way in which a call can end, one after the other on the same connections.
            pub async fn ends(system: &RunningSystem, pool: &Pool<sqlx::$database>) {
                let on_postgres = stringify!($database) == "Postgres";
                let counter: CounterClient = system.client();
                let rows = async |item| rows(pool, item).await;

                // The module sees what is not committed, and both are committed together.
                assert_eq!(counter.sell(1, Then::Answers, End::Commits).await.unwrap(), 1);
                assert_eq!(rows(1).await, (Some(1), true, false));
                assert_eq!(counter.sell(2, Then::Answers, End::RollsBack).await.unwrap(), 1);
                assert_eq!(rows(2).await, (None, false, false));
                assert_eq!(counter.sell(3, Then::LendsItOn, End::Commits).await.unwrap(), 1);
                assert_eq!(rows(3).await, (Some(1), true, true));

                // What failed is undone, and the caller's transaction goes on.
                let error = counter.sell(4, Then::Refuses, End::Commits).await.unwrap_err();
                assert!(matches!(error, ShopError::SoldOut), "{error}");
                assert_eq!(rows(4).await, (Some(1), false, false));
                for (item, then, kind) in [
                    (5, Then::Panics, CallErrorKind::Internal),
                    (6, Then::Hangs, CallErrorKind::DeadlineExceeded),
                    (7, Then::AsksForMore, CallErrorKind::Internal),
                    (8, Then::LendsItOnForAMoment, CallErrorKind::Internal),
                ] {
                    let error = counter.sell(item, then, End::Commits).await.unwrap_err();
                    let ShopError::Call(error) = error else { panic!("{error}") };
                    assert_eq!(error.kind(), kind, "{then:?}: {error}");
                    assert_eq!(rows(item).await, (Some(1), false, false), "{then:?}");
                }
                // On PostgreSQL an error ends the whole transaction, so the savepoint is what is left of it.
                let sold = counter.sell(9, Then::OverlooksAnError, End::Commits).await;
                assert_eq!(sold.is_err(), on_postgres, "{sold:?}");
                assert_eq!(rows(9).await, (Some(1), !on_postgres, false));

                // A caller that does not wait cannot know what was done.
                let error = counter.sell(10, Then::Hangs, End::CutsTheCall).await.unwrap_err();
                let ShopError::Call(error) = error else { panic!("{error}") };
                assert_eq!(error.kind(), CallErrorKind::Internal, "{error}");
                assert_eq!(rows(10).await, (None, false, false));

                // The connections are as good as before.
                assert_eq!(counter.sell(11, Then::Answers, End::Commits).await.unwrap(), 1);
                assert_eq!(rows(11).await, (Some(1), true, false));
            }
        }
    };
}

shop!(on_postgres, Postgres, "counter-pg", "shelf-pg", "ledger-pg");
shop!(on_sqlite, Sqlite, "counter-sqlite", "shelf-sqlite", "ledger-sqlite");

/// A folder for SQLite files, which is removed.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ml-local-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    async fn database(&self, name: &str) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(self.0.join(name));
        let options = options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        sqlx::raw_sql(TABLES).execute(&pool).await.unwrap();
        pool
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[every_mode]
async fn a_method_runs_in_its_caller_s_transaction(mode: Mode) {
    let folder = Folder::new(&format!("ends-{mode:?}"));
    let pool = folder.database("shop.db").await;
    let system = on_sqlite::system(mode, &pool).start().await;
    on_sqlite::ends(&system, &pool).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_it_does_too() {
    let postgres = Postgres::start();
    for mode in [Mode::InProcess, Mode::Encoded, Mode::OverAConnection] {
        let url = postgres.database(&format!("{mode:?}").to_lowercase());
        let pool = PgPool::connect(&url).await.unwrap();
        sqlx::raw_sql(TABLES).execute(&pool).await.unwrap();
        let system = on_postgres::system(mode, &pool).start().await;
        on_postgres::ends(&system, &pool).await;
        system.stop().await;
    }
}

/// On a pool that modules share a transaction has the role of its module, so both modules need the same one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_shared_pool_it_does_too_in_one_role() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let url = roles(&admin, "login", &["sale", "other"]).await;
    let as_role = format!("{url}?options[role]=sale&options[search_path]=sale");
    let pool = PgPool::connect(&as_role).await.unwrap();
    sqlx::raw_sql(TABLES).execute(&pool).await.unwrap();
    let system = |mode, of_shelf: &str| {
        let db = |role: &str| {
            [("db", BTreeMap::from([("url", url.clone()), ("role", role.to_owned())]))]
        };
        on_postgres::without_pools(mode, &pool)
            .settings(on_postgres::COUNTER, db("sale"))
            .settings(on_postgres::SHELF, db(of_shelf))
            // Both are lent what they lend on: one connection is enough.
            .manifest(|manifest| manifest.db.connections = 1)
    };
    for mode in [Mode::InProcess, Mode::Encoded, Mode::OverAConnection] {
        let system = system(mode, "sale").start().await;
        on_postgres::ends(&system, &pool).await;
        system.stop().await;
        sqlx::raw_sql("TRUNCATE sales, taken, booked").execute(&pool).await.unwrap();
    }

    let system = system(Mode::InProcess, "other").start().await;
    let counter: on_postgres::CounterClient = system.client();
    let told = message(counter.sell(1, Then::Answers, End::Commits).await);
    assert!(told.contains("where modules share a pool give both the same `role`"), "{told}");
    assert_eq!(on_postgres::rows(&pool, 1).await, (Some(1), false, false));
    // What is lent by old code has a role as well.
    let shelf: on_postgres::ShelfClient = system.client();
    let mut tx = pool.begin().await.unwrap();
    let told = message(shelf.take(tx.lend(), 2, Then::Answers).await);
    assert!(told.contains("has another role or other schemas"), "{told}");
    drop(tx);
    system.stop().await;
}

/// What old code does: it has a connection, and calls what was a function.
async fn old_code(
    connection: &mut PgConnection,
    shelf: &on_postgres::ShelfClient,
    (item, then): (i64, Then),
) -> Result<i64, ShopError> {
    sqlx::query("INSERT INTO sales (item, done) VALUES ($1, 1)")
        .bind(item)
        .execute(&mut *connection)
        .await?;
    shelf.take(connection.lend(), item, then).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_code_lends_a_connection_of_sqlx() {
    let postgres = Postgres::start();
    let url = postgres.database("shop");
    let pool = PgPool::connect(&url).await.unwrap();
    sqlx::raw_sql(TABLES).execute(&pool).await.unwrap();
    let system = on_postgres::system(Mode::InProcess, &pool).start().await;
    let shelf: on_postgres::ShelfClient = system.client();

    let mut tx = pool.begin().await.unwrap();
    assert_eq!(old_code(&mut tx, &shelf, (1, Then::Answers)).await.unwrap(), 1);
    old_code(&mut tx, &shelf, (2, Then::Refuses)).await.unwrap_err();
    old_code(&mut tx, &shelf, (3, Then::Hangs)).await.unwrap_err();
    old_code(&mut tx, &shelf, (4, Then::Panics)).await.unwrap_err();
    assert_eq!(old_code(&mut tx, &shelf, (5, Then::LendsItOn)).await.unwrap(), 1);
    assert_eq!(on_postgres::rows(&pool, 1).await, (None, false, false));
    tx.commit().await.unwrap();
    for (item, rows) in [
        (1, (Some(1), true, false)),
        (2, (Some(1), false, false)),
        (3, (Some(1), false, false)),
        (4, (Some(1), false, false)),
        (5, (Some(1), true, true)),
    ] {
        assert_eq!(on_postgres::rows(&pool, item).await, rows, "{item}");
    }
    let mut tx = pool.begin().await.unwrap();
    old_code(&mut tx, &shelf, (6, Then::Answers)).await.unwrap();
    drop(tx);
    assert_eq!(on_postgres::rows(&pool, 6).await, (None, false, false));

    // Without a transaction each statement would be committed.
    let mut connection = pool.acquire().await.unwrap();
    let told = message(shelf.take(connection.lend(), 7, Then::Answers).await);
    assert!(told.contains("has no transaction open"), "{told}");
    drop(connection);

    // The same database, as another role, and with other schemas.
    sqlx::raw_sql("CREATE ROLE clerk LOGIN; CREATE SCHEMA attic").execute(&pool).await.unwrap();
    let another = postgres.database("another");
    for url in
        [another, url.replace("postgres@", "clerk@"), format!("{url}?options[search_path]=attic")]
    {
        let mut other = PgConnection::connect(&url).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        let told = message(shelf.take(tx.lend(), 7, Then::Answers).await);
        assert!(told.contains("in another database than this module's own"), "{url}: {told}");
        // It was not harmed.
        sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap();
    }
    assert_eq!(shelf.taken().await.unwrap(), 2);
    system.stop().await;
}

/// What a call that was refused says.
#[track_caller]
fn message(result: Result<i64, ShopError>) -> String {
    match result {
        Err(ShopError::Call(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_another_database_is_refused() {
    let folder = Folder::new("another");
    let (pool, other) = (folder.database("shop.db").await, folder.database("other.db").await);
    let system = on_sqlite::system(Mode::InProcess, &pool).pool(on_sqlite::COUNTER, other.clone());
    let system = system.start().await;
    let counter: on_sqlite::CounterClient = system.client();
    let told = message(counter.sell(1, Then::Answers, End::Commits).await);
    assert!(told.contains("in another database than this module's own"), "{told}");
    assert_eq!(on_sqlite::rows(&other, 1).await, (Some(1), false, false));

    // A database in memory has no name by which it could be known, and one of another type is none of this module's.
    let shelf: on_sqlite::ShelfClient = system.client();
    let memory = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let mut tx = memory.begin().await.unwrap();
    let told = message(shelf.take(tx.lend(), 2, Then::Answers).await);
    assert!(told.contains("in another database"), "{told}");
    sqlx::any::install_default_drivers();
    let any: Pool<sqlx::Any> = Pool::connect("sqlite::memory:").await.unwrap();
    let mut tx = any.begin().await.unwrap();
    let told = message(shelf.take(tx.lend(), 2, Then::Answers).await);
    assert!(told.contains("another type than this module's `Db`"), "{told}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_may_hold_what_it_lends_and_nothing_else() {
    let folder = Folder::new("held");
    let pool = folder.database("shop.db").await;
    let system = on_sqlite::system(Mode::InProcess, &pool).start().await;
    let counter: on_sqlite::CounterClient = system.client();
    counter.sell(1, Then::Answers, End::Commits).await.unwrap();
    let told = message(counter.sell(2, Then::AsksForMore, End::Commits).await);
    let expected = "shelf-sqlite.take asks for a database connection of its own while it holds the transaction of its caller";
    assert!(told.contains(expected), "{told}");
    counter.sell(3, Then::LendsItOn, End::LendsTheConnection).await.unwrap();
    assert_eq!(on_sqlite::rows(&pool, 3).await, (Some(1), true, true));
    system.stop().await;
}

/// Where the module is not in the caller's process, there is no such call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_another_process_it_is_refused() {
    use monolift::link::Interface;
    let folder = Folder::new("apart");
    let pool = folder.database("shop.db").await;
    let system = on_sqlite::system(Mode::OverAConnection, &pool).start().await;
    let shelf: on_sqlite::ShelfClient = system.client();
    let mut tx = pool.begin().await.unwrap();
    let Err(ShopError::Call(error)) = shelf.take(tx.lend(), 1, Then::Answers).await else {
        panic!()
    };
    assert_eq!((error.kind(), error.call()), (CallErrorKind::NotRunning, "shelf-sqlite.take"));
    let expected = "`Shelf::take` takes its caller's transaction, and the module `shelf-sqlite` does not run in this process";
    assert!(error.message().contains(expected), "{error}");
    drop(tx);
    // It is called there otherwise, and nobody is told of the other one.
    assert_eq!(shelf.taken().await.unwrap(), 0);
    let described = <dyn on_sqlite::Shelf as Interface>::descriptor();
    let served: Vec<&str> = described.methods.iter().map(|method| method.name()).collect();
    assert_eq!(served, ["taken"]);
    assert_eq!(described.local[0].method, "take");
    system.stop().await;
}

/// A program whose own code the modules of this file are.
fn host(manifest: &'static str) -> Linked {
    Linked {
        manifest,
        file: "the test's manifest",
        root: "/nonexistent",
        kind: Program::Host,
        modules: &[],
        calls: &[
            ("counter-sqlite", &["shelf-sqlite"]),
            ("shelf-sqlite", &["ledger-sqlite"]),
            ("ledger-sqlite", &[]),
        ],
        host_calls: &["shelf-sqlite"],
        circles: &[],
        local_calls: &[
            (Some("counter-sqlite"), "shelf-sqlite", &["Shelf::take", "Shelf::put"]),
            (None, "shelf-sqlite", &["Shelf::take"]),
        ],
    }
}

const TOGETHER: &str = r#"
app = "club"
host = "club"
[modules]
counter-sqlite = "club"
shelf-sqlite = "club"
ledger-sqlite = "club"
"#;

#[tokio::test]
async fn a_manifest_that_places_them_apart_stops_the_start() {
    let apart = TOGETHER.replace("shelf-sqlite = \"club\"", "shelf-sqlite = \"shelf\"");
    let errors = App::new(host(apart.leak())).unwrap_err().to_string();
    for told in [
        "`shelf-sqlite` (in `shelf`) takes the transaction of `counter-sqlite` (in `club`) by `Shelf::take`, \
         `Shelf::put`: a transaction",
        "`shelf-sqlite` (in `shelf`) takes the transaction of the host (in `club`) by `Shelf::take`: a transaction",
    ] {
        assert!(errors.contains(told), "no {told:?} in\n{errors}");
    }
}

#[tokio::test]
async fn modules_with_different_databases_stop_the_start() {
    let folder = Folder::new("start");
    let (pool, other) = (folder.database("shop.db").await, folder.database("other.db").await);
    let book = |pool: &SqlitePool| {
        let backend = <sqlx::Sqlite as ModuleDatabase>::backend(pool);
        Arc::new(on_sqlite::Book(Db::new(pool.clone(), backend)))
    };
    let app = |other: &SqlitePool| {
        let app = App::new(host(TOGETHER)).unwrap().provide::<dyn on_sqlite::Ledger>(book(&pool));
        app.pool("counter-sqlite", other.clone()).pool("shelf-sqlite", pool.clone())
    };
    let errors = app(&other).start().await.unwrap_err().to_string();
    let file = |name: &str| Path::new(&folder.0).canonicalize().unwrap().join(name);
    let told = format!(
        "module `counter-sqlite`: it lends its transactions to `shelf-sqlite` (Shelf::take, Shelf::put), and the two have different \
         databases: its own is the file {}, and that of `shelf-sqlite` is the file {}; hand the same pool to both",
        file("other.db").display(),
        file("shop.db").display(),
    );
    assert!(errors.contains(&told), "no {told:?} in\n{errors}");
    app(&pool).start().await.unwrap().stop().await;
}
