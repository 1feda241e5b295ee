//! What a module's section may say of its database, under `db`.

use super::check_url;
use monolift_call::Secret;
use monolift_manifest::{Migrate, quantity};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};

/// `[orders.db]`: where a module's database is, and what it is held to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DbSettings {
    /// `sqlite:` or `postgres:`. Without one it is a SQLite file in the data directory.
    #[serde(deserialize_with = "url")]
    pub url: Option<Secret>,
    /// The role that its transactions take on, if modules share the pool of its URL. The default is `<app>_<module>`
    /// where the URL is that of `[db]`; beside a `url` of its own it is none, and the pool is the module's own.
    #[serde(deserialize_with = "role")]
    pub role: Option<String>,
    /// The most connections that the module's pool has in one process; of a shared pool, the most that the module has at
    /// once. The default is 5.
    #[serde(deserialize_with = "connections")]
    pub connections: Option<u32>,
    /// What a commit survives on SQLite.
    pub durability: Durability,
    /// Where a program's `migrate` applies the module's migrations, as the role that owns the tables. The default is
    /// `url`.
    #[serde(deserialize_with = "url")]
    pub migrate_url: Option<Secret>,
    /// When they are applied. The default is that of `[db]`.
    #[serde(deserialize_with = "migrate")]
    pub migrate: Option<Migrate>,
    /// The most bytes of payloads that the module keeps of events which every listener has handled. Older ones are deleted
    /// before their time. Without it, they are kept for the time that their type states.
    #[serde(deserialize_with = "size")]
    pub keep_events: Option<u64>,
    /// Whether its transactions on PostgreSQL have the caller as `app.user` and `app.tenant`. The default is that of `[db]`.
    pub caller: Option<bool>,
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
    /// The most connections that a pool may have.
    const MOST: u32 = 10_000;

    /// Connections of one module's pool, unless its settings say otherwise.
    pub const CONNECTIONS: u32 = 5;

    /// The most connections of the pool.
    pub fn connections(&self) -> u32 {
        self.connections.unwrap_or(Self::CONNECTIONS).max(1)
    }
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let url = Secret::<String>::deserialize(from)?;
    match check_url(url.expose()) {
        Ok(()) => Ok(Some(url)),
        Err(expected) => {
            Err(D::Error::invalid_value(Unexpected::Other("another text"), &expected.as_str()))
        }
    }
}

fn role<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let role = String::deserialize(from)?;
    // PostgreSQL cuts off what is longer.
    if role.is_empty() || role.len() > 63 || role.contains(char::is_control) {
        let expected = "the name of a role, of 63 bytes at most";
        return Err(D::Error::invalid_value(Unexpected::Other("another text"), &expected));
    }
    Ok(Some(role))
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(from)?;
    let expected = "a size such as `512MiB`";
    quantity::size(&text)
        .map(Some)
        .map_err(|_| D::Error::invalid_value(Unexpected::Other("another text"), &expected))
}

fn migrate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Migrate>, D::Error> {
    let text = String::deserialize(from)?;
    Migrate::read(&text).map(Some).map_err(|_| {
        D::Error::invalid_value(Unexpected::Other("another text"), &"`start` or `never`")
    })
}

fn connections<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let most = DbSettings::MOST;
    let connections = u32::deserialize(from)?;
    if (1..=most).contains(&connections) {
        return Ok(Some(connections));
    }
    let expected = format!("a whole number from 1 to {most}");
    Err(D::Error::invalid_value(Unexpected::Unsigned(connections.into()), &expected.as_str()))
}
