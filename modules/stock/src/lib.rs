//! Products, levels and reservations.

use monolift::{Config, Db, Lifecycle, async_trait};
use serde::Deserialize;
use shop_types::{Cents, Line, OrderId, Sku};
use stock_api::{Level, Reservation, Stock, StockError};

/// The module.
#[monolift::module(provides = Stock, lifecycle)]
pub struct StockModule {
    db: Db,
    config: Config<StockConfig>,
}

/// Its settings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StockConfig {
    /// Whether an empty shop is filled with a few products at the first start.
    pub demo: bool,
}

impl Default for StockConfig {
    fn default() -> Self {
        Self { demo: true }
    }
}

const DEMO: [(&str, &str, i64, i64); 3] =
    [("tea", "Green tea", 20, 450), ("pot", "Tea pot", 5, 2_900), ("cup", "Cup", 40, 900)];

#[async_trait]
impl Stock for StockModule {
    async fn level(&self, sku: Sku) -> Result<Level, StockError> {
        let row: Option<(String, i64, i64)> =
            sqlx::query_as("SELECT name, on_hand, price_cents FROM products WHERE sku = $1")
                .bind(&sku.0)
                .fetch_optional(self.db.pool())
                .await?;
        let Some((name, on_hand, price)) = row else {
            return Err(StockError::UnknownProduct(sku));
        };
        let on_hand = u32::try_from(on_hand).unwrap_or_default();
        Ok(Level { sku, name, on_hand, price: Cents(price) })
    }

    async fn reserve(&self, order: OrderId, lines: Vec<Line>) -> Result<Reservation, StockError> {
        let mut tx = self.db.write().await?;
        let held: Option<(i64,)> =
            sqlx::query_as("SELECT total_cents FROM reservations WHERE order_id = $1")
                .bind(&order.0)
                .fetch_optional(&mut *tx)
                .await?;
        if let Some((total,)) = held {
            return Ok(Reservation { order, total: Cents(total) });
        }
        let mut total = 0;
        for Line { sku, quantity } in lines {
            let price: Option<(i64,)> =
                sqlx::query_as("SELECT price_cents FROM products WHERE sku = $1")
                    .bind(&sku.0)
                    .fetch_optional(&mut *tx)
                    .await?;
            let Some((price,)) = price else { return Err(StockError::UnknownProduct(sku)) };
            let taken = sqlx::query(
                "UPDATE products SET on_hand = on_hand - $1 WHERE sku = $2 AND on_hand >= $1",
            )
            .bind(i64::from(quantity))
            .bind(&sku.0)
            .execute(&mut *tx)
            .await?;
            if taken.rows_affected() == 0 {
                return Err(StockError::SoldOut(sku));
            }
            sqlx::query("INSERT INTO held (order_id, sku, quantity) VALUES ($1, $2, $3)")
                .bind(&order.0)
                .bind(&sku.0)
                .bind(i64::from(quantity))
                .execute(&mut *tx)
                .await?;
            total += price * i64::from(quantity);
        }
        sqlx::query("INSERT INTO reservations (order_id, total_cents) VALUES ($1, $2)")
            .bind(&order.0)
            .bind(total)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Reservation { order, total: Cents(total) })
    }

    async fn release(&self, order: OrderId) -> Result<(), StockError> {
        let mut tx = self.db.write().await?;
        let held: Vec<(String, i64)> =
            sqlx::query_as("SELECT sku, quantity FROM held WHERE order_id = $1")
                .bind(&order.0)
                .fetch_all(&mut *tx)
                .await?;
        for (sku, quantity) in held {
            sqlx::query("UPDATE products SET on_hand = on_hand + $1 WHERE sku = $2")
                .bind(quantity)
                .bind(sku)
                .execute(&mut *tx)
                .await?;
        }
        for table in
            ["DELETE FROM held WHERE order_id = $1", "DELETE FROM reservations WHERE order_id = $1"]
        {
            sqlx::query(table).bind(&order.0).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[async_trait]
impl Lifecycle for StockModule {
    async fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if !self.config.demo {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        let (products,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM products").fetch_one(&mut *tx).await?;
        if products == 0 {
            for (sku, name, on_hand, price) in DEMO {
                sqlx::query(
                    "INSERT INTO products (sku, name, on_hand, price_cents) VALUES ($1, $2, $3, $4)",
                )
                .bind(sku)
                .bind(name)
                .bind(on_hand)
                .bind(price)
                .execute(&mut *tx)
                .await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
