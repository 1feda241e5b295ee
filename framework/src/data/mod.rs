//! A module's database: its own, and no other's.

mod db;
mod migrate;
mod open;
#[cfg(test)]
mod tests;

pub use db::{Backend, Db};
pub use migrate::{Migration, migrate};
pub use open::{Location, ModuleDatabase, OpenError};
