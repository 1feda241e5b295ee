//! A program's own code beside its modules: its pool, and its transactions, which enqueue work for a module.

use crate::{postgres::Postgres, support::soon};
use monolift::{
    CallError, Db, InterfaceError, Perform, Piece, Shared, Work, async_trait,
    testing::{Mode, RunningSystem, System},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, PgPool, Sqlite, SqlitePool, postgres::PgPoolOptions};
use std::{collections::BTreeMap, error::Error, time::Duration};
use tokio::sync::mpsc;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum BillingError {
    #[error(transparent)]
    Call(CallError),
}

#[derive(Serialize, Deserialize)]
struct Settle {
    cart: i64,
}

impl Piece for Settle {
    const NAME: &'static str = "settle";
}

#[derive(Serialize, Deserialize)]
struct Unlisted;

impl Piece for Unlisted {
    const NAME: &'static str = "unlisted";
}

type Settled = mpsc::UnboundedSender<i64>;

/// A module on one database, with what a test needs of it.
macro_rules! billing {
    ($name:ident, $database:ident, $module:literal) => {
        mod $name {
            use super::*;

            #[monolift::interface(module = $module)]
            pub trait Billing {
                #[idempotent]
                async fn carts(&self) -> Result<i64, BillingError>;
            }

            #[monolift::module(name = $module, provides = Billing, work = [Settle])]
            pub struct BillingModule {
                db: Db<sqlx::$database>,
                settled: Shared<Settled>,
            }

            #[async_trait]
            impl Billing for BillingModule {
                async fn carts(&self) -> Result<i64, BillingError> {
                    let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM carts")
                        .fetch_one(&mut *self.db.connection().await?)
                        .await?;
                    Ok(count)
                }
            }

            #[async_trait]
            impl Perform<Settle> for BillingModule {
                async fn perform(
                    &self,
                    Settle { cart }: Settle,
                ) -> Result<(), Box<dyn Error + Send + Sync>> {
                    Ok(self.settled.send(cart)?)
                }
            }
        }
    };
}

billing!(on_postgres, Postgres, "billing");
billing!(on_sqlite, Sqlite, "bills");

/// What the program did before it had modules: all in its own transaction.
async fn close(
    tx: &mut PgConnection,
    cart: i64,
    billing: &Work<sqlx::Postgres>,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO carts (id) VALUES ($1)").bind(cart).execute(&mut *tx).await?;
    billing.enqueue(tx, &Settle { cart }).await
}

/// One transaction is rolled back and one is committed: only the latter's work is done.
async fn settles(
    pool: &PgPool,
    billing: &Work<sqlx::Postgres>,
    settled: &mut mpsc::UnboundedReceiver<i64>,
) {
    let mut tx = pool.begin().await.unwrap();
    close(&mut tx, 1, billing).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    close(&mut tx, 2, billing).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(soon(settled.recv()).await, Some(2));
}

async fn carts(system: &RunningSystem) -> i64 {
    system.client::<on_postgres::BillingClient>().carts().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_the_program_enqueues_work_for_a_module() {
    let postgres = Postgres::start();
    let pool = PgPool::connect(&postgres.database("club")).await.unwrap();
    sqlx::query("CREATE TABLE carts (id BIGINT PRIMARY KEY)").execute(&pool).await.unwrap();

    // The module is on the program's own pool.
    let (send, mut settled) = mpsc::unbounded_channel();
    let system = System::new(Mode::InProcess)
        .module::<on_postgres::BillingModule>()
        .share::<Settled>("billing", send)
        .pool("billing", pool.clone())
        .start()
        .await;
    let billing = system.own().work("billing", &pool).unwrap();
    settles(&pool, &billing, &mut settled).await;
    assert_eq!(carts(&system).await, 1);

    let mut tx = pool.begin().await.unwrap();
    let (delay, seven) = (Duration::from_secs(60), Settle { cart: 7 });
    assert!(billing.enqueue_keyed(&mut tx, "one", delay, &seven).await.unwrap());
    assert!(!billing.enqueue_keyed(&mut tx, "one", delay, &seven).await.unwrap());
    assert!(billing.cancel::<Settle>(&mut tx, "one").await.unwrap());
    let error = billing.enqueue(&mut tx, &Unlisted).await.unwrap_err();
    assert!(error.to_string().contains("does not list work named `unlisted`"), "{error}");
    drop(tx);
    let error = system.own().work("biling", &pool).unwrap_err();
    assert!(error.to_string().contains("has no module `biling`"), "{error}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_module_may_be_in_a_schema_and_a_process_of_its_own() {
    let postgres = Postgres::start();
    let url = postgres.database("club");
    let mut admin = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE SCHEMA \"TheBills\"; CREATE TABLE carts (id BIGINT PRIMARY KEY)")
        .execute(&mut admin)
        .await
        .unwrap();
    // The program does not see the schema by itself.
    let pool = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
    let own_schema = format!("{url}?options[search_path]=%22TheBills%22");
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let (send, mut settled) = mpsc::unbounded_channel();
        let system = System::new(mode)
            .module::<on_postgres::BillingModule>()
            .share::<Settled>("billing", send)
            .settings("billing", [("db", BTreeMap::from([("url", own_schema.clone())]))])
            .start()
            .await;
        let billing = system.own().work("billing", &pool).unwrap();
        let mut tx = pool.begin().await.unwrap();
        let error = billing.enqueue(&mut tx, &Settle { cart: 1 }).await.unwrap_err();
        assert!(error.to_string().contains("monolift_work\" does not exist"), "{error}");
        drop(tx);
        settles(&pool, &billing.in_schema("TheBills"), &mut settled).await;
        sqlx::query("DELETE FROM carts").execute(&pool).await.unwrap();
        system.stop().await;
    }
}

#[tokio::test]
async fn a_transaction_on_sqlite_does_too() {
    let options = sqlx::sqlite::SqliteConnectOptions::new().in_memory(true);
    let pool = sqlx::pool::PoolOptions::<Sqlite>::new().max_connections(1).idle_timeout(None);
    let pool: SqlitePool = pool.connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE carts (id BIGINT PRIMARY KEY)").execute(&pool).await.unwrap();
    let (send, mut settled) = mpsc::unbounded_channel();
    let system = System::new(Mode::InProcess)
        .module::<on_sqlite::BillingModule>()
        .share::<Settled>("bills", send)
        .pool("bills", pool.clone())
        .start()
        .await;
    let billing = system.own().work("bills", &pool).unwrap();
    let mut tx = pool.begin().await.unwrap();
    billing.enqueue(&mut tx, &Settle { cart: 1 }).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("INSERT INTO carts (id) VALUES (2)").execute(&mut *tx).await.unwrap();
    billing.enqueue(&mut tx, &Settle { cart: 2 }).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(soon(settled.recv()).await, Some(2));
    let client: on_sqlite::BillingClient = system.client();
    assert_eq!(client.carts().await.unwrap(), 1);
    system.stop().await;
}
