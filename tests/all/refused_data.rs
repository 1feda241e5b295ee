//! Errors that the data causes are the call's, and no failure of the replica that met them: they are
//! not made again, and no replica is left out for them.

use crate::postgres::Postgres;
use monolift::{
    CallError, CallErrorKind, Db, InterfaceError, OnConstraint, RetryAdvice, State, async_trait,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ListError {
    #[error("there is one already")]
    Taken,
    #[error(transparent)]
    Call(CallError),
}

/// What is asked of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ask {
    /// A row that is there.
    Twice,
    /// A value that a check refuses.
    Unchecked,
    /// No value where there must be one.
    Nothing,
    /// A text that PostgreSQL does not take.
    Nul,
    /// A division by zero, in the database.
    Divide,
    /// A table that is not there: no fault of the data.
    NoTable,
    /// The first, wrapped in an error of no known type.
    Boxed,
}

#[monolift::interface(module = "list")]
pub trait List {
    #[idempotent]
    async fn ask(&self, what: Ask) -> Result<(), ListError>;

    /// Adds a thing that is there, with the name of the constraint that it violates.
    async fn add(&self, constraint: String) -> Result<(), ListError>;

    #[idempotent]
    async fn asked(&self) -> Result<u32, ListError>;
}

#[monolift::module(name = "list", provides = List)]
pub struct ListModule {
    db: Db,
    asked: State<AtomicU32>,
}

impl ListModule {
    async fn twice(&self) -> Result<(), sqlx::Error> {
        for _ in 0..2 {
            sqlx::query("INSERT INTO things (id, size) VALUES (1, 1)")
                .execute(&mut *self.db.connection().await?)
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl List for ListModule {
    async fn ask(&self, what: Ask) -> Result<(), ListError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let pool = self.db.pool();
        match what {
            Ask::Twice => self.twice().await?,
            Ask::Unchecked => {
                sqlx::query("INSERT INTO things (id, size) VALUES (2, -1)").execute(pool).await?;
            }
            Ask::Nothing => {
                sqlx::query("INSERT INTO things (id, size) VALUES (3, NULL)").execute(pool).await?;
            }
            Ask::Nul => {
                let found: Option<i64> =
                    sqlx::query_scalar("SELECT id FROM things WHERE note = $1")
                        .bind("a\0b")
                        .fetch_optional(pool)
                        .await?;
                assert_eq!(found, None);
            }
            Ask::Divide => {
                sqlx::query("UPDATE things SET size = size / (id - id)").execute(pool).await?;
            }
            Ask::NoTable => {
                sqlx::query("SELECT id FROM nothing").execute(pool).await?;
            }
            Ask::Boxed => {
                let boxed: Box<dyn std::error::Error + Send + Sync> =
                    self.twice().await.unwrap_err().into();
                Err(boxed)?
            }
        }
        Ok(())
    }

    async fn add(&self, constraint: String) -> Result<(), ListError> {
        Ok(self.twice().await.on_constraint(&constraint, |_| ListError::Taken)?)
    }

    async fn asked(&self) -> Result<u32, ListError> {
        Ok(self.asked.load(Ordering::SeqCst))
    }
}

async fn refused(system: System, of_the_data: &[Ask], other: &[Ask]) {
    let system = system.start().await;
    let list: ListClient = system.client();
    let error = async |what| match list.ask(what).await {
        Err(ListError::Call(error)) => error,
        other => panic!("{what:?}: {other:?}"),
    };
    assert!(matches!(list.add("things_pkey".into()).await, Err(ListError::Taken)));
    assert!(matches!(list.add("other_pkey".into()).await, Err(ListError::Call(_))));
    for &what in of_the_data {
        // Often enough to have a replica left out.
        for _ in 0..6 {
            let before = list.asked().await.unwrap();
            let error = error(what).await;
            assert_eq!(error.kind(), CallErrorKind::Internal, "{what:?}");
            assert_eq!(error.retry_advice(), Some(RetryAdvice::Never), "{what:?}");
            assert!(error.reference().is_some(), "{what:?}: it is logged");
            assert_eq!(list.asked().await.unwrap() - before, 1, "{what:?} is asked once");
        }
    }
    for &what in other {
        assert_eq!(error(what).await.retry_advice(), None, "{what:?}");
    }
    system.stop().await;
}

#[every_mode]
async fn what_the_data_causes_is_not_tried_again(mode: Mode) {
    let of_the_data = [Ask::Twice, Ask::Unchecked, Ask::Nothing, Ask::Boxed];
    refused(System::new(mode).module::<ListModule>(), &of_the_data, &[Ask::NoTable]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_too() {
    let postgres = Postgres::start();
    let of_the_data = [Ask::Twice, Ask::Unchecked, Ask::Nothing, Ask::Nul, Ask::Divide, Ask::Boxed];
    for mode in [Mode::InProcess, Mode::OverAConnection] {
        let url = postgres.database(&format!("{mode:?}").to_lowercase());
        let db = BTreeMap::from([("url", url)]);
        let system = System::new(mode).module::<ListModule>().settings("list", [("db", db)]);
        refused(system, &of_the_data, &[Ask::NoTable]).await;
    }
}
