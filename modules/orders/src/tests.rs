//! The module with fakes for what it calls, in every mode that a call can take.

use super::*;
use monolift::testing::{Mode, RunningSystem, System, every_mode};
use orders_api::OrdersClient;
use payments_api::{Payments, Receipt};
use shop_types::{Line, Sku};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use stock_api::{Level, Reservation, Stock};

/// A shelf with as much of everything as anybody wants, each unit at one cent.
#[derive(Default)]
struct Plenty {
    released: AtomicUsize,
}

#[async_trait]
impl Stock for Plenty {
    async fn level(&self, sku: Sku) -> Result<Level, StockError> {
        Err(StockError::UnknownProduct(sku))
    }

    async fn reserve(&self, order: OrderId, lines: Vec<Line>) -> Result<Reservation, StockError> {
        if let Some(gone) = lines.iter().find(|line| line.sku.0 == "gone") {
            return Err(StockError::SoldOut(gone.sku.clone()));
        }
        let units: i64 = lines.iter().map(|line| i64::from(line.quantity)).sum();
        Ok(Reservation { order, total: Cents(units) })
    }

    async fn release(&self, _: OrderId) -> Result<(), StockError> {
        self.released.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Takes any payment up to ten cents.
struct Small;

#[async_trait]
impl Payments for Small {
    async fn charge(&self, order: OrderId, amount: Cents) -> Result<Receipt, PaymentsError> {
        if amount.0 > 10 {
            return Err(PaymentsError::Declined(amount));
        }
        Ok(Receipt { order, amount })
    }
}

async fn system(mode: Mode, stock: Arc<Plenty>) -> RunningSystem {
    System::new(mode)
        .module::<OrdersModule>()
        .fake::<dyn Stock>(stock)
        .fake::<dyn Payments>(Arc::new(Small))
        .share("orders", Mailer::new("shop@example.org"))
        .settings("orders", [("max_lines", 2)])
        .start()
        .await
}

fn order(sku: &str, quantity: u32) -> NewOrder {
    let lines = vec![Line { sku: Sku(sku.to_owned()), quantity }];
    NewOrder { email: "ada@example.org".to_owned(), lines }
}

#[every_mode]
async fn an_order_that_was_placed_is_found(mode: Mode) {
    let system = system(mode, Arc::default()).await;
    let orders: OrdersClient = system.client();
    let placed = orders.place(order("tea", 3)).await.unwrap();
    assert_eq!(placed.total, Cents(3));
    assert_eq!(orders.get(placed.id.clone()).await.unwrap(), placed);
    assert_eq!(orders.recent(None).await.unwrap(), [placed.id]);
    system.stop().await;
}

#[every_mode]
async fn one_key_is_one_order(mode: Mode) {
    let system = system(mode, Arc::default()).await;
    let orders: OrdersClient = system.client();
    let under_a_key = Context::edge(&Default::default()).with_idempotency_key("k");
    let first = under_a_key.clone().scope(orders.place(order("tea", 1))).await.unwrap();
    let again = under_a_key.scope(orders.place(order("tea", 1))).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(first.id, OrderId("k".into()));
    system.stop().await;
}

#[every_mode]
async fn what_was_held_is_released_when_the_payment_is_declined(mode: Mode) {
    let stock = Arc::new(Plenty::default());
    let system = system(mode, Arc::clone(&stock)).await;
    let orders: OrdersClient = system.client();
    let error = orders.place(order("tea", 11)).await.unwrap_err();
    assert!(matches!(error, OrdersError::Declined), "{error}");
    assert_eq!(stock.released.load(Ordering::Relaxed), 1);
    system.stop().await;
}

#[every_mode]
async fn what_cannot_be_ordered_is_said(mode: Mode) {
    let system = system(mode, Arc::default()).await;
    let orders: OrdersClient = system.client();
    let error = orders.place(order("gone", 1)).await.unwrap_err();
    assert!(matches!(&error, OrdersError::SoldOut(sku) if sku.0 == "gone"), "{error}");
    let none = NewOrder { lines: Vec::new(), ..order("tea", 1) };
    let error = orders.place(none).await.unwrap_err();
    assert_eq!(error.to_string(), "an order has between 1 and 2 lines");
    system.stop().await;
}
