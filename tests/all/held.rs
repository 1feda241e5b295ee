//! A call that holds a transaction asks for no second connection and calls no other module, so that no
//! number of callers can lock a module out: a test of a module finds it, and the shop does not do it.

use crate::{
    postgres::Postgres,
    support::soon,
    system::{Run, request, target},
};
use monolift::{
    CallError, CallErrorKind, Db, Inject, InterfaceError, Perform, Piece, StartError, Tx, Work,
    async_trait,
    module::Injector,
    spawn,
    testing::{Mode, System, every_mode},
};
use monolift_manifest::Manifest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, error::Error, sync::Arc, thread, time::Duration};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum TillError {
    #[error(transparent)]
    Call(CallError),
}

/// What a method of [`Till`] does while it holds a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum While {
    WritesAgain,
    ReadsAgain,
    AsksThePool,
    Calls,
    /// It asks the pool, and does not care how that went.
    AsksInVain,
    Nothing,
    PassesItOn,
    DropsItFirst,
    CommitsFirst,
    RollsBackFirst,
    LeavesItToATask,
}

/// A module with a database, which holds transactions for too long when it is told to.
#[monolift::interface(module = "till")]
pub trait Till {
    async fn hold(&self, what: While) -> Result<(), TillError>;
    async fn work(&self) -> Result<(), TillError>;
}

/// Called by the till.
#[monolift::interface(module = "bell")]
pub trait Bell {
    async fn ring(&self) -> Result<(), TillError>;
}

struct Brass;

#[async_trait]
impl Bell for Brass {
    async fn ring(&self) -> Result<(), TillError> {
        Ok(())
    }
}

#[monolift::module(name = "till", provides = Till, work = [Held])]
pub struct TillModule {
    db: Db,
    work: Work,
    bell: Bells,
}

/// A client of what this package does not depend on.
struct Bells(BellClient);

impl Inject for Bells {
    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        Ok(Self(injector.client()))
    }
}

#[derive(Serialize, Deserialize)]
struct Held;

impl Piece for Held {
    const NAME: &'static str = "held";
}

#[async_trait]
impl Perform<Held> for TillModule {
    async fn perform(&self, _: Held) -> Result<(), Box<dyn Error + Send + Sync>> {
        let tx = self.db.write().await?;
        self.db.read().await?.commit().await?;
        Ok(tx.commit().await?)
    }
}

async fn look(tx: &mut Tx<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT 1").fetch_one(&mut **tx).await
}

#[async_trait]
impl Till for TillModule {
    async fn hold(&self, what: While) -> Result<(), TillError> {
        // It reads, so that a second transaction on SQLite could begin.
        let mut tx = self.db.read().await?;
        match what {
            While::WritesAgain => self.db.write().await?.commit().await?,
            While::ReadsAgain => self.db.read().await?.commit().await?,
            While::AsksThePool => sqlx::query("SELECT 1")
                .execute(&mut *self.db.connection().await?)
                .await
                .map(drop)?,
            While::Calls => self.bell.0.ring().await?,
            While::AsksInVain => drop(self.db.write().await),
            While::Nothing => {}
            While::PassesItOn => drop(look(&mut tx).await?),
            While::DropsItFirst => {
                drop(tx);
                self.bell.0.ring().await?;
                return Ok(self.db.write().await?.commit().await?);
            }
            While::CommitsFirst => {
                tx.commit().await?;
                self.bell.0.ring().await?;
                return Ok(self.db.write().await?.commit().await?);
            }
            While::RollsBackFirst => {
                tx.rollback().await?;
                self.bell.0.ring().await?;
                return Ok(self.db.write().await?.commit().await?);
            }
            While::LeavesItToATask => {
                // What is spawned is a call of its own: it is not waited for.
                let db = self.db.clone();
                let task = spawn(async move { db.write().await?.commit().await });
                tx.commit().await?;
                return Ok(task.await??);
            }
        }
        Ok(tx.commit().await?)
    }

    async fn work(&self) -> Result<(), TillError> {
        let mut tx = self.db.write().await?;
        self.work.enqueue(&mut tx, &Held).await?;
        Ok(tx.commit().await?)
    }
}

fn system(mode: Mode) -> System {
    let system = System::new(mode).module::<TillModule>().fake::<dyn Bell>(Arc::new(Brass));
    // There it may be called without a dependency.
    system.beside("bell", "till")
}

