//! Transactions that conflict: both succeed, and a transaction that runs again takes effect once.

use crate::{
    connections::roles,
    log_lines::both,
    postgres::{PgBouncer, Postgres},
    support::within,
};
use monolift::{
    CallError, CallErrorKind, Db, InterfaceError, Shared, State, async_trait,
    data::Backend,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::Barrier, time::timeout};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum BankError {
    #[error("there is too little")]
    TooLittle,
    #[error(transparent)]
    Call(CallError),
}

#[monolift::interface(module = "bank")]
pub trait Bank {
    /// Takes from one account and gives to another, in this order.
    async fn pay(&self, from: i64, to: i64, amount: i64) -> Result<(), BankError>;

    /// Reads the sum of both accounts, then adds it to one of them.
    async fn double(&self, to: i64) -> Result<(), BankError>;

    /// Goes on after a conflict as if there was none.
    async fn carry_on(&self, from: i64, to: i64) -> Result<(), BankError>;

    #[idempotent]
    async fn balances(&self) -> Result<Vec<i64>, BankError>;

    #[idempotent]
    async fn attempts(&self) -> Result<u32, BankError>;
}

/// Both of two transactions have done their first half.
type Halfway = Arc<Barrier>;

#[monolift::module(name = "bank", provides = Bank)]
pub struct BankModule {
    db: Db,
    attempts: State<AtomicU32>,
    halfway: Shared<Halfway>,
}

impl BankModule {
    /// One attempt begins: the first of two waits for the other one's.
    async fn meet(&self, attempt: u32) {
        if attempt == 0 {
            // On SQLite the second begins when the first has ended.
            let patience = match self.db.backend() {
                Backend::Sqlite => Duration::from_millis(300),
                Backend::Postgres => Duration::from_secs(3),
            };
            let _ = timeout(patience, self.halfway.wait()).await;
        }
    }

    async fn add(tx: &mut monolift::Tx<'_>, account: i64, amount: i64) -> Result<i64, sqlx::Error> {
        let (balance,): (i64,) = sqlx::query_as(
            "UPDATE accounts SET balance = balance + $2 WHERE id = $1 RETURNING balance",
        )
        .bind(account)
        .bind(amount)
        .fetch_one(&mut **tx)
        .await?;
        Ok(balance)
    }
}

#[async_trait]
impl Bank for BankModule {
    async fn pay(&self, from: i64, to: i64, amount: i64) -> Result<(), BankError> {
        let attempt = AtomicU32::new(0);
        self.db
            .transaction(async |mut tx| {
                self.attempts.fetch_add(1, SeqCst);
                if Self::add(&mut tx, from, -amount).await? < 0 {
                    return Err(BankError::TooLittle);
                }
                self.meet(attempt.fetch_add(1, SeqCst)).await;
                Self::add(&mut tx, to, amount).await?;
                Ok(())
            })
            .await
    }

    async fn double(&self, to: i64) -> Result<(), BankError> {
        let attempt = AtomicU32::new(0);
        let postgres = self.db.backend() == Backend::Postgres;
        self.db
            .transaction(async |mut tx| {
                self.attempts.fetch_add(1, SeqCst);
                if postgres {
                    sqlx::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                        .execute(&mut **tx)
                        .await?;
                }
                let (sum,): (i64,) =
                    sqlx::query_as("SELECT CAST(SUM(balance) AS BIGINT) FROM accounts")
                        .fetch_one(&mut **tx)
                        .await?;
                self.meet(attempt.fetch_add(1, SeqCst)).await;
                Self::add(&mut tx, to, sum).await?;
                Ok(())
            })
            .await
    }

    async fn carry_on(&self, from: i64, to: i64) -> Result<(), BankError> {
        let attempt = AtomicU32::new(0);
        self.db
            .transaction(async |mut tx| {
                self.attempts.fetch_add(1, SeqCst);
                Self::add(&mut tx, from, -1).await?;
                self.meet(attempt.fetch_add(1, SeqCst)).await;
                let _: Result<i64, BankError> =
                    async { Ok(Self::add(&mut tx, to, 1).await?) }.await;
                Ok(())
            })
            .await
    }

