//! Payments for orders, against a pretend provider.

mod provider;
#[cfg(test)]
mod tests;

use self::provider::Pretend;
use monolift::{CallError, Config, Db, Principal, async_trait};
use payments_api::{Payment, PaymentState, Payments, PaymentsError};
use serde::Deserialize;
use shop_types::{Cents, OrderId, now_ms};

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
    /// How long the pretend provider takes over the card `slow`.
    pub slow_millis: u64,
}

impl Default for PaymentsConfig {
    fn default() -> Self {
        Self { most_cents: 100_000, slow_millis: 2_000 }
    }
}

impl PaymentsModule {
    fn provider(&self) -> Pretend<'_> {
        Pretend { db: &self.db, config: &self.config }
    }

    /// Writes down how far a payment has come, unless it is further; the result is how far. What the
    /// provider did comes first: whoever is cut in between repeats the call, and finds the provider
    /// where it was.
    async fn record(
        &self,
        order: OrderId,
        amount: Cents,
        state: PaymentState,
    ) -> Result<Payment, PaymentsError> {
        let changed = sqlx::query(
            "INSERT INTO payments (order_id, amount_cents, state, changed_at_ms, user_id) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (order_id) DO UPDATE \
             SET state = excluded.state, changed_at_ms = excluded.changed_at_ms \
             WHERE payments.state < excluded.state",
        )
        .bind(&order.0)
        .bind(amount.0)
        .bind(name(state))
        .bind(now_ms())
        .bind(caller()?.unwrap_or_default())
        .execute(&mut *self.db.connection().await?)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(self.find(order).await?.0);
        }
        Ok(Payment { order, amount, state })
    }

    /// A payment, and the customer to whom it belongs.
    async fn find(&self, order: OrderId) -> Result<(Payment, String), PaymentsError> {
        let row: Option<(i64, String, String)> =
            sqlx::query_as("SELECT amount_cents, state, user_id FROM payments WHERE order_id = $1")
                .bind(&order.0)
                .fetch_optional(&mut *self.db.connection().await?)
                .await?;
        let Some((amount, state, user)) = row else {
            return Err(PaymentsError::UnknownPayment(order));
        };
        Ok((Payment { order, amount: Cents(amount), state: state_named(&state) }, user))
    }
}

#[async_trait]
impl Payments for PaymentsModule {
    async fn authorise(
        &self,
        order: OrderId,
        amount: Cents,
        card: String,
    ) -> Result<Payment, PaymentsError> {
        self.provider().authorise(&order, amount, &card).await?;
        self.record(order, amount, PaymentState::Authorised).await
    }

    async fn capture(&self, order: OrderId) -> Result<Payment, PaymentsError> {
        let amount = self.provider().capture(&order).await?;
        self.record(order, amount, PaymentState::Captured).await
    }

    async fn refund(&self, order: OrderId) -> Result<(), PaymentsError> {
        self.provider().refund(&order).await?;
        self.record(order, Cents(0), PaymentState::Refunded).await?;
        Ok(())
    }

    async fn payment(&self, order: OrderId) -> Result<Payment, PaymentsError> {
        let (payment, user) = self.find(order).await?;
        if caller()?.is_some_and(|caller| caller != user) {
            return Err(PaymentsError::UnknownPayment(payment.order));
        }
        Ok(payment)
    }
}

/// The customer on whose behalf the call is made. `None` for a module's own work.
fn caller() -> Result<Option<String>, CallError> {
    Ok(Principal::current_user()?.map(|user| user.subject.clone()))
}

/// As the table has them: the alphabet's order is theirs.
fn name(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Authorised => "authorised",
        PaymentState::Captured => "captured",
        PaymentState::Refunded => "refunded",
    }
}

fn state_named(name: &str) -> PaymentState {
    match name {
        "authorised" => PaymentState::Authorised,
        "captured" => PaymentState::Captured,
        _ => PaymentState::Refunded,
    }
}