#[every_mode]
async fn a_call_that_holds_a_transaction_and_waits_for_something_else_fails(mode: Mode) {
    let system = system(mode).start().await;
    let till: TillClient = system.client();
    for (what, says) in [
        (While::WritesAgain, "till.hold asks for another database connection"),
        (While::ReadsAgain, "till.hold asks for another database connection"),
        (While::AsksThePool, "till.hold asks for another database connection"),
        (While::Calls, "till.hold calls bell.ring while it holds a transaction"),
        (While::AsksInVain, "till.hold asks for another database connection"),
    ] {
        let Err(TillError::Call(error)) = till.hold(what).await else { panic!("{what:?}") };
        assert_eq!(error.kind(), CallErrorKind::Internal);
        assert!(error.message().contains(says), "{what:?}: {error}");
    }
    for what in [
        While::Nothing,
        While::PassesItOn,
        While::DropsItFirst,
        While::CommitsFirst,
        While::RollsBackFirst,
        While::LeavesItToATask,
    ] {
        till.hold(what).await.unwrap();
    }
    // Calls at once, each of which holds one, are no matter.
    let calls = (0..20).map(|_| till.hold(While::PassesItOn));
    for one in futures_util::future::join_all(calls).await {
        one.unwrap();
    }
    system.stop().await;
}

#[every_mode]
async fn a_test_can_allow_it(mode: Mode) {
    let system = system(mode).allow_held_transactions().start().await;
    let till: TillClient = system.client();
    for what in [While::WritesAgain, While::ReadsAgain, While::AsksThePool, While::Calls] {
        till.hold(what).await.unwrap();
    }
    system.stop().await;
}

#[every_mode]
async fn work_that_does_it_fails(mode: Mode) {
    let system = system(mode).start().await;
    let till: TillClient = system.client();
    till.work().await.unwrap();
    let (_, described) = system.process_of("till").databases().next().unwrap();
    let url = format!("sqlite://{}", described.split(',').next().unwrap());
    soon(async {
        use sqlx::Connection;
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        loop {
            let error: Option<Option<String>> =
                sqlx::query_scalar("SELECT error FROM monolift_work")
                    .fetch_optional(&mut connection)
                    .await
                    .unwrap();
            if let Some(Some(error)) = error {
                assert!(error.contains("the work `held` of `till` asks for another"), "{error}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    system.stop().await;
}

/// With one connection, which each of them needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_share_one_connection() {
    let postgres = Postgres::start();
    let url = postgres.database("till");
    let db = BTreeMap::from([("url", url), ("connections", "1".to_owned())]);
    let db: BTreeMap<_, monolift::testing::Setting> = db
        .into_iter()
        .map(|(key, value)| (key, value.parse::<u32>().map_or(value.into(), Into::into)))
        .collect();
    // They take turns, for as long as that takes.
    let patient = |manifest: &mut Manifest| manifest.calls.deadline = Duration::from_secs(60);
    let system = system(Mode::InProcess).settings("till", [("db", db)]).manifest(patient);
    let system = system.start().await;
    let till: TillClient = system.client();
    let calls: Vec<_> = (0..500)
        .map(|number| {
            let till = till.clone();
            let what = [While::DropsItFirst, While::CommitsFirst, While::RollsBackFirst];
            tokio::spawn(async move { till.hold(what[number % 3]).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    system.stop().await;
}

/// Orders that are not there are cancelled by so many at once, over HTTP, on PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_is_not_stopped_by_cancelling_nothing() {
    let monolith = target().join("debug/app-monolith");
    assert!(monolith.exists(), "the programs are built: cargo build --workspace --bins");
    let postgres = Postgres::start();
    for pool in [1, 2, 5] {
        let url = postgres.database(&format!("pool_{pool}"));
        let run = Run::new(&format!("cancels-{pool}"))
            .with("SHOP_ORDERS__DB__URL", url)
            .with("SHOP_ORDERS__DB__CONNECTIONS", pool.to_string())
            // They take turns, and no machine is too slow for that.
            .with("SHOP_CALLS__DEADLINE", "25s")
            .gateway("monolith");
        let mut shop = run.start(&monolith);
        let address = shop.http();
        for clients in [5, 50, 500] {
            let cancel = || request(&address, "POST", "/orders/nope/cancel", &[], "");
            let answers: Vec<_> = thread::scope(|scope| {
                let asking: Vec<_> = (0..clients).map(|_| scope.spawn(cancel)).collect();
                asking.into_iter().map(|one| one.join().unwrap()).collect()
            });
            let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
            for answer in answers {
                *statuses.entry(answer.unwrap().status).or_default() += 1;
            }
            assert_eq!(statuses, BTreeMap::from([(404, clients)]), "a pool of {pool}");
        }
        shop.kill();
    }
}
