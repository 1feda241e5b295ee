//! An outbox that is polled in batches of 100 with `FOR UPDATE SKIP LOCKED`, and a listener that notes what it has seen in
//! the transaction of each effect.

use super::{EFFECTS, KEYS, Server, open, text_of};
use monolift::{Db, data::Backend};

const OUTBOX: &str = "CREATE TABLE outbox (id BIGINT NOT NULL PRIMARY KEY, key TEXT NOT NULL, \
    number BIGINT NOT NULL, payload TEXT NOT NULL)";
const ORDERS: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, text TEXT NOT NULL)";
const INBOX: &str = "CREATE TABLE inbox (key TEXT NOT NULL PRIMARY KEY, number BIGINT NOT NULL)";

/// Two databases, by hand.
pub struct ByHand {
    publisher: Db,
    listener: Db,
}

impl ByHand {
    /// With nothing in them.
    pub async fn new(server: &Server<'_>, name: &str) -> anyhow::Result<Self> {
        let publisher = open(server, &format!("{name}_publisher"), &[], &[OUTBOX, ORDERS]).await?;
        let listener = open(server, &format!("{name}_listener"), &[], &[INBOX, EFFECTS]).await?;
        Ok(Self { publisher, listener })
    }

    /// Publishes one event with a change.
    pub async fn publish(&self, number: u64) -> anyhow::Result<()> {
        let mut tx = self.publisher.write().await?;
        let (id, text) = (i64::try_from(number)?, text_of(number));
        sqlx::query("INSERT INTO orders (id, text) VALUES ($1, $2)")
            .bind(id)
            .bind(&text)
            .execute(&mut *tx)
            .await?;
        insert(&mut tx, number).await?;
        Ok(tx.commit().await?)
    }

    /// Publishes so many, in few transactions.
    pub async fn fill(&self, count: u64) -> anyhow::Result<()> {
        let mut number = 0;
        while number < count {
            let mut tx = self.publisher.write().await?;
            for _ in 0..500.min(count - number) {
                insert(&mut tx, number).await?;
                number += 1;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Handles all that was published.
    pub async fn drain(&self) -> anyhow::Result<()> {
        let locked = match self.publisher.backend() {
            Backend::Sqlite => "",
            Backend::Postgres => "FOR UPDATE SKIP LOCKED",
        };
        let batch =
            format!("SELECT id, key, number, payload FROM outbox ORDER BY id LIMIT 100 {locked}");
        let batch: &'static str = batch.leak();
        loop {
            let mut tx = self.publisher.write().await?;
            let rows: Vec<(i64, String, i64, String)> =
                sqlx::query_as(batch).fetch_all(&mut *tx).await?;
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
            for (id, key, number, payload) in &rows {
                self.handle(*id, key, *number, payload).await?;
            }
            sqlx::query("DELETE FROM outbox WHERE id >= $1 AND id <= $2")
                .bind(first.0)
                .bind(last.0)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
    }

    async fn handle(&self, id: i64, key: &str, number: i64, payload: &str) -> anyhow::Result<()> {
        let mut tx = self.listener.write().await?;
        let noted = sqlx::query(
            "INSERT INTO inbox (key, number) VALUES ($1, $2) ON CONFLICT (key) \
             DO UPDATE SET number = $2 WHERE inbox.number = $2 - 1",
        )
        .bind(key)
        .bind(number)
        .execute(&mut *tx)
        .await?;
        if noted.rows_affected() > 0 {
            effect(&mut tx, id, number, payload).await?;
        }
        Ok(tx.commit().await?)
    }
}

async fn insert(tx: &mut sqlx::AnyConnection, number: u64) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO outbox (id, key, number, payload) VALUES ($1, $2, $3, $4)")
        .bind(i64::try_from(number)?)
        .bind((number % KEYS).to_string())
        .bind(i64::try_from(number / KEYS + 1)?)
        .bind(serde_json::json!({ "item": number, "text": text_of(number) }).to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// What a listener writes for an event.
pub async fn effect(
    tx: &mut sqlx::AnyConnection,
    item: i64,
    number: i64,
    text: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO effects (item, number, text) VALUES ($1, $2, $3)")
        .bind(item)
        .bind(number)
        .bind(text)
        .execute(tx)
        .await
        .map(drop)
}
