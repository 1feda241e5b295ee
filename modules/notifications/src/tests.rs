//! In every mode that a call can take, with orders that only publish.

use super::*;
use monolift::{
    CallErrorKind, Events,
    testing::{Mode, System, every_mode, user},
};
use notifications_api::NotificationsClient;
use orders_api::{NewOrder, Order, Orders, OrdersClient, OrdersError};
use shop_types::{Cents, OrderId};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};
use users_api::{Issuer, KeySet, NewUser, Profile, Session, Users, UsersError};

/// Publishes what it is asked for.
#[monolift::module(name = "orders", provides = Orders)]
struct Publisher {
    db: Db,
    events: Events,
}

impl Publisher {
    async fn publish(&self, order: &str, user: &UserId, state: OrderState) {
        let mut tx = self.db.write().await.unwrap();
        let (order, user) = (OrderId(order.to_owned()), user.clone());
        let (lines, total, made_at_ms) = (Vec::new(), Cents(0), 0);
        let changed = OrderChanged { order, user, state, lines, total, made_at_ms };
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

    /// Says of orders `1` to `4` that they are placed, and of order `2` more than that.
    async fn list(
        &self,
        user: UserId,
        _: Option<String>,
        _: Option<u32>,
    ) -> Result<Page<Order>, OrdersError> {
        for order in ["1", "2", "3", "4"] {
            self.publish(order, &user, OrderState::Placed).await;
        }
        self.publish("2", &user, OrderState::Refused).await;
        self.publish("2", &user, OrderState::Placed).await;
        self.publish("2", &user, OrderState::Cancelled).await;
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn cancel(&self, id: OrderId) -> Result<Order, OrdersError> {
        Err(OrdersError::NotPlaced(id))
    }
}

/// Knows everybody's address, and gives it the second time.
#[derive(Default)]
struct Addresses(AtomicU32);

#[async_trait]
impl Users for Addresses {
    async fn register(&self, _: NewUser) -> Result<Profile, UsersError> {
        unreachable!("notifications register nobody")
    }

    async fn log_in(&self, _: String, _: String) -> Result<Session, UsersError> {
        unreachable!("notifications log nobody in")
    }

    async fn profile(&self, id: UserId) -> Result<Profile, UsersError> {
        Err(UsersError::UnknownUser(id))
    }

    async fn keys(&self) -> Result<KeySet, UsersError> {
        unreachable!("notifications verify nobody")
    }

    async fn issuer(&self) -> Result<Issuer, UsersError> {
        unreachable!("notifications verify nobody")
    }

    async fn email(&self, id: UserId) -> Result<String, UsersError> {
        if self.0.fetch_add(1, SeqCst) == 0 {
            return Err(UsersError::UnknownUser(id));
        }
        Ok(format!("{id}@example.org"))
    }
}

#[every_mode]
async fn a_customer_is_told_once_of_each_change(mode: Mode) {
    let system = System::new(mode)
        .module::<Publisher>()
        .module::<NotificationsModule>()
        .fake::<dyn Users>(Arc::new(Addresses::default()))
        .share("notifications", Mailer::new("shop@example.org"))
        .start()
        .await;
    let (orders, notifications): (OrdersClient, NotificationsClient) =
        (system.client_as(user("a")), system.client_as(user("a")));
    let a = || UserId("a".to_owned());
    orders.list(a(), None, None).await.unwrap();
    let list = |after: Option<&str>, limit| {
        notifications.sent_to(a(), after.map(str::to_owned), Some(limit))
    };
    for _ in 0..1500 {
        if list(None, 100).await.unwrap().items.len() == 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let page = list(None, 3).await.unwrap();
    let ids: Vec<&str> = page.items.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!(
        (ids, page.next.as_deref()),
        (vec!["1-placed", "2-cancelled", "2-placed"], Some("2-placed"))
    );
    assert_eq!(page.items[1].subject, "your order 2 is cancelled");
    // The mails of one order come in the order of its changes.
    assert!(page.items[2].sent_at_ms <= page.items[1].sent_at_ms);
    let page = list(Some("2-placed"), 3).await.unwrap();
    assert_eq!((page.items.len(), page.next), (3, None));
    let b: NotificationsClient = system.client_as(user("b"));
    assert!(b.sent_to(UserId("b".into()), None, None).await.unwrap().items.is_empty());
    let NotificationsError::Call(error) = b.sent_to(a(), None, None).await.unwrap_err();
    assert_eq!(error.kind(), CallErrorKind::Forbidden);
    system.stop().await;
}
