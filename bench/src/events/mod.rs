//! Events from one module to another: Monolift's, and what a careful team writes by hand.
//!
//! Both sides use the framework's `Db`, so pools, drivers and the durability of commits are the same.

mod by_hand;
mod idle;
mod ours;
mod postgres;

pub use by_hand::ByHand;
pub use idle::Idle;
pub use ours::Ours;
pub use postgres::Postgres;

use monolift::{
    Db,
    data::{DbSettings, History, Location},
};
use std::path::Path;

/// Keys of the events. Those of one key are handled in order.
pub const KEYS: u64 = 1_000;

/// The listener's effect.
pub const EFFECTS: &str =
    "CREATE TABLE effects (item BIGINT NOT NULL, number BIGINT NOT NULL, text TEXT NOT NULL)";

/// Where databases are made.
pub enum Server<'a> {
    /// Files in this folder.
    Sqlite(&'a Path),
    /// A server of the benchmark's own.
    Postgres(&'a Postgres),
}

impl Server<'_> {
    /// What a new database of this name is opened from.
    pub fn location(&self, name: &str) -> anyhow::Result<Location> {
        Ok(match self {
            Self::Sqlite(folder) => Location::File(folder.join(format!("{name}.db"))),
            Self::Postgres(server) => Location::Url(server.database(name)?),
        })
    }

    /// A URL of a new database.
    pub fn url(&self, name: &str) -> anyhow::Result<String> {
        Ok(match self {
            Self::Sqlite(folder) => {
                let file = folder.join(format!("{name}.db"));
                format!("sqlite://{}?mode=rwc", file.display())
            }
            Self::Postgres(server) => server.database(name)?,
        })
    }
}

/// A new database, with these tables.
pub async fn open(
    server: &Server<'_>,
    name: &str,
    histories: &[History<'_>],
    tables: &[&'static str],
) -> anyhow::Result<Db> {
    let db: Db = Db::open(&server.location(name)?, &DbSettings::default(), histories).await?;
    for table in tables {
        sqlx::query(*table).execute(&mut *db.connection().await?).await?;
    }
    Ok(db)
}

/// The text of an event, as JSON.
pub fn text_of(number: u64) -> String {
    format!("order {number} was placed by a customer who buys tea every other week")
}
