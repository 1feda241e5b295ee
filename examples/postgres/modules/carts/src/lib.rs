//! What customers are about to buy.

use carts_api::{Carts, CartsError};
use monolift::{Db, async_trait};
use prices_api::{PricesClient, PricesError};
use sqlx::Postgres;

/// The module.
#[monolift::module(provides = Carts)]
pub struct CartsModule {
    db: Db<Postgres>,
    prices: PricesClient,
}

#[async_trait]
impl Carts for CartsModule {
    async fn put(&self, cart: String, sku: String, quantity: i32) -> Result<i64, CartsError> {
        if quantity < 1 {
            return Err(CartsError::TooFew);
        }
        self.prices.price(sku.clone()).await.map_err(not_sold)?;
        let mut tx = self.db.write().await?;
        sqlx::query!(
            "INSERT INTO items (cart, sku, quantity) VALUES ($1, $2, $3) \
             ON CONFLICT (cart, sku) DO UPDATE SET quantity = items.quantity + excluded.quantity",
            cart,
            sku,
            quantity
        )
        .execute(&mut *tx)
        .await?;
        let items = sqlx::query!("SELECT sku, quantity FROM items WHERE cart = $1", cart)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        let mut total = 0;
        for item in items {
            let price = self.prices.price(item.sku).await.map_err(not_sold)?;
            total += i64::from(price.cents) * i64::from(item.quantity);
        }
        Ok(total)
    }
}

fn not_sold(error: PricesError) -> CartsError {
    match error {
        PricesError::Unknown(sku) => CartsError::NotSold(sku),
        PricesError::Call(error) => CartsError::Call(error),
    }
}
