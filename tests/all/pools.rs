//! Pools that `main` hands to modules: each is used, or the start is refused.

use monolift::{
    CallError, Db, InterfaceError, Shared, Work, async_trait,
    testing::{Mode, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{Any, Pool, Postgres, Sqlite, SqlitePool};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum KeeperError {
    #[error(transparent)]
    Call(CallError),
}

/// Keeps numbers.
#[monolift::interface(module = "keeper")]
pub trait Keeper {
    async fn keep(&self, number: i64) -> Result<(), KeeperError>;
}

macro_rules! keeper {
    ($module:ident { $($field:ident: $type:ty),+ }) => {
        #[monolift::module(name = "keeper", provides = Keeper)]
        #[allow(dead_code, reason = "one of them is what counts")]
        pub struct $module { $($field: $type),+ }

        #[async_trait]
        impl Keeper for $module {
            async fn keep(&self, number: i64) -> Result<(), KeeperError> {
                sqlx::query("INSERT INTO numbers (number) VALUES ($1)")
                    .bind(number)
                    .execute(&mut *self.db.connection().await?)
                    .await?;
                Ok(())
            }
        }
    };
}

keeper!(OfAny { db: Db });
keeper!(OfSqlite { db: Db<Sqlite> });
keeper!(OfPostgres { db: Db<Postgres>, work: Work<Postgres> });
keeper!(WithAPoolBeside { db: Db, pool: Shared<SqlitePool> });

/// A database in memory, which exists in this pool only.
async fn in_memory() -> SqlitePool {
    let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    let pool = options.connect("sqlite::memory:").await.unwrap();
    sqlx::query("CREATE TABLE numbers (number BIGINT)").execute(&pool).await.unwrap();
    pool
}

fn lazy_postgres() -> Pool<Postgres> {
    Pool::connect_lazy("postgres://keeper@127.0.0.1:1/keeper").unwrap()
}

/// The module would open a database of its own instead, and its rows would be there.
#[every_mode]
async fn a_pool_that_no_field_takes_stops_the_start(mode: Mode) {
    let system = System::new(mode).module::<OfAny>().share("keeper", lazy_postgres());
    let text = system.try_start().await.unwrap_err().to_string();
    assert_eq!(
        text,
        "module `keeper`: main hands in a `Pool<Postgres>`, and no field takes one: its database takes a \
         `Pool<Any>`; make the field a `Db<Postgres>`, or hand in a pool of the field's type"
    );
    let system = System::new(mode).module::<OfAny>().share("keeper", in_memory().await);
    let text = system.try_start().await.unwrap_err().to_string();
    assert!(text.contains("hands in a `Pool<Sqlite>`, and no field takes one"), "{text}");
    // The other way round, and with one that is right beside it.
    let any: Pool<Any> = {
        sqlx::any::install_default_drivers();
        Pool::connect_lazy("postgres://keeper@127.0.0.1:1/keeper").unwrap()
    };
    let system = System::new(mode).module::<OfPostgres>().share("keeper", any);
    let text = system.share("keeper", lazy_postgres()).try_start().await.unwrap_err().to_string();
    assert!(
        text.contains("`Pool<Any>`, and no field takes one: its database takes a `Pool<Postgres>`"),
        "{text}"
    );
    assert_eq!(
        text.lines().filter(|line| line.contains("no field takes one")).count(),
        1,
        "{text}"
    );
}

#[every_mode]
async fn a_pool_that_a_field_takes_is_where_rows_land(mode: Mode) {
    let pool = in_memory().await;
    let system = System::new(mode).module::<OfSqlite>().share("keeper", pool.clone());
    let system = system.start().await;
    let keeper: KeeperClient = system.client();
    keeper.keep(7).await.unwrap();
    let kept: i64 =
        sqlx::query_scalar("SELECT number FROM numbers").fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 7);
    system.stop().await;

    // A field for the pool itself takes it, whatever the database is.
    let system = System::new(mode).module::<WithAPoolBeside>().share("keeper", in_memory().await);
    system.start().await.stop().await;
}
