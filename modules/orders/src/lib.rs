//! Placing orders and looking at them.

#[cfg(test)]
mod tests;

use mailer::Mailer;
use monolift::{Config, Context, Db, Shared, State, async_trait};
use orders_api::{NewOrder, Order, Orders, OrdersError};
use payments_api::{PaymentsClient, PaymentsError};
use serde::Deserialize;
use shop_types::{Cents, OrderId};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use stock_api::{StockClient, StockError};

/// The module.
#[monolift::module(provides = Orders)]
pub struct OrdersModule {
    db: Db,
    config: Config<OrdersConfig>,
    stock: StockClient,
    payments: PaymentsClient,
    recent: State<RecentOrders>,
    mailer: Shared<Mailer>,
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

/// The orders that this process placed last.
#[derive(Debug, Default)]
pub struct RecentOrders(Mutex<VecDeque<OrderId>>);

impl RecentOrders {
    const MOST: usize = 100;

    fn add(&self, id: OrderId) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.push_front(id);
        ids.truncate(Self::MOST);
    }

    fn list(&self, most: usize) -> Vec<OrderId> {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().take(most).cloned().collect()
    }
}

#[async_trait]
impl Orders for OrdersModule {
    async fn place(&self, order: NewOrder) -> Result<Order, OrdersError> {
        let most = self.config.max_lines;
        if order.lines.is_empty() || order.lines.len() > most {
            return Err(OrdersError::WrongSize(most));
        }
        let id = order_id();
        match self.get(id.clone()).await {
            Err(OrdersError::UnknownOrder(_)) => {}
            placed => return placed,
        }
        let held = self.stock.reserve(id.clone(), order.lines).await.map_err(not_reserved)?;
        if let Err(error) = self.payments.charge(id.clone(), held.total).await {
            self.stock.release(id).await.map_err(not_reserved)?;
            return Err(not_charged(error));
        }
        let placed = Order { id, total: held.total, placed_at_ms: now_ms() };
        let mut tx = self.db.write().await?;
        sqlx::query("INSERT INTO orders (id, total_cents, placed_at_ms) VALUES ($1, $2, $3)")
            .bind(&placed.id.0)
            .bind(placed.total.0)
            .bind(placed.placed_at_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.recent.add(placed.id.clone());
        self.mailer.send(&order.email, &format!("your order {}", placed.id));
        Ok(placed)
    }

    async fn get(&self, id: OrderId) -> Result<Order, OrdersError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("SELECT total_cents, placed_at_ms FROM orders WHERE id = $1")
                .bind(&id.0)
                .fetch_optional(self.db.pool())
                .await?;
        match row {
            Some((total, placed_at_ms)) => Ok(Order { id, total: Cents(total), placed_at_ms }),
            None => Err(OrdersError::UnknownOrder(id)),
        }
    }

    async fn recent(&self, most: Option<u32>) -> Result<Vec<OrderId>, OrdersError> {
        Ok(self.recent.list(most.map_or(RecentOrders::MOST, |most| most as usize)))
    }
}

/// The client's key for this request, so that a repeated one finds its order; else a new number.
fn order_id() -> OrderId {
    let context = Context::current();
    let key = context.as_ref().and_then(Context::idempotency_key);
    OrderId(key.map_or_else(|| format!("{:016x}", rand::random::<u64>()), str::to_owned))
}

fn not_reserved(error: StockError) -> OrdersError {
    match error {
        StockError::UnknownProduct(sku) => OrdersError::UnknownProduct(sku),
        StockError::SoldOut(sku) => OrdersError::SoldOut(sku),
        StockError::Call(error) => OrdersError::Call(error),
    }
}

fn not_charged(error: PaymentsError) -> OrdersError {
    match error {
        PaymentsError::Declined(_) => OrdersError::Declined,
        PaymentsError::Call(error) => OrdersError::Call(error),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
