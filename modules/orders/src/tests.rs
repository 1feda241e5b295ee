//! The module with fakes for what it calls, in every mode that a call can take.

use super::*;
use monolift::{
    CallError, CallErrorKind,
    testing::{Mode, RunningSystem, System, every_mode, user},
};
use orders_api::{OrderChanged, OrderState, OrdersClient};
use payments_api::{Payment, PaymentState, Payments, PaymentsError};
use shop_types::{Cents, Line, Sku};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use stock_api::{Level, Product, Reservation, Stock, StockError};
use users_api::{Issuer, KeySet, NewUser, Profile, Session, Users, UsersError};

/// All the other modules: they note what was done for each order.
#[derive(Default)]
struct World {
    did: Mutex<BTreeMap<String, Vec<&'static str>>>,
    /// Authorisations that fail before one gets through.
    outages: Mutex<u32>,
    /// Whether those are done all the same, and only their answers are lost.
    loses_answers: AtomicBool,
    /// Whether every call of payments fails, and how many there were.
    down: AtomicBool,
    called: AtomicU32,
    cards: Mutex<Vec<String>>,
}

impl World {
    fn note(&self, order: &OrderId, what: &'static str) {
        self.did.lock().unwrap().entry(order.0.clone()).or_default().push(what);
    }

