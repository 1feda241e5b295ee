//! In every mode that a call can take, with orders that only publish.

use super::*;
use monolift::{
    CallErrorKind, Events,
    testing::{Mode, System, every_mode, user},
};
use orders_api::{NewOrder, Order, Orders, OrdersClient, OrdersError};
use reports_api::ReportsClient;
use shop_types::{Cents, OrderId, Sku};
use std::sync::Arc;
use stock_api::{Level, Product, Reservation, Stock};

/// 27 November 2026.
const DAY_MS: i64 = 1_795_737_600_000;

/// Publishes three orders of a customer, and cancels the last one.
#[monolift::module(name = "orders", provides = Orders)]
struct Publisher {
    db: Db,
    events: Events,
}

impl Publisher {
    async fn publish(&self, order: &str, user: &UserId, state: OrderState, skus: &[&str]) {
        let line = |sku: &&str| Line { sku: Sku((*sku).to_owned()), quantity: 2 };
        let changed = OrderChanged {
            order: OrderId(order.to_owned()),
            user: user.clone(),
            state,
            lines: skus.iter().map(line).collect(),
            total: Cents(900),
            made_at_ms: DAY_MS,
        };
        let mut tx = self.db.write().await.unwrap();
        self.events.publish(&mut tx, &changed).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[async_trait]
impl Orders for Publisher {
    async fn place(&self, _: NewOrder) -> Result<Order, OrdersError> {
        unreachable!("the test places no order")
    }

    async fn get(&self, id: OrderId) -> Result<Order, OrdersError> {
        Err(OrdersError::UnknownOrder(id))
    }

    async fn list(
        &self,
        user: UserId,
        _: Option<String>,
        _: Option<u32>,
    ) -> Result<Page<Order>, OrdersError> {
        self.publish("1", &user, OrderState::Placed, &["tea", "pot"]).await;
        self.publish("2", &user, OrderState::Placed, &["tea"]).await;
        self.publish("3", &user, OrderState::Placed, &["pot", "gone"]).await;
        self.publish("3", &user, OrderState::Cancelled, &["pot", "gone"]).await;
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn cancel(&self, id: OrderId) -> Result<Order, OrdersError> {
        Err(OrdersError::NotPlaced(id))
    }
}

/// Knows the names of two products.
struct Names;

#[async_trait]
impl Stock for Names {
    async fn product(&self, sku: Sku) -> Result<Product, StockError> {
        let name = match sku.as_ref() {
            "tea" => "Green tea",
            "pot" => "Tea pot",
            _ => return Err(StockError::UnknownProduct(sku)),
        };
        Ok(Product { sku, name: name.to_owned(), price: Cents(450), on_hand: 0 })
    }

    async fn products(
        &self,
        _: Option<String>,
        _: Option<u32>,
    ) -> Result<Page<Product>, StockError> {
        unreachable!("reports ask for one product")
    }

    async fn add(&self, product: Product) -> Result<Product, StockError> {
        Err(StockError::ProductExists(product.sku))
    }

    async fn level(&self, sku: Sku) -> Result<Level, StockError> {
        Err(StockError::UnknownProduct(sku))
    }

    async fn restock(&self, sku: Sku, _: u32) -> Result<Level, StockError> {
        Err(StockError::UnknownProduct(sku))
    }

    async fn reserve(&self, order: OrderId, _: Vec<Line>) -> Result<Reservation, StockError> {
        Err(StockError::Closed(order))
    }

    async fn sell(&self, order: OrderId) -> Result<(), StockError> {
        Err(StockError::Closed(order))
    }

    async fn release(&self, order: OrderId) -> Result<(), StockError> {
        Err(StockError::Closed(order))
    }
}

#[every_mode]
async fn sales_and_histories_follow_the_orders(mode: Mode) {
    let system = System::new(mode)
        .module::<Publisher>()
        .module::<ReportsModule>()
        .fake::<dyn Stock>(Arc::new(Names))
        .start()
        .await;
    let a = || UserId("a".to_owned());
    let orders: OrdersClient = system.client_as(user("a"));
    let reports: ReportsClient = system.client_as(user("a"));
    orders.list(a(), None, None).await.unwrap();
    let history =
        |after: Option<&str>, limit| reports.history(a(), after.map(str::to_owned), Some(limit));
    for _ in 0..1500 {
        let all = history(None, 100).await.unwrap().items;
        if all.len() == 3 && all[2].cancelled {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let page = history(None, 2).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (2, Some("2")));
    let first = &page.items[0];
    assert_eq!((&*first.day, first.total, first.cancelled), ("2026-11-27", Cents(900), false));
    let names: Vec<&str> = first.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["Green tea", "Tea pot"]);
    let rest = history(Some("2"), 2).await.unwrap().items;
    // A product that is gone has its number for a name.
    assert_eq!((rest.len(), rest[0].cancelled, &*rest[0].lines[1].name), (1, true, "gone"));

    let staff: ReportsClient = system.client_as(user("eve").with_role("staff"));
    let sales = staff.sales("2026-11-27".to_owned(), None, None).await.unwrap().items;
    let sales: Vec<_> = sales.iter().map(|sale| (&*sale.sku.0, &*sale.name, sale.units)).collect();
    assert_eq!(sales, [("pot", "Tea pot", 2), ("tea", "Green tea", 4)]);
    let other_day = staff.sales("2026-11-26".to_owned(), None, None).await.unwrap();
    assert!(other_day.items.is_empty());
    let ReportsError::Call(error) = staff.history(a(), None, None).await.unwrap_err();
    assert_eq!(error.kind(), CallErrorKind::Forbidden);
    let ReportsError::Call(error) =
        reports.sales("2026-11-27".to_owned(), None, None).await.unwrap_err();
    assert_eq!(error.kind(), CallErrorKind::Forbidden);
    system.stop().await;
}
