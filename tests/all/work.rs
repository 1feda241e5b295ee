//! Durable work of a module, in each mode, on both databases.

use crate::{
    connections::roles,
    postgres::{PgBouncer, Postgres},
    support::soon,
};
use monolift::{
    CallError, Circuit, Db, Inject, InterfaceError, Perform, Piece, Recurring, Retry, StartError,
    State, Work, async_trait,
    module::Injector,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum DeskError {
    #[error(transparent)]
    Call(CallError),
}

/// Where letters are written, to be posted afterwards.
#[monolift::interface(module = "desk")]
pub trait Desk {
    /// Writes letters, all or, when they are torn, none.
    async fn write(&self, texts: Vec<String>, torn: bool) -> Result<(), DeskError>;

    /// How often each letter was posted.
    async fn posted(&self) -> Result<BTreeMap<String, i64>, DeskError>;

    /// How often the box was emptied.
    async fn emptied(&self) -> Result<u32, DeskError>;
}

#[derive(Serialize, Deserialize)]
struct Letter {
    text: String,
}

impl Piece for Letter {
    const NAME: &'static str = "letter";
    const RETRY: Retry = Retry { first: Duration::from_millis(20), ..Retry::DEFAULT };
}

#[derive(Serialize, Deserialize)]
struct EmptyBox;

impl Piece for EmptyBox {
    const NAME: &'static str = "empty-box";

    fn recurring() -> Option<Recurring<Self>> {
        Some(Recurring { schedule: "@every 100ms", piece: Self })
    }
}

#[monolift::module(name = "desk", provides = Desk, work = [Letter, EmptyBox])]
pub struct DeskModule {
    db: Db,
    work: Work,
    tried: State<AtomicU32>,
    emptied: State<AtomicU32>,
}

#[async_trait]
impl Desk for DeskModule {
    async fn write(&self, texts: Vec<String>, torn: bool) -> Result<(), DeskError> {
        let mut tx = self.db.write().await?;
        for text in texts {
            sqlx::query("INSERT INTO letters (text, posts) VALUES ($1, 0)")
                .bind(&text)
                .execute(&mut *tx)
                .await?;
            self.work.enqueue(&mut tx, &Letter { text }).await?;
        }
        if torn {
            tx.rollback().await?
        } else {
            tx.commit().await?
        }
        Ok(())
    }

    async fn posted(&self) -> Result<BTreeMap<String, i64>, DeskError> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT text, posts FROM letters")
            .fetch_all(&mut *self.db.connection().await?)
            .await?;
        Ok(rows.into_iter().collect())
    }

    async fn emptied(&self) -> Result<u32, DeskError> {
        Ok(self.emptied.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Perform<Letter> for DeskModule {
    async fn perform(&self, letter: Letter) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Every third attempt is in vain.
        if self.tried.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
            return Err("the box is full".into());
        }
        let mut tx = self.db.write().await?;
        sqlx::query("UPDATE letters SET posts = posts + 1 WHERE text = $1")
            .bind(&letter.text)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

#[async_trait]
impl Perform<EmptyBox> for DeskModule {
    async fn perform(&self, _: EmptyBox) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.emptied.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

async fn letters_are_posted(system: System) {
    let system = system.start().await;
    let desk: DeskClient = system.client();
    let texts: Vec<String> = (0..20).map(|number| format!("letter {number}")).collect();
    desk.write(texts.clone(), false).await.unwrap();
    desk.write(vec!["torn".to_owned()], true).await.unwrap();
    let expected: BTreeMap<String, i64> = texts.into_iter().map(|text| (text, 1)).collect();
    soon(async {
        while desk.posted().await.unwrap() != expected || desk.emptied().await.unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    system.stop().await;
}

#[every_mode]
async fn what_follows_a_commit_is_done(mode: Mode) {
    letters_are_posted(System::new(mode).module::<DeskModule>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_too() {
    let postgres = Postgres::start();
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let url = postgres.database(&format!("{mode:?}").to_lowercase());
        let system = System::new(mode).module::<DeskModule>();
        let db = BTreeMap::from([("url", url)]);
        letters_are_posted(system.settings("desk", [("db", db)])).await;
    }
}

/// Claiming, renewing and writing down, on a pool that modules share, and with PgBouncer in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_shared_pool_too() {
    let postgres = Postgres::start();
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        for through_pgbouncer in [false, true] {
            let name = format!("{mode:?}_{through_pgbouncer}").to_lowercase();
            let (desk, login) = (format!("desk_{name}"), format!("login_{name}"));
            let url = roles(&postgres.database(&name), &login, &[&desk]).await;
            let pgbouncer = PgBouncer::start(&postgres, 2, &[&login]);
            let url = if through_pgbouncer { pgbouncer.through(&url) } else { url };
            let system = System::new(mode).module::<DeskModule>();
            let db = BTreeMap::from([("url", url), ("role", desk)]);
            letters_are_posted(system.settings("desk", [("db", db)])).await;
        }
    }
}

/// What parcels are sent with.
#[monolift::interface(module = "carrier")]
pub trait Carrier {
    async fn carry(&self, parcel: u32) -> Result<(), DeskError>;
}

/// A carrier that is on strike for a while.
#[derive(Default)]
struct OnStrike {
    strikes: AtomicBool,
    asked: AtomicU32,
    carried: Mutex<BTreeMap<u32, u32>>,
}

#[async_trait]
impl Carrier for OnStrike {
    async fn carry(&self, parcel: u32) -> Result<(), DeskError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.strikes.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("on strike").into());
        }
        *self.carried.lock().unwrap().entry(parcel).or_default() += 1;
        Ok(())
    }
}

/// Where parcels are taken in.
#[monolift::interface(module = "counter")]
pub trait Counter {
    async fn take_in(&self, parcels: u32) -> Result<(), DeskError>;
}

#[derive(Serialize, Deserialize)]
struct Parcel(u32);

impl Piece for Parcel {
    const NAME: &'static str = "parcel";
    const RETRY: Retry =
        Retry { first: Duration::from_millis(10), most: Duration::from_millis(20), attempts: 6 };
    const CIRCUIT: Circuit = Circuit {
        first: Duration::from_millis(50),
        most: Duration::from_millis(100),
        release: Duration::from_millis(500),
        ..Circuit::DEFAULT
    };
}

/// A client of what this package does not depend on.
struct Carriers(CarrierClient);

impl Inject for Carriers {
    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        Ok(Self(injector.client()))
    }
}

#[monolift::module(name = "counter", provides = Counter, work = [Parcel])]
pub struct CounterModule {
    db: Db,
    work: Work,
    carrier: Carriers,
}

#[async_trait]
impl Counter for CounterModule {
    async fn take_in(&self, parcels: u32) -> Result<(), DeskError> {
        let mut tx = self.db.write().await?;
        for parcel in 0..parcels {
            self.work.enqueue(&mut tx, &Parcel(parcel)).await?;
        }
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl Perform<Parcel> for CounterModule {
    async fn perform(&self, Parcel(parcel): Parcel) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.carrier.0.carry(parcel).await?)
    }
}

/// While a module fails, the work that calls it is tried by a single piece now and then. So it makes
/// few calls, and none of it is parked, which all of it would be otherwise; afterwards all is done.
#[every_mode]
async fn work_is_held_back_while_what_it_calls_fails(mode: Mode) {
    const PARCELS: u32 = 200;
    let carrier = Arc::new(OnStrike::default());
    carrier.strikes.store(true, Ordering::SeqCst);
    let system = System::new(mode)
        .module::<CounterModule>()
        .fake::<dyn Carrier>(carrier.clone())
        // There it may be called without a dependency.
        .beside("carrier", "counter")
        .start()
        .await;
    let counter: CounterClient = system.client();
    counter.take_in(PARCELS).await.unwrap();
    // As many attempts as each would have, one after another, and many times over.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = carrier.asked.load(Ordering::SeqCst);
    assert!((5..=80).contains(&asked), "{asked} calls");
    carrier.strikes.store(false, Ordering::SeqCst);
    soon(async {
        while carrier.carried.lock().unwrap().len() < PARCELS as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(carrier.carried.lock().unwrap().values().all(|&times| times == 1));
    let after = carrier.asked.load(Ordering::SeqCst) - asked;
    assert!(after <= PARCELS * 3 / 2, "{after} calls afterwards");
    system.stop().await;
}
