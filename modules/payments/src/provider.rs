//! The provider: who really moves money. This one only pretends.
//!
//! It keeps what it knows in a table of its own, which stands for another company's database: the
//! module may be killed between what the provider does and what the module writes down.

use crate::PaymentsConfig;
use monolift::{Config, Db};
use payments_api::PaymentsError;
use shop_types::{Cents, OrderId};
use std::time::Duration;

/// Pretends to be a provider of payments. As with real ones, what it is asked twice it does once.
#[derive(Debug)]
pub(crate) struct Pretend<'a> {
    pub(crate) db: &'a Db,
    pub(crate) config: &'a Config<PaymentsConfig>,
}

impl Pretend<'_> {
    pub(crate) async fn authorise(
        &self,
        order: &OrderId,
        amount: Cents,
        card: &str,
    ) -> Result<(), PaymentsError> {
        if card == "slow" {
            tokio::time::sleep(Duration::from_millis(self.config.slow_millis)).await;
        }
        if card == "decline" || amount.0 > self.config.most_cents {
            return Err(PaymentsError::Declined(amount));
        }
        let mut tx = self.db.write().await?;
        sqlx::query(
            "INSERT INTO pretend_provider \
             (order_id, reserved_cents, taken_cents, returned_cents, is_closed) \
             VALUES ($1, $2, 0, 0, 0) ON CONFLICT (order_id) DO NOTHING",
        )
        .bind(&order.0)
        .bind(amount.0)
        .execute(&mut *tx)
        .await?;
        let (reserved, closed): (i64, i64) = sqlx::query_as(
            "SELECT reserved_cents, is_closed FROM pretend_provider WHERE order_id = $1",
        )
        .bind(&order.0)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        match (closed, reserved) {
            (0, reserved) if reserved == amount.0 => Ok(()),
            (0, _) => Err(PaymentsError::OtherAmount(order.clone())),
            _ => Err(PaymentsError::Closed(order.clone())),
        }
    }

    /// The amount that was taken, now or before.
    pub(crate) async fn capture(&self, order: &OrderId) -> Result<Cents, PaymentsError> {
        let mut tx = self.db.write().await?;
        sqlx::query(
            "UPDATE pretend_provider SET taken_cents = reserved_cents \
             WHERE order_id = $1 AND is_closed = 0",
        )
        .bind(&order.0)
        .execute(&mut *tx)
        .await?;
        let row: Option<(i64, i64)> = sqlx::query_as(
            "SELECT taken_cents, is_closed FROM pretend_provider WHERE order_id = $1",
        )
        .bind(&order.0)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        match row {
            Some((taken, 0)) => Ok(Cents(taken)),
            Some(_) => Err(PaymentsError::Closed(order.clone())),
            None => Err(PaymentsError::UnknownPayment(order.clone())),
        }
    }

    /// Returns what was taken, and closes the order: also one that it has never heard of.
    pub(crate) async fn refund(&self, order: &OrderId) -> Result<(), PaymentsError> {
        sqlx::query(
            "INSERT INTO pretend_provider \
             (order_id, reserved_cents, taken_cents, returned_cents, is_closed) \
             VALUES ($1, 0, 0, 0, 1) ON CONFLICT (order_id) DO UPDATE \
             SET returned_cents = pretend_provider.taken_cents, is_closed = 1",
        )
        .bind(&order.0)
        .execute(&mut *self.db.connection().await?)
        .await?;
        Ok(())
    }
}
