//! What a module's section may say of its database, under `db`.

use crate::config::Secret;
use serde::Deserialize;

/// `[orders.db]`: where a module's database is, and what it is held to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DbSettings {
    /// `sqlite:` or `postgres:`. Without one it is a SQLite file in the data directory.
    pub url: Option<Secret>,
    /// The most connections that the module's pool has in one process; 5 unless it says more.
    pub connections: Option<u32>,
    /// What a commit survives on SQLite.
    pub durability: Durability,
}

/// What a commit survives on SQLite. On Postgres its own `synchronous_commit` says that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The end of the process at any moment; the last commits may be lost with the power.
    #[default]
    Process,
    /// Loss of power too, for about 0.1 ms more a commit.
    Power,
}

impl DbSettings {
    /// Connections of one module's pool, unless its settings say otherwise.
    pub const CONNECTIONS: u32 = 5;

    /// The most connections of the pool.
    pub fn connections(&self) -> u32 {
        self.connections.unwrap_or(Self::CONNECTIONS).max(1)
    }
}