    fn did(&self, order: &OrderId) -> Vec<&'static str> {
        self.did.lock().unwrap().get(&order.0).cloned().unwrap_or_default()
    }

    /// A call of payments.
    fn call(&self) -> Result<(), PaymentsError> {
        self.called.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(CallError::new(CallErrorKind::Internal, "out of order").into());
        }
        Ok(())
    }

    async fn until(&self, order: &OrderId, did: &[&str]) {
        self.until_so(order, |done| done == did).await;
    }

    async fn until_so(&self, order: &OrderId, is_so: impl Fn(&[&str]) -> bool) {
        for _ in 0..1500 {
            if is_so(&self.did(order)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("this was done and no more: {:?}", self.did(order));
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

    async fn keys(&self) -> Result<KeySet, UsersError> {
        unreachable!("orders verify no tokens")
    }

    async fn issuer(&self) -> Result<Issuer, UsersError> {
        unreachable!("orders verify no tokens")
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
        card: String,
    ) -> Result<Payment, PaymentsError> {
        self.call()?;
        self.cards.lock().unwrap().push(card);
        if amount.0 > 10 {
            return Err(PaymentsError::Declined(amount));
        }
        let mut outages = self.outages.lock().unwrap();
        if *outages > 0 {
            *outages -= 1;
            if self.loses_answers.load(Ordering::SeqCst) {
                self.note(&order, "authorise");
            }
            return Err(CallError::new(CallErrorKind::Unreachable, "out of order").into());
        }
        self.note(&order, "authorise");
        Ok(Payment { order, amount, state: PaymentState::Authorised })
    }

    async fn capture(&self, order: OrderId) -> Result<Payment, PaymentsError> {
        self.call()?;
        self.note(&order, "capture");
        Ok(Payment { order, amount: Cents(1), state: PaymentState::Captured })
    }

    async fn refund(&self, order: OrderId) -> Result<(), PaymentsError> {
        self.call()?;
        self.note(&order, "refund");
        Ok(())
    }

    async fn payment(&self, order: OrderId) -> Result<Payment, PaymentsError> {
        self.call()?;
        if !self.did(&order).contains(&"authorise") {
            return Err(PaymentsError::UnknownPayment(order));
        }
        Ok(Payment { order, amount: Cents(1), state: PaymentState::Authorised })
    }
}

const FULFILLED: [&str; 4] = ["reserve", "authorise", "capture", "sell"];

/// The module's own database.
async fn database(system: &RunningSystem) -> Db {
    let described = system.process_of("orders").databases().next().unwrap().1;
    let url = format!("sqlite://{}", described.split(',').next().unwrap());
    let location = monolift::data::Location::Url(url);
    Db::open(&location, &monolift::data::DbSettings::default(), &[]).await.unwrap()
}

/// Waits until so much was published of an order, and not more.
async fn until_published(system: &RunningSystem, order: &OrderId, states: &[OrderState]) {
    let db = database(system).await;
    let mut published = Vec::new();
    for _ in 0..1500 {
        let sql = "SELECT payload FROM monolift_events ORDER BY key, number";
        let payloads: Vec<String> = sqlx::query_scalar(sql).fetch_all(db.pool()).await.unwrap();
        let events =
            payloads.iter().map(|text| serde_json::from_str::<OrderChanged>(text).unwrap());
        published = events.filter(|event| event.order == *order).map(|event| event.state).collect();
        if published == states {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{states:?} was not published, but {published:?}");
}

async fn start(mode: Mode) -> (RunningSystem, OrdersClient, Arc<World>) {
    let world = Arc::new(World::default());
    let system = System::new(mode)
        .module::<OrdersModule>()
        .fake::<dyn Users>(world.clone())
        .fake::<dyn Stock>(world.clone())
        .fake::<dyn Payments>(world.clone())
        .settings("orders", [("max_lines", 2)])
        .start()
        .await;
    let orders = system.client_as(user(SOMEBODY));
    (system, orders, world)
}

/// Who orders in these tests.
const SOMEBODY: &str = "somebody";

fn new_order(sku: &str, quantity: u32) -> NewOrder {
    let line = Line { sku: Sku(sku.to_owned()), quantity };
    NewOrder { user: UserId(SOMEBODY.into()), lines: vec![line], card: "card".into() }
}

/// Work as part of a request of [`SOMEBODY`] that came with an idempotency key.
async fn under_key<T>(key: &str, work: impl Future<Output = T>) -> T {
    under_key_of(SOMEBODY, key, work).await
}

async fn under_key_of<T>(who: &str, key: &str, work: impl Future<Output = T>) -> T {
    let settings = monolift::call::CallSettings::default();
    let edge = Context::edge(&settings).with_principal(user(who));
    edge.with_idempotency_key(key).scope(work).await
}

#[every_mode]
async fn an_order_is_placed_and_then_fulfilled(mode: Mode) {
    let (system, orders, world) = start(mode).await;
    let order = orders.place(new_order("tea", 3)).await.unwrap();
    assert_eq!((order.state, order.total), (OrderState::Placed, Cents(3)));
    world.until(&order.id, &FULFILLED).await;
    until_published(&system, &order.id, &[OrderState::Placed]).await;
    assert_eq!(orders.get(order.id.clone()).await.unwrap(), order);
    let cancelled = orders.cancel(order.id.clone()).await.unwrap();
    assert_eq!(cancelled.state, OrderState::Cancelled);
    let undone = [&FULFILLED[..], &["refund", "release"]].concat();
    world.until(&order.id, &undone).await;
    until_published(&system, &order.id, &[OrderState::Placed, OrderState::Cancelled]).await;
    assert_eq!(orders.cancel(order.id.clone()).await.unwrap(), cancelled);
    system.stop().await;
}

#[every_mode]
async fn an_order_that_is_refused_leaves_nothing_behind(mode: Mode) {
    let (system, _, world) = start(mode).await;
    for (order, did) in [
        (new_order("tea", 11), vec!["reserve", "refund", "release"]),
        (new_order("gone", 1), vec!["refund", "release"]),
        (
            NewOrder { user: UserId("nobody".into()), ..new_order("tea", 1) },
            vec!["refund", "release"],
        ),
    ] {
        // Repeated, it is refused for the same reason, and nothing is tried again.
        let (who, key) = (order.user.0.as_str(), order.lines[0].sku.0.as_str());
        let orders: OrdersClient = system.client_as(user(who));
        let place = || under_key_of(who, key, orders.place(order.clone()));
        let first = place().await.unwrap_err().to_string();
        assert_eq!(place().await.unwrap_err().to_string(), first);
        let refused = orders.list(order.user.clone(), None, Some(100)).await.unwrap().items;
        let refused = refused.iter().find(|one| one.lines == order.lines).unwrap();
        assert_eq!((refused.state, world.did(&refused.id)), (OrderState::Refused, did));
        let error = orders.cancel(refused.id.clone()).await.unwrap_err();
        assert!(matches!(error, OrdersError::NotPlaced(_)), "{error}");
        // A key is one order's.
        let other = NewOrder { card: "another".to_owned(), ..order.clone() };
        let reused = under_key_of(who, key, orders.place(other)).await;
        assert!(matches!(reused, Err(OrdersError::KeyReused)), "{reused:?}");
    }
    system.stop().await;
}

/// For everyone but its customer there is no such order. Nobody orders for another one.
#[every_mode]
async fn an_order_is_its_customers(mode: Mode) {
    let (system, orders, world) = start(mode).await;
    let order = orders.place(new_order("tea", 1)).await.unwrap();
    let stranger: OrdersClient = system.client_as(user("stranger").with_role("staff"));
    for refused in [stranger.get(order.id.clone()).await, stranger.cancel(order.id.clone()).await] {
        assert!(matches!(&refused, Err(OrdersError::UnknownOrder(id)) if *id == order.id));
    }
    let forbidden = [
        stranger.place(new_order("tea", 1)).await.map(drop),
        stranger.list(order.user.clone(), None, None).await.map(drop),
    ];
    let module: OrdersClient = system.client();
    for refused in forbidden.into_iter().chain([module.get(order.id.clone()).await.map(drop)]) {
        let Err(OrdersError::Call(error)) = &refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), CallErrorKind::Forbidden);
    }
    world.until(&order.id, &FULFILLED).await;
    let kept = orders.list(order.user.clone(), None, None).await.unwrap().items;
    assert_eq!(kept, [order]);
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
    until_published(&system, &placed[0].id, &[OrderState::Placed]).await;
    // What follows from an order is done after it was published.
    world.until_so(&placed[0].id, |did| did.contains(&"sell")).await;
    let did = world.did(&placed[0].id);
    let fulfilled = did.iter().filter(|what| **what == "capture").count();
    assert_eq!(fulfilled, 1, "{did:?}");
    let other = under_key("other", orders.place(new_order("tea", 1))).await.unwrap();
    assert_ne!(other.id, placed[0].id);
    system.stop().await;
}

/// The caller hears of no answer, and the order is placed all the same, since it was paid; where it was
/// not, it is refused: the card is not kept.
#[every_mode]
async fn an_order_whose_caller_was_told_nothing_is_settled(mode: Mode) {
    for paid in [true, false] {
        let (system, orders, world) = start(mode).await;
        world.loses_answers.store(paid, Ordering::SeqCst);
        *world.outages.lock().unwrap() = 1;
        let order = new_order("tea", 1);
        let error = under_key("key", orders.place(order.clone())).await.unwrap_err();
        assert!(matches!(error, OrdersError::Call(_)), "{error}");
        let page = orders.list(order.user.clone(), None, None).await.unwrap();
        assert_eq!(page.items[0].state, OrderState::Placing);
        let last = if paid { "sell" } else { "release" };
        for _ in 0..1500 {
            if world.did(&page.items[0].id).contains(&last) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match under_key("key", orders.place(order)).await {
            Ok(again) if paid => assert_eq!(again.state, OrderState::Placed),
            Err(OrdersError::TookTooLong) if !paid => {}
            other => panic!("{other:?}"),
        }
        system.stop().await;
    }
}

/// The card is handed to payments and kept nowhere, but for its last four characters. What an earlier
/// release has kept is shortened at the start.
#[every_mode]
async fn cards_are_not_kept(mode: Mode) {
    let (system, orders, world) = start(mode).await;
    let with = |card: &str| NewOrder { card: card.to_owned(), ..new_order("tea", 1) };
    let card = "4111111111111111";
    let order = under_key("key", orders.place(with(card))).await.unwrap();
    assert_eq!(*world.cards.lock().unwrap(), [card]);
    assert_eq!(under_key("key", orders.place(with(card))).await.unwrap().id, order.id);
    let other = under_key("key", orders.place(with("4111111111112222"))).await;
    assert!(matches!(other, Err(OrdersError::KeyReused)), "{other:?}");
    let db = database(&system).await;
    let kept = async || -> Vec<String> {
        sqlx::query_scalar("SELECT request FROM orders").fetch_all(db.pool()).await.unwrap()
    };
    let as_now = kept().await;
    assert!(as_now[0].contains(r#""card":"1111""#), "{as_now:?}");
    let mut tx = db.write().await.unwrap();
    sqlx::query("UPDATE orders SET request = $1")
        .bind(as_now[0].replace("1111", card))
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(under_key("key", orders.place(with(card))).await.unwrap().id, order.id);
    card::forget_all(&db).await.unwrap();
    assert_eq!(kept().await, as_now);
    system.stop().await;
}

/// Payments fail at once for a while: the durable work that follows from that makes few calls, and all
/// orders are decided without them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_fails_is_not_called_by_every_order_again_and_again() {
    let (system, orders, world) = start(Mode::InProcess).await;
    world.down.store(true, Ordering::SeqCst);
    const ORDERS: u32 = 200;
    for _ in 0..ORDERS {
        let error = orders.place(new_order("tea", 1)).await.unwrap_err();
        assert!(matches!(error, OrdersError::Call(_)), "{error}");
    }
    let user = UserId("somebody".into());
    let are_refused = async || {
        let mut after = None;
        loop {
            let page = orders.list(user.clone(), after, Some(100)).await.unwrap();
            let refused = page.items.iter().all(|order| order.state == OrderState::Refused);
            after = page.next;
            if !refused || after.is_none() {
                return refused;
            }
        }
    };
    let mut looked = 0;
    while !are_refused().await {
        looked += 1;
        assert!(looked < 400, "they are not decided");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let called = world.called.load(Ordering::SeqCst);
    assert!(called <= ORDERS * 3 / 2, "{called} calls for {ORDERS} orders");
    system.stop().await;
}

#[every_mode]
async fn an_order_has_lines(mode: Mode) {
    let (system, orders, _) = start(mode).await;
    let mut long = new_order("tea", 1);
    long.lines = [long.lines.clone(), long.lines.clone(), long.lines.clone()].concat();
    let none = NewOrder { lines: Vec::new(), ..new_order("tea", 1) };
    for wrong in [long, none] {
        let error = orders.place(wrong).await.unwrap_err();
        assert!(matches!(error, OrdersError::WrongLines(2)), "{error}");
    }
    let error = orders.place(new_order("tea", 0)).await.unwrap_err();
    if mode.encodes() {
        let expected = "argument `order`: `lines[0].quantity` is 0, and must be at least 1";
        assert!(error.to_string().contains(expected), "{error}");
    } else {
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
