//! A module's database: its own, and no other's; its migrations, and its durable work.
//!
//! For the other crates of Monolift; applications use `monolift`, which has all of it.

mod acquire;
mod attempt;
mod autocommit;
mod begins;
mod begun;
mod caller;
mod connecting;
mod connection;
mod constraint;
mod databases;
mod db;
mod driver;
mod error;
pub mod events;
mod gauge;
mod identity;
mod isolation;
mod line;
mod local;
mod location;
mod migrate;
mod migration_file;
mod migration_lock;
mod newer;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
mod settings;
mod shared;
mod source;
pub mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(not(feature = "sqlite"))]
#[path = "no_sqlite.rs"]
mod sqlite;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
mod transaction;
mod tx;
mod url;
pub mod work;

pub use autocommit::Autocommit;
pub use begins::quoted;
pub use connection::Connection;
pub use constraint::OnConstraint;
pub use databases::{Databases, Need, Working};
pub use db::{Backend, Db};
pub use driver::{Column, Driver, ModuleDatabase, Value, pool_of};
pub use error::OpenError;
pub use gauge::{Gauge, PoolFigures};
pub use identity::Identity;
pub use isolation::Isolation;
pub use local::{Joined, Lend};
pub use location::Location;
use migrate::{migrate, verify};
pub use migration_file::Migration;
pub use open::History;
pub use settings::{DbSettings, Durability};
pub use shared::SharedPools;
pub use source::{Common, Migrated, Pools, Source, role_of, schema_of};
pub use transaction::Lent;
pub use tx::Tx;
pub use url::check_url;

// The room below, by the name that it has there.
pub(crate) use monolift_call::call;
