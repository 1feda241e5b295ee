//! Products, what there is of them, and what is held for orders.

mod demo;
mod reservations;
#[cfg(test)]
mod tests;

use self::reservations::{Reservations, State};
use monolift::{Config, Db, Lifecycle, Page, Perform, Piece, Recurring, async_trait};
use serde::{Deserialize, Serialize};
use shop_types::{Cents, Line, OrderId, Sku, now_ms};
use std::error::Error;
use stock_api::{Level, Product, Reservation, Stock, StockError};

/// The module.
#[monolift::module(provides = Stock, work = [Expire], lifecycle)]
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
    /// How long units are held for an order that is not paid.
    pub hold_seconds: u32,
}

impl Default for StockConfig {
    fn default() -> Self {
        Self { demo: true, hold_seconds: 15 * 60 }
    }
}

/// Puts back what was held for too long.
#[derive(Debug, Serialize, Deserialize)]
pub struct Expire;

impl Piece for Expire {
    const NAME: &'static str = "expire";

    fn recurring() -> Option<Recurring<Self>> {
        Some(Recurring { schedule: "@every 10s", piece: Self })
    }
}

#[async_trait]
impl Stock for StockModule {
    async fn products(
        &self,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<Page<Product>, StockError> {
        let size = Page::<Product>::size(limit);
        let rows: Vec<ProductRow> = sqlx::query_as(
            "SELECT sku, name, price_cents, on_hand FROM products \
             WHERE sku > $1 ORDER BY sku LIMIT $2",
        )
        .bind(after.unwrap_or_default())
        .bind(i64::from(size) + 1)
        .fetch_all(&mut *self.db.connection().await?)
        .await?;
        let products = rows.into_iter().map(product).collect();
        Ok(Page::of(products, size, |product| product.sku.0.clone()))
    }

    async fn product(&self, sku: Sku) -> Result<Product, StockError> {
        let row: Option<ProductRow> =
            sqlx::query_as("SELECT sku, name, price_cents, on_hand FROM products WHERE sku = $1")
                .bind(&sku.0)
                .fetch_optional(&mut *self.db.connection().await?)
                .await?;
        row.map(product).ok_or(StockError::UnknownProduct(sku))
    }

    async fn add(&self, product: Product) -> Result<Product, StockError> {
        if product.sku.0.is_empty() || product.name.is_empty() || product.price.0 < 0 {
            let message = "a product has a number, a name, and a price of 0 or more";
            return Err(StockError::WrongProduct(message.to_owned()));
        }
        let added = sqlx::query(
            "INSERT INTO products (sku, name, price_cents, on_hand) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (sku) DO NOTHING",
        )
        .bind(&product.sku.0)
        .bind(&product.name)
        .bind(product.price.0)
        .bind(i64::from(product.on_hand))
        .execute(&mut *self.db.connection().await?)
        .await?;
        if added.rows_affected() == 0 {
            return Err(StockError::ProductExists(product.sku));
        }
        Ok(product)
    }

    async fn level(&self, sku: Sku) -> Result<Level, StockError> {
        let Product { sku, on_hand, .. } = self.product(sku).await?;
        Ok(Level { sku, on_hand })
    }

    async fn restock(&self, sku: Sku, quantity: u32) -> Result<Level, StockError> {
        let row: Option<(i64,)> = sqlx::query_as(
            "UPDATE products SET on_hand = on_hand + $1 WHERE sku = $2 AND on_hand + $1 <= $3 \
             RETURNING on_hand",
        )
        .bind(i64::from(quantity))
        .bind(&sku.0)
        .bind(i64::from(u32::MAX))
        .fetch_optional(&mut *self.db.connection().await?)
        .await?;
        match row {
            Some((on_hand,)) => Ok(Level { sku, on_hand: units(on_hand) }),
            None => {
                self.product(sku).await?;
                Err(StockError::WrongProduct("that is more than can be counted".to_owned()))
            }
        }
    }

    async fn reserve(&self, order: OrderId, lines: Vec<Line>) -> Result<Reservation, StockError> {
        let mut reservations = Reservations::begin(&self.db).await?;
        let ends_at_ms = now_ms() + i64::from(self.config.hold_seconds) * 1000;
        if !reservations.open(&order, ends_at_ms).await? {
            return match reservations.find(&order).await? {
                Some((State::Held | State::Sold, total)) => Ok(Reservation { order, total }),
                _ => Err(StockError::Closed(order)),
            };
        }
        let total = reservations.take(&order, lines).await?;
        reservations.commit().await?;
        Ok(Reservation { order, total })
    }

    async fn sell(&self, order: OrderId) -> Result<(), StockError> {
        let mut reservations = Reservations::begin(&self.db).await?;
        match reservations.find(&order).await? {
            Some((State::Sold, _)) => Ok(()),
            Some((State::Held, _)) if reservations.sell(&order).await? => {
                Ok(reservations.commit().await?)
            }
            _ => Err(StockError::Closed(order)),
        }
    }

    async fn release(&self, order: OrderId) -> Result<(), StockError> {
        let mut reservations = Reservations::begin(&self.db).await?;
        reservations.close(&order).await?;
        Ok(reservations.commit().await?)
    }
}

#[async_trait]
impl Perform<Expire> for StockModule {
    async fn perform(&self, _: Expire) -> Result<(), Box<dyn Error + Send + Sync>> {
        let overdue: Vec<(String,)> = sqlx::query_as(
            "SELECT order_id FROM reservations WHERE state = 'held' AND ends_at_ms <= $1 \
             ORDER BY ends_at_ms LIMIT 1000",
        )
        .bind(now_ms())
        .fetch_all(&mut *self.db.connection().await?)
        .await?;
        for (order,) in overdue {
            let mut reservations = Reservations::begin(&self.db).await?;
            // Since then it may have been sold.
            reservations.expire(&OrderId(order)).await?;
            reservations.commit().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Lifecycle for StockModule {
    async fn start(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.config.demo { Ok(demo::fill(&self.db).await?) } else { Ok(()) }
    }
}

type ProductRow = (String, String, i64, i64);

fn product((sku, name, price, on_hand): ProductRow) -> Product {
    Product { sku: Sku(sku), name, price: Cents(price), on_hand: units(on_hand) }
}

/// The table counts no further than this.
fn units(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
