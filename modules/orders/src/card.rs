//! What is kept of a card: its last four characters, by which a request that is repeated under its key
//! is told from another one. The card itself goes straight to payments.

use monolift::Db;
use orders_api::NewOrder;

/// What is kept of a card.
const KEPT: usize = 4;
/// Orders that are looked at in one statement.
const AT_ONCE: i64 = 500;
/// A request, as JSON, whose last member is a card of more than four characters.
const LONGER: &str = r#"%"card":"_______%"#;

/// The request with what is kept of its card.
pub(crate) fn without_card(mut request: NewOrder) -> NewOrder {
    let from = request.card.char_indices().rev().nth(KEPT - 1).map_or(0, |(at, _)| at);
    request.card.drain(..from);
    request
}

/// Shortens what earlier releases have kept.
pub(crate) async fn forget_all(db: &Db) -> Result<(), sqlx::Error> {
    let mut after = String::new();
    loop {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, request FROM orders WHERE id > $1 AND request LIKE $2 ORDER BY id LIMIT $3",
        )
        .bind(&after)
        .bind(LONGER)
        .bind(AT_ONCE)
        .fetch_all(&mut *db.connection().await?)
        .await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after.clone_from(last);
        let mut tx = db.write().await?;
        for (id, old) in rows {
            let Ok(request) = serde_json::from_str(&old).map(without_card) else { continue };
            let new = serde_json::to_string(&request)
                .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
            sqlx::query("UPDATE orders SET request = $1 WHERE id = $2 AND request = $3")
                .bind(new)
                .bind(id)
                .bind(old)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
    }
}
