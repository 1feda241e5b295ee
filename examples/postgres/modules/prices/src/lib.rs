//! What things cost.

use monolift::{Db, async_trait};
use prices_api::{Price, Prices, PricesError};
use sqlx::Postgres;

/// The module. It asks for PostgreSQL, and has all that sqlx has for it.
#[monolift::module(provides = Prices)]
pub struct PricesModule {
    db: Db<Postgres>,
}

#[async_trait]
impl Prices for PricesModule {
    async fn price(&self, sku: String) -> Result<Price, PricesError> {
        let found = sqlx::query!("SELECT cents, tags FROM items WHERE sku = $1 AND is_open", sku)
            .fetch_optional(&mut *self.db.connection().await?)
            .await?;
        match found {
            Some(item) => Ok(Price { cents: item.cents, tags: item.tags }),
            None => Err(PricesError::Unknown(sku)),
        }
    }
}
