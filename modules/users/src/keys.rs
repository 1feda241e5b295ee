//! The keys that sign tokens: kept in the module's database, and replaced in time.
//!
//! A key signs for a while. The next one is made when half of that time is over, and is published from then on, so that
//! gateways know it before it signs. An old one stays published until its tokens have expired. All of that follows from
//! the rows of a table and the time, so replicas agree without talking to each other. Nothing runs in the background: a
//! key is made when a token is signed or when a gateway asks for the keys, which it does every few minutes.

use base64::{Engine, engine::general_purpose::STANDARD};
use monolift::Db;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use std::io;
use users_api::UsersError;

/// How long tokens count after they have expired, at most: the largest `leeway` that a gateway may have.
const LEEWAY_MS: i64 = 300_000;

/// How long a key signs, and how long a token counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) key_ms: i64,
    pub(crate) token_ms: i64,
}

/// A key that is published.
pub(crate) struct Key {
    number: i64,
    pub(crate) name: String,
    pair: Ed25519KeyPair,
    signs_from_ms: i64,
    signs_until_ms: i64,
}

type Row = (i64, String, String, i64, i64);

impl Key {
    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }

    /// The public half.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn of_row((number, name, pair, signs_from_ms, signs_until_ms): Row) -> io::Result<Self> {
        let pair = STANDARD.decode(pair).map_err(io::Error::other)?;
        let pair = Ed25519KeyPair::from_pkcs8(&pair)
            .map_err(|rejected| io::Error::other(rejected.to_string()))?;
        Ok(Self { number, name, pair, signs_from_ms, signs_until_ms })
    }
}

/// The keys that are published at a time, in the order in which they sign. There is always one that signs.
pub(crate) struct Keys(Vec<Key>);

/// What is missing among the published keys.
enum Missing {
    /// A key that signs from now on.
    Now,
    /// The one that signs after the last.
    Next { signs_from_ms: i64 },
}

impl Keys {
    /// The keys at this time. Makes those that are missing.
    pub(crate) async fn at(now: i64, times: Times, db: &Db) -> Result<Self, UsersError> {
        // A key for now, and the next one.
        for _ in 0..2 {
            let keys = Self::read(now, db).await?;
            let Some(missing) = keys.missing(now) else { return Ok(keys) };
            keys.make(missing, now, times, db).await?;
        }
        let keys = Self::read(now, db).await?;
        if keys.0.is_empty() {
            return Err(io::Error::other("a key that was made is not there").into());
        }
        Ok(keys)
    }

    async fn read(now: i64, db: &Db) -> Result<Self, UsersError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT number, name, private_key, signs_from_ms, signs_until_ms FROM signing_keys \
             WHERE shown_until_ms > $1 ORDER BY number",
        )
        .bind(now)
        .fetch_all(&mut *db.connection().await?)
        .await?;
        Ok(Self(rows.into_iter().map(Key::of_row).collect::<Result<_, _>>()?))
    }

    fn missing(&self, now: i64) -> Option<Missing> {
        let Some(last) = self.0.last().filter(|last| now < last.signs_until_ms) else {
            return Some(Missing::Now);
        };
        let signs_from_ms = last.signs_until_ms;
        let half = last.signs_from_ms.midpoint(signs_from_ms);
        (now >= half).then_some(Missing::Next { signs_from_ms })
    }

    /// Makes a key, unless another replica has made it meanwhile, and forgets those that are not shown any more.
    async fn make(
        &self,
        missing: Missing,
        now: i64,
        times: Times,
        db: &Db,
    ) -> Result<(), UsersError> {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let pair = pair.map_err(|_| io::Error::other("the system has no random numbers"))?;
        let name = format!("{:032x}", rand::random::<u128>());
        let signs_from = match missing {
            Missing::Now => now,
            Missing::Next { signs_from_ms } => signs_from_ms,
        };
        let signs_until = signs_from + times.key_ms;
        let mut tx = db.write().await?;
        sqlx::query(
            "INSERT INTO signing_keys \
             (number, name, private_key, signs_from_ms, signs_until_ms, shown_until_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (number) DO NOTHING",
        )
        .bind(self.0.last().map_or(0, |last| last.number) + 1)
        .bind(name)
        .bind(STANDARD.encode(pair))
        .bind(signs_from)
        .bind(signs_until)
        .bind(signs_until + times.token_ms + LEEWAY_MS)
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM signing_keys WHERE shown_until_ms <= $1")
            .bind(now)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    pub(crate) fn all(&self) -> &[Key] {
        &self.0
    }

    /// The key that signs at this time. None has begun if the clock of the replica that made the first one is ahead, or if
    /// somebody has deleted the one before: then it is the next one.
    pub(crate) fn signing(&self, now: i64) -> Option<&Key> {
        let mut signing = self.0.iter().filter(|key| now < key.signs_until_ms);
        let next = signing.clone().next();
        signing.rfind(|key| key.signs_from_ms <= now).or(next)
    }
}