    async fn balances(&self) -> Result<Vec<i64>, BankError> {
        let rows: Vec<(i64,)> = sqlx::query_as("SELECT balance FROM accounts ORDER BY id")
            .fetch_all(&mut *self.db.connection().await?)
            .await?;
        Ok(rows.into_iter().map(|(balance,)| balance).collect())
    }

    async fn attempts(&self) -> Result<u32, BankError> {
        Ok(self.attempts.swap(0, SeqCst))
    }
}

/// On PostgreSQL two transactions get so far that they conflict. On SQLite they take turns.
async fn conflicts(system: System, on_postgres: bool) {
    let system = system.share::<Halfway>("bank", Arc::new(Barrier::new(2))).start().await;
    let bank: BankClient = system.client();
    let attempts = async || {
        let attempts = bank.attempts().await.unwrap();
        if on_postgres { attempts > 2 } else { attempts == 2 }
    };

    let (one, other) = tokio::join!(bank.pay(1, 2, 10), bank.pay(2, 1, 30));
    assert_eq!((one.is_ok(), other.is_ok()), (true, true), "{one:?} {other:?}");
    assert_eq!(bank.balances().await.unwrap(), [120, 80]);
    assert!(attempts().await, "a deadlock has a victim");

    let (one, other) = tokio::join!(bank.double(1), bank.double(2));
    assert_eq!((one.is_ok(), other.is_ok()), (true, true), "{one:?} {other:?}");
    let after = bank.balances().await.unwrap();
    assert!(after == [320, 480] || after == [520, 280], "not one after the other: {after:?}");
    assert!(attempts().await);

    let (one, other) = tokio::join!(bank.carry_on(1, 2), bank.carry_on(2, 1));
    assert_eq!((one.is_ok(), other.is_ok()), (true, true), "{one:?} {other:?}");
    assert_eq!(bank.balances().await.unwrap(), after, "both are done");
    assert!(attempts().await);

    // An error of the work rolls back, and is not tried again.
    let error = bank.pay(1, 2, 1_000).await.unwrap_err();
    assert!(matches!(error, BankError::TooLittle), "{error:?}");
    assert_eq!(bank.balances().await.unwrap(), after);
    assert_eq!(bank.attempts().await.unwrap(), 1);
    system.stop().await;
}

#[every_mode]
async fn transactions_that_conflict_both_succeed(mode: Mode) {
    conflicts(System::new(mode).module::<BankModule>(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_they_run_again() {
    let postgres = Postgres::start();
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let url = postgres.database(&format!("{mode:?}").to_lowercase());
        let db = BTreeMap::from([("url", url)]);
        let system = System::new(mode).module::<BankModule>().settings("bank", [("db", db)]);
        conflicts(system, true).await;
    }
}

/// Also the level of isolation is theirs to choose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_shared_pool_they_run_again_too() {
    let postgres = Postgres::start();
    let url = roles(&postgres.database("bank"), "login", &["teller"]).await;
    let pgbouncer = PgBouncer::start(&postgres, 4, &["login"]);
    let db = BTreeMap::from([("url", pgbouncer.through(&url)), ("role", "teller".to_owned())]);
    let system = System::new(Mode::InProcess).module::<BankModule>();
    conflicts(system.settings("bank", [("db", db)]), true).await;
}

/// sqlx tries to connect until the deadline of the call, and says nothing meanwhile.
#[tokio::test]
async fn a_call_that_gets_no_connection_logs_why() {
    let postgres = Postgres::start();
    let db = BTreeMap::from([("url", postgres.database("bank"))]);
    let system = System::new(Mode::InProcess).module::<BankModule>().settings("bank", [("db", db)]);
    let system = system.share::<Halfway>("bank", Arc::new(Barrier::new(2))).start().await;
    let bank: BankClient = system.client();
    bank.balances().await.unwrap();
    drop(postgres);
    let (log, _, _guard) = both();
    let BankError::Call(error) =
        within(Duration::from_secs(3)).scope(bank.balances()).await.unwrap_err()
    else {
        panic!("the module has no such error");
    };
    assert_eq!(error.kind(), CallErrorKind::DeadlineExceeded, "{error}");
    let log = log.text();
    let line = log.lines().find(|line| line.contains("no connection to the module's database"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" WARN bank.balances ") && line.contains("refused"), "{line}");
    system.stop().await;
}
