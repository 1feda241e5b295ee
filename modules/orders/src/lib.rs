//! Placing orders, looking at them, and cancelling them.

mod card;
mod refusal;
mod settle;
mod table;
#[cfg(test)]
mod tests;
mod work;

use self::work::{Fulfil, GiveUp, Settle, Undo};
use monolift::{Config, Context, Db, Events, Lifecycle, Page, Principal, Work, async_trait};
use orders_api::{NewOrder, Order, Orders, OrdersError};
use payments_api::PaymentsClient;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shop_types::{OrderId, UserId};
use stock_api::StockClient;
use users_api::UsersClient;

/// The module.
#[monolift::module(provides = Orders, work = [Settle, GiveUp, Fulfil, Undo], lifecycle)]
pub struct OrdersModule {
    db: Db,
    work: Work,
    events: Events,
    config: Config<OrdersConfig>,
    users: UsersClient,
    stock: StockClient,
    payments: PaymentsClient,
}

/// Its settings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrdersConfig {
    /// The most lines that an order may have.
    pub max_lines: usize,
}

impl Default for OrdersConfig {
    fn default() -> Self {
        Self { max_lines: 20 }
    }
}

impl OrdersModule {
    /// An order of the caller. For all others there is no such order.
    async fn own(&self, id: OrderId) -> Result<Order, OrdersError> {
        let caller = Principal::current()?;
        let kept = table::find(&self.db, &id).await?;
        let own = kept.filter(|kept| caller.is(&kept.request.user).is_ok());
        own.map(table::Kept::order).ok_or(OrdersError::UnknownOrder(id))
    }
}

#[async_trait]
impl Orders for OrdersModule {
    async fn place(&self, order: NewOrder) -> Result<Order, OrdersError> {
        Principal::current()?.is(&order.user)?;
        let most = self.config.max_lines;
        let fits = (1..=most).contains(&order.lines.len());
        if !fits || order.lines.iter().any(|line| line.quantity == 0) {
            return Err(OrdersError::WrongLines(most));
        }
        let id = order_id(&order.user);
        let card = order.card.clone();
        let kept = self.write_down(&id, order).await?;
        let kept = self.settle(kept, Some(card)).await?;
        match kept.refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(kept.order()),
        }
    }

    async fn get(&self, id: OrderId) -> Result<Order, OrdersError> {
        self.own(id).await
    }

    async fn list(
        &self,
        user: UserId,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<Page<Order>, OrdersError> {
        Principal::current()?.is(&user)?;
        let size = Page::<Order>::size(limit);
        let after = after.unwrap_or_default();
        let kept = table::of_user(&self.db, &user, &after, size + 1).await?;
        let orders = kept.into_iter().map(table::Kept::order).collect();
        Ok(Page::of(orders, size, |order: &Order| order.id.0.clone()))
    }

    async fn cancel(&self, id: OrderId) -> Result<Order, OrdersError> {
        let caller = Principal::current()?;
        let mut tx = self.db.write().await?;
        if let Some(cancelled) = table::set_cancelled(&mut tx, &id, &caller.subject).await? {
            self.work.enqueue(&mut tx, &Undo { order: id }).await?;
            self.publish(&mut tx, &cancelled).await?;
            tx.commit().await?;
            return Ok(cancelled.order());
        }
        tx.rollback().await?;
        let order = self.own(id.clone()).await?;
        match order.state {
            orders_api::OrderState::Cancelled => Ok(order),
            _ => Err(OrdersError::NotPlaced(id)),
        }
    }
}

#[async_trait]
impl Lifecycle for OrdersModule {
    async fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        // Earlier releases have kept whole ones.
        Ok(card::forget_all(&self.db).await?)
    }
}

/// A number that this customer's key always gives, so that a repeated request finds its order; else
/// a new one.
fn order_id(user: &UserId) -> OrderId {
    let context = Context::current();
    let Some(key) = context.as_ref().and_then(Context::idempotency_key) else {
        return OrderId(format!("{:032x}", rand::random::<u128>()));
    };
    let mut hash = Sha256::new();
    // With lengths, so that no two pairs of texts are one.
    hash.update(user.0.len().to_le_bytes());
    hash.update(&user.0);
    hash.update(key);
    OrderId(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}
