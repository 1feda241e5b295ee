//! Charges for orders, against a pretend provider.

use monolift::{Config, Db, async_trait};
use payments_api::{Payments, PaymentsError, Receipt};
use serde::Deserialize;
use shop_types::{Cents, OrderId};

/// The module.
#[monolift::module(provides = Payments)]
pub struct PaymentsModule {
    db: Db,
    config: Config<PaymentsConfig>,
}

/// Its settings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentsConfig {
    /// The pretend provider declines what is above this.
    pub most_cents: i64,
}

impl Default for PaymentsConfig {
    fn default() -> Self {
        Self { most_cents: 100_000 }
    }
}

#[async_trait]
impl Payments for PaymentsModule {
    async fn charge(&self, order: OrderId, amount: Cents) -> Result<Receipt, PaymentsError> {
        if amount.0 > self.config.most_cents {
            return Err(PaymentsError::Declined(amount));
        }
        let mut tx = self.db.write().await?;
        let charged: Option<(i64,)> =
            sqlx::query_as("SELECT amount_cents FROM charges WHERE order_id = $1")
                .bind(&order.0)
                .fetch_optional(&mut *tx)
                .await?;
        if let Some((amount,)) = charged {
            return Ok(Receipt { order, amount: Cents(amount) });
        }
        sqlx::query("INSERT INTO charges (order_id, amount_cents) VALUES ($1, $2)")
            .bind(&order.0)
            .bind(amount.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Receipt { order, amount })
    }
}
