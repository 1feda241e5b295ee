//! The module with fakes for what it calls, in every mode that a call can take.

use super::*;
use monolift::{
    CallError, CallErrorKind,
    testing::{Mode, RunningSystem, System, every_mode},
};
use notifications_api::{Notification, Notifications, NotificationsError, Sent};
use orders_api::{OrderState, OrdersClient};
use payments_api::{Payment, PaymentState, Payments, PaymentsError};
use shop_types::{Cents, Line, Sku};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use stock_api::{Level, Product, Reservation, Stock, StockError};
use users_api::{NewUser, Profile, Session, Users, UsersError};

/// All the other modules: they note what was done for each order.
#[derive(Default)]
struct World {
    did: Mutex<BTreeMap<String, Vec<&'static str>>>,
    /// Calls of payments that fail before one gets through.
    outages: Mutex<u32>,
}

impl World {
    fn note(&self, order: &OrderId, what: &'static str) {
        self.did.lock().unwrap().entry(order.0.clone()).or_default().push(what);
    }

    fn did(&self, order: &OrderId) -> Vec<&'static str> {
        self.did.lock().unwrap().get(&order.0).cloned().unwrap_or_default()
    }

    async fn until(&self, order: &OrderId, did: &[&str]) {
        for _ in 0..1500 {
            if self.did(order) == did {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{did:?} was not done, but {:?}", self.did(order));
    }
}

#[async_trait]
impl Users for World {
    async fn register(&self, _: NewUser) -> Result<Profile, UsersError> {
        unreachable!("orders register nobody")
    }

    async fn log_in(&self, _: String, _: String) -> Result<Session, UsersError> {
        unreachable!("orders log nobody in")
    }

    async fn profile(&self, id: UserId) -> Result<Profile, UsersError> {
        if id.0 == "nobody" {
            return Err(UsersError::UnknownUser(id));
        }
        Ok(Profile { name: id.0.clone(), id, since_ms: 0 })
    }

    async fn whose(&self, _: String) -> Result<UserId, UsersError> {
        Err(UsersError::NoSession)
    }

    async fn email(&self, id: UserId) -> Result<String, UsersError> {
        Ok(format!("{id}@example.org"))
    }
}

/// As much of everything as anybody wants, each unit at one cent; nothing of what is `gone`.
#[async_trait]
impl Stock for World {
    async fn products(
        &self,
        _: Option<String>,
        _: Option<u32>,
    ) -> Result<Page<Product>, StockError> {
        unreachable!("orders list no products")
    }

    async fn product(&self, sku: Sku) -> Result<Product, StockError> {
        Err(StockError::UnknownProduct(sku))
    }

    async fn add(&self, product: Product) -> Result<Product, StockError> {
        Ok(product)
    }

    async fn level(&self, sku: Sku) -> Result<Level, StockError> {
        Err(StockError::UnknownProduct(sku))
    }

    async fn restock(&self, sku: Sku, _: u32) -> Result<Level, StockError> {
        Err(StockError::UnknownProduct(sku))
    }

    async fn reserve(&self, order: OrderId, lines: Vec<Line>) -> Result<Reservation, StockError> {
        if let Some(gone) = lines.iter().find(|line| line.sku.0 == "gone") {
            return Err(StockError::SoldOut(gone.sku.clone()));
        }
        self.note(&order, "reserve");
        let units: i64 = lines.iter().map(|line| i64::from(line.quantity)).sum();
        Ok(Reservation { order, total: Cents(units) })
    }

    async fn sell(&self, order: OrderId) -> Result<(), StockError> {
        self.note(&order, "sell");
        Ok(())
    }

    async fn release(&self, order: OrderId) -> Result<(), StockError> {
        self.note(&order, "release");
        Ok(())
    }
}

/// Takes any payment up to ten cents.
#[async_trait]
impl Payments for World {
    async fn authorise(
        &self,
        order: OrderId,
        amount: Cents,
        _: String,
    ) -> Result<Payment, PaymentsError> {
        if amount.0 > 10 {
            return Err(PaymentsError::Declined(amount));
        }
        let mut outages = self.outages.lock().unwrap();
        if *outages > 0 {
            *outages -= 1;
            return Err(CallError::new(CallErrorKind::Unreachable, "out of order").into());
        }
        self.note(&order, "authorise");
        Ok(Payment { order, amount, state: PaymentState::Authorised })
    }

    async fn capture(&self, order: OrderId) -> Result<Payment, PaymentsError> {
        self.note(&order, "capture");
        Ok(Payment { order, amount: Cents(1), state: PaymentState::Captured })
    }

    async fn refund(&self, order: OrderId) -> Result<(), PaymentsError> {
        self.note(&order, "refund");
        Ok(())
    }

    async fn payment(&self, order: OrderId) -> Result<Payment, PaymentsError> {
        Err(PaymentsError::UnknownPayment(order))
    }
}

#[async_trait]
impl Notifications for World {
    async fn send(&self, notification: Notification) -> Result<(), NotificationsError> {
        let (order, what) = notification.id.split_once('-').unwrap();
        let what = if what == "placed" { "told placed" } else { "told cancelled" };
        self.note(&OrderId(order.to_owned()), what);
        Ok(())
    }

    async fn sent_to(
        &self,
        _: UserId,
        _: Option<String>,
        _: Option<u32>,
    ) -> Result<Page<Sent>, NotificationsError> {
        Ok(Page { items: Vec::new(), next: None })
    }
}

const FULFILLED: [&str; 5] = ["reserve", "authorise", "capture", "sell", "told placed"];

async fn start(mode: Mode) -> (RunningSystem, OrdersClient, Arc<World>) {
    let world = Arc::new(World::default());
    let system = System::new(mode)
        .module::<OrdersModule>()
        .fake::<dyn Users>(world.clone())
        .fake::<dyn Stock>(world.clone())
        .fake::<dyn Payments>(world.clone())
        .fake::<dyn Notifications>(world.clone())
        .settings("orders", [("max_lines", 2)])
        .start()
        .await;
    let orders = system.client();
    (system, orders, world)
}

fn new_order(sku: &str, quantity: u32) -> NewOrder {
    let line = Line { sku: Sku(sku.to_owned()), quantity };
    NewOrder { user: UserId("somebody".into()), lines: vec![line], card: "card".into() }
}

/// Work as part of a request that came with an idempotency key.
async fn under_key<T>(key: &str, work: impl Future<Output = T>) -> T {
    let settings = monolift::call::CallSettings::default();
    Context::edge(&settings).with_idempotency_key(key).scope(work).await
}

#[every_mode]
async fn an_order_is_placed_and_then_fulfilled(mode: Mode) {
    let (system, orders, world) = start(mode).await;
    let order = orders.place(new_order("tea", 3)).await.unwrap();
    assert_eq!((order.state, order.total), (OrderState::Placed, Cents(3)));
    world.until(&order.id, &FULFILLED).await;
    assert_eq!(orders.get(order.id.clone()).await.unwrap(), order);
    let cancelled = orders.cancel(order.id.clone()).await.unwrap();
    assert_eq!(cancelled.state, OrderState::Cancelled);
    let undone = [&FULFILLED[..], &["refund", "release", "told cancelled"]].concat();
    world.until(&order.id, &undone).await;
    assert_eq!(orders.cancel(order.id.clone()).await.unwrap(), cancelled);
    system.stop().await;
}

#[every_mode]
async fn an_order_that_is_refused_leaves_nothing_behind(mode: Mode) {
    let (system, orders, world) = start(mode).await;
    for (order, did) in [
        (new_order("tea", 11), vec!["reserve", "refund", "release"]),
        (new_order("gone", 1), vec!["refund", "release"]),
        (
            NewOrder { user: UserId("nobody".into()), ..new_order("tea", 1) },
            vec!["refund", "release"],
        ),
    ] {
        // Repeated, it is refused for the same reason, and nothing is tried again.
        let key = order.lines[0].sku.0.as_str();
        let place = || under_key(key, orders.place(order.clone()));
        let first = place().await.unwrap_err().to_string();
        assert_eq!(place().await.unwrap_err().to_string(), first);
        let refused = orders.list(order.user.clone(), None, Some(100)).await.unwrap().items;
        let refused = refused.iter().find(|one| one.lines == order.lines).unwrap();
        assert_eq!((refused.state, world.did(&refused.id)), (OrderState::Refused, did));
        let error = orders.cancel(refused.id.clone()).await.unwrap_err();
        assert!(matches!(error, OrdersError::NotPlaced(_)), "{error}");
        // A key is one order's.
        let other = NewOrder { card: "another".to_owned(), ..order.clone() };
        let reused = under_key(key, orders.place(other)).await;
        assert!(matches!(reused, Err(OrdersError::KeyReused)), "{reused:?}");
    }
    system.stop().await;
}

#[every_mode]
async fn a_repeated_request_has_one_order(mode: Mode) {
    let (system, orders, world) = start(mode).await;
    let placing: Vec<_> = (0..8)
        .map(|_| {
            let orders = orders.clone();
            tokio::spawn(async move { under_key("one", orders.place(new_order("tea", 1))).await })
        })
        .collect();
    let mut placed = Vec::new();
    for one in placing {
        placed.push(one.await.unwrap().unwrap());
    }
    placed.dedup();
    assert_eq!(placed.len(), 1);
    for _ in 0..500 {
        if world.did(&placed[0].id).contains(&"told placed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let did = world.did(&placed[0].id);
    let fulfilled = did.iter().filter(|what| **what == "capture").count();
    assert_eq!(fulfilled, 1, "{did:?}");
    let other = under_key("other", orders.place(new_order("tea", 1))).await.unwrap();
    assert_ne!(other.id, placed[0].id);
    system.stop().await;
}

/// Payments are out of order for a moment: the caller hears so, and the order is placed all the same.
#[every_mode]
async fn an_order_whose_caller_was_told_nothing_is_settled(mode: Mode) {
    let (system, orders, world) = start(mode).await;
    *world.outages.lock().unwrap() = 2;
    let order = new_order("tea", 1);
    let error = under_key("key", orders.place(order.clone())).await.unwrap_err();
    assert!(matches!(error, OrdersError::Call(_)), "{error}");
    let page = orders.list(order.user.clone(), None, None).await.unwrap();
    assert_eq!(page.items[0].state, OrderState::Placing);
    for _ in 0..1500 {
        if world.did(&page.items[0].id).contains(&"told placed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = under_key("key", orders.place(order)).await.unwrap();
    assert_eq!(again.state, OrderState::Placed);
    system.stop().await;
}

#[every_mode]
async fn an_order_has_lines(mode: Mode) {
    let (system, orders, _) = start(mode).await;
    let mut long = new_order("tea", 1);
    long.lines = [long.lines.clone(), long.lines.clone(), long.lines.clone()].concat();
    let none = NewOrder { lines: Vec::new(), ..new_order("tea", 1) };
    for wrong in [long, none, new_order("tea", 0)] {
        let error = orders.place(wrong).await.unwrap_err();
        assert!(matches!(error, OrdersError::WrongLines(2)), "{error}");
    }
    let unknown = orders.get(OrderId("none".into())).await.unwrap_err();
    assert!(matches!(unknown, OrdersError::UnknownOrder(_)));
    system.stop().await;
}

/// A call that holds a transaction asks for no second connection: else as many of them at once as the
/// pool has connections would wait for each other.
#[every_mode]
async fn nothing_is_cancelled_by_many_at_once(mode: Mode) {
    let (system, orders, _) = start(mode).await;
    let cancelling: Vec<_> = (0..50)
        .map(|_| {
            let orders = orders.clone();
            tokio::spawn(async move { orders.cancel(OrderId("nope".into())).await })
        })
        .collect();
    for one in cancelling {
        let error = one.await.unwrap().unwrap_err();
        assert!(matches!(error, OrdersError::UnknownOrder(_)), "{error}");
    }
    system.stop().await;
}
