//! The orders as they are kept.

use crate::{card::without_card, refusal::Refusal};
use monolift::{Db, Tx};
use orders_api::{NewOrder, Order, OrderState};
use shop_types::{Cents, OrderId, UserId, now_ms};

/// An order with all that is kept of it.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) id: OrderId,
    /// What was asked for; of its card only what is kept of one.
    pub(crate) request: NewOrder,
    pub(crate) state: OrderState,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) total: Cents,
    pub(crate) made_at_ms: i64,
}

impl Kept {
    /// One that is being placed from now on.
    pub(crate) fn new(id: OrderId, request: NewOrder) -> Self {
        Self {
            id,
            request: without_card(request),
            state: OrderState::Placing,
            refusal: None,
            total: Cents(0),
            made_at_ms: now_ms(),
        }
    }

    pub(crate) fn order(self) -> Order {
        Order {
            id: self.id,
            user: self.request.user,
            lines: self.request.lines,
            state: self.state,
            total: self.total,
            made_at_ms: self.made_at_ms,
        }
    }
}

type Row = (String, String, String, Option<String>, i64, i64);

fn read(row: Row) -> Result<Kept, sqlx::Error> {
    let (id, request, state, refusal, total, made_at_ms) = row;
    let unreadable = |error: serde_json::Error| sqlx::Error::Decode(Box::new(error));
    Ok(Kept {
        id: OrderId(id),
        // A release that overlaps with this one may keep more of it.
        request: serde_json::from_str(&request).map(without_card).map_err(unreadable)?,
        state: match state.as_str() {
            "placing" => OrderState::Placing,
            "placed" => OrderState::Placed,
            "cancelled" => OrderState::Cancelled,
            _ => OrderState::Refused,
        },
        refusal: refusal.map(|text| serde_json::from_str(&text)).transpose().map_err(unreadable)?,
        total: Cents(total),
        made_at_ms,
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// `false` when there is an order of this number.
pub(crate) async fn insert(tx: &mut Tx<'_>, new: &Kept) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO orders (id, user_id, request, state, total_cents, made_at_ms) \
         VALUES ($1, $2, $3, 'placing', 0, $4) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&new.id.0)
    .bind(&new.request.user.0)
    .bind(json(&new.request)?)
    .bind(new.made_at_ms)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

pub(crate) async fn find(db: &Db, id: &OrderId) -> Result<Option<Kept>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, request, state, refusal, total_cents, made_at_ms FROM orders WHERE id = $1",
    )
    .bind(&id.0)
    .fetch_optional(&mut *db.connection().await?)
    .await?;
    row.map(read).transpose()
}

pub(crate) async fn of_user(
    db: &Db,
    user: &UserId,
    after: &str,
    most: u32,
) -> Result<Vec<Kept>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, request, state, refusal, total_cents, made_at_ms FROM orders \
         WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(&user.0)
    .bind(after)
    .bind(i64::from(most))
    .fetch_all(&mut *db.connection().await?)
    .await?;
    rows.into_iter().map(read).collect()
}

/// `false` when somebody else has decided about the order.
pub(crate) async fn set_placed(
    tx: &mut Tx<'_>,
    id: &OrderId,
    total: Cents,
) -> Result<bool, sqlx::Error> {
    let set = sqlx::query(
        "UPDATE orders SET state = 'placed', total_cents = $1 WHERE id = $2 AND state = 'placing'",
    );
    Ok(set.bind(total.0).bind(&id.0).execute(&mut **tx).await?.rows_affected() > 0)
}

/// Refuses an order that is in the state `from`, and returns it. `None` if it is in another state.
pub(crate) async fn set_refused(
    tx: &mut Tx<'_>,
    id: &OrderId,
    from: &str,
    refusal: &Refusal,
) -> Result<Option<Kept>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "UPDATE orders SET state = 'refused', refusal = $1 WHERE id = $2 AND state = $3 \
         RETURNING id, request, state, refusal, total_cents, made_at_ms",
    )
    .bind(json(refusal)?)
    .bind(&id.0)
    .bind(from)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(read).transpose()
}

/// Cancels a placed order of this user, and returns it. `None` if there is none.
pub(crate) async fn set_cancelled(
    tx: &mut Tx<'_>,
    id: &OrderId,
    user: &str,
) -> Result<Option<Kept>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "UPDATE orders SET state = 'cancelled' WHERE id = $1 AND user_id = $2 AND state = 'placed' \
         RETURNING id, request, state, refusal, total_cents, made_at_ms",
    )
    .bind(&id.0)
    .bind(user)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(read).transpose()
}
