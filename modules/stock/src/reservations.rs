//! What is held for orders, in one transaction.
//!
//! A reservation is opened once, and closed once: whoever closes it, releases what is in it. One
//! that is closed stays, so that a reservation that comes late finds it and holds nothing.

use monolift::{Db, Tx};
use shop_types::{Cents, Line, OrderId};
use std::collections::BTreeMap;
use stock_api::StockError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Sold,
    Closed,
}

pub(crate) struct Reservations<'a>(Tx<'a>);

impl<'a> Reservations<'a> {
    pub(crate) async fn begin(db: &'a Db) -> Result<Self, sqlx::Error> {
        Ok(Self(db.write().await?))
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.commit().await
    }

    /// `false` when there is one already. On Postgres this waits for one that is being made.
    pub(crate) async fn open(
        &mut self,
        order: &OrderId,
        ends_at_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let opened = sqlx::query(
            "INSERT INTO reservations (order_id, state, total_cents, ends_at_ms) \
             VALUES ($1, 'held', 0, $2) ON CONFLICT (order_id) DO NOTHING",
        )
        .bind(&order.0)
        .bind(ends_at_ms)
        .execute(&mut *self.0)
        .await?;
        Ok(opened.rows_affected() > 0)
    }

    pub(crate) async fn find(
        &mut self,
        order: &OrderId,
    ) -> Result<Option<(State, Cents)>, sqlx::Error> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT state, total_cents FROM reservations WHERE order_id = $1")
                .bind(&order.0)
                .fetch_optional(&mut *self.0)
                .await?;
        Ok(row.map(|(state, total)| {
            let state = match state.as_str() {
                "held" => State::Held,
                "sold" => State::Sold,
                _ => State::Closed,
            };
            (state, Cents(total))
        }))
    }

    /// Takes the lines' units from the shelf; the result is what they cost.
    pub(crate) async fn take(
        &mut self,
        order: &OrderId,
        lines: Vec<Line>,
    ) -> Result<Cents, StockError> {
        // In one order for all, so that two orders never wait for each other.
        let mut units = BTreeMap::new();
        for Line { sku, quantity } in lines {
            *units.entry(sku).or_insert(0) += i64::from(quantity);
        }
        let mut total: i64 = 0;
        for (sku, quantity) in units {
            let taken: Option<(i64,)> = sqlx::query_as(
                "UPDATE products SET on_hand = on_hand - $1 WHERE sku = $2 AND on_hand >= $1 \
                 RETURNING price_cents",
            )
            .bind(quantity)
            .bind(&sku.0)
            .fetch_optional(&mut *self.0)
            .await?;
            let Some((price,)) = taken else { return Err(self.why_not(sku).await?) };
            sqlx::query("INSERT INTO held (order_id, sku, quantity) VALUES ($1, $2, $3)")
                .bind(&order.0)
                .bind(&sku.0)
                .bind(quantity)
                .execute(&mut *self.0)
                .await?;
            let cost = price.checked_mul(quantity).and_then(|cost| total.checked_add(cost));
            let message = || StockError::WrongProduct("that costs more than can be counted".into());
            total = cost.ok_or_else(message)?;
        }
        sqlx::query("UPDATE reservations SET total_cents = $1 WHERE order_id = $2")
            .bind(total)
            .bind(&order.0)
            .execute(&mut *self.0)
            .await?;
        Ok(Cents(total))
    }

    async fn why_not(&mut self, sku: shop_types::Sku) -> Result<StockError, sqlx::Error> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT on_hand FROM products WHERE sku = $1")
            .bind(&sku.0)
            .fetch_optional(&mut *self.0)
            .await?;
        Ok(if row.is_some() { StockError::SoldOut(sku) } else { StockError::UnknownProduct(sku) })
    }

    /// `false` when it is not held any more.
    pub(crate) async fn sell(&mut self, order: &OrderId) -> Result<bool, sqlx::Error> {
        self.change(
            order,
            "UPDATE reservations SET state = 'sold' WHERE order_id = $1 AND state = 'held'",
        )
        .await
    }

    /// Closes it, and puts back what is in it, held or sold. Where there is none, there is a closed
    /// one then.
    pub(crate) async fn close(&mut self, order: &OrderId) -> Result<(), sqlx::Error> {
        self.change(
            order,
            "INSERT INTO reservations (order_id, state, total_cents, ends_at_ms) \
             VALUES ($1, 'closed', 0, 0) ON CONFLICT (order_id) DO NOTHING",
        )
        .await?;
        let close =
            "UPDATE reservations SET state = 'closed' WHERE order_id = $1 AND state <> 'closed'";
        if self.change(order, close).await? {
            self.put_back(order).await?;
        }
        Ok(())
    }

    /// Closes it if it is still held.
    pub(crate) async fn expire(&mut self, order: &OrderId) -> Result<(), sqlx::Error> {
        let expire =
            "UPDATE reservations SET state = 'closed' WHERE order_id = $1 AND state = 'held'";
        if self.change(order, expire).await? {
            self.put_back(order).await?;
        }
        Ok(())
    }

    async fn put_back(&mut self, order: &OrderId) -> Result<(), sqlx::Error> {
        let held: Vec<(String, i64)> =
            sqlx::query_as("SELECT sku, quantity FROM held WHERE order_id = $1 ORDER BY sku")
                .bind(&order.0)
                .fetch_all(&mut *self.0)
                .await?;
        for (sku, quantity) in held {
            sqlx::query("UPDATE products SET on_hand = on_hand + $1 WHERE sku = $2")
                .bind(quantity)
                .bind(sku)
                .execute(&mut *self.0)
                .await?;
        }
        self.change(order, "DELETE FROM held WHERE order_id = $1").await?;
        Ok(())
    }

    /// Whether a statement about an order changed anything.
    async fn change(
        &mut self,
        order: &OrderId,
        statement: &'static str,
    ) -> Result<bool, sqlx::Error> {
        let changed = sqlx::query(statement).bind(&order.0).execute(&mut *self.0).await?;
        Ok(changed.rows_affected() > 0)
    }
}
