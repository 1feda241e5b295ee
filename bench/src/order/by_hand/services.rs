//! The parts of the shop as five tonic services, with axum in front.

use super::{
    Place, listen,
    messages::{Amount, Authorise, Done, Id, Mail, NewOrder, Order, Reserve, Text},
    orders::Orders,
    parts::{Notifications, Others, Payments, Stock, Users},
    serve_http,
};
use crate::{
    process::{Where, ready},
    remote::tonic_channels,
};
use anyhow::Context as _;
use monolift_manifest::Address;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server},
};

#[allow(missing_docs, clippy::all, rust_2018_idioms, reason = "it is generated")]
mod glue {
    include!(concat!(env!("OUT_DIR"), "/shop.Users.rs"));
    include!(concat!(env!("OUT_DIR"), "/shop.Stock.rs"));
    include!(concat!(env!("OUT_DIR"), "/shop.Payments.rs"));
    include!(concat!(env!("OUT_DIR"), "/shop.Notifications.rs"));
    include!(concat!(env!("OUT_DIR"), "/shop.Orders.rs"));
}

use glue::{
    notifications_client::NotificationsClient,
    notifications_server::{Notifications as ServesNotifications, NotificationsServer},
    orders_client::OrdersClient,
    orders_server::{Orders as ServesOrders, OrdersServer},
    payments_client::PaymentsClient,
    payments_server::{Payments as ServesPayments, PaymentsServer},
    stock_client::StockClient,
    stock_server::{Stock as ServesStock, StockServer},
    users_client::UsersClient,
    users_server::{Users as ServesUsers, UsersServer},
};

/// The services. A service comes after those that it calls.
pub const SERVICES: [&str; 5] = ["users", "stock", "payments", "notifications", "orders"];

type Answer<T> = Result<Response<T>, Status>;

fn done(result: Result<(), Status>) -> Answer<Done> {
    result.map(|()| Response::new(Done {}))
}

#[tonic::async_trait]
impl ServesUsers for Users {
    async fn check(&self, id: Request<Id>) -> Answer<Done> {
        done(Users::check(self, &id.get_ref().id).await)
    }

    async fn email(&self, id: Request<Id>) -> Answer<Text> {
        Users::email(self, &id.get_ref().id).await.map(|text| Response::new(Text { text }))
    }
}

#[tonic::async_trait]
impl ServesStock for Stock {
    async fn reserve(&self, reserve: Request<Reserve>) -> Answer<Amount> {
        let cents = Stock::reserve(self, reserve.into_inner()).await?;
        Ok(Response::new(Amount { cents }))
    }

    async fn sell(&self, order: Request<Id>) -> Answer<Done> {
        done(Stock::sell(self, &order.get_ref().id).await)
    }
}

#[tonic::async_trait]
impl ServesPayments for Payments {
    async fn authorise(&self, authorise: Request<Authorise>) -> Answer<Done> {
        done(Payments::authorise(self, authorise.into_inner()).await)
    }

    async fn capture(&self, order: Request<Id>) -> Answer<Done> {
        done(Payments::capture(self, &order.get_ref().id).await)
    }
}

#[tonic::async_trait]
impl ServesNotifications for Notifications {
    async fn send(&self, mail: Request<Mail>) -> Answer<Done> {
        done(Notifications::send(self, mail.into_inner()).await)
    }
}

/// The service of orders.
struct OrdersService(Arc<Orders<Clients>>);

#[tonic::async_trait]
impl ServesOrders for OrdersService {
    async fn place(&self, order: Request<NewOrder>) -> Answer<Order> {
        self.0.place(order.into_inner()).await.map(Response::new)
    }
}

/// Channels to one service, used in turns.
struct Channels {
    channels: Vec<Channel>,
    next: AtomicUsize,
}

impl Channels {
    async fn to(service: &Address, connections: usize) -> anyhow::Result<Self> {
        let channels = tonic_channels(service, connections, None).await?;
        Ok(Self { channels, next: AtomicUsize::new(0) })
    }

    fn next(&self) -> Channel {
        self.channels[self.next.fetch_add(1, Relaxed) % self.channels.len()].clone()
    }
}

/// Clients of the four services that orders call.
struct Clients {
    users: Channels,
    stock: Channels,
    payments: Channels,
    notifications: Channels,
}

#[tonic::async_trait]
impl Others for Clients {
    async fn check_user(&self, id: &str) -> Result<(), Status> {
        UsersClient::new(self.users.next()).check(Id { id: id.to_owned() }).await.map(drop)
    }

    async fn email(&self, id: &str) -> Result<String, Status> {
        let email = UsersClient::new(self.users.next()).email(Id { id: id.to_owned() }).await?;
        Ok(email.into_inner().text)
    }

    async fn reserve(&self, reserve: Reserve) -> Result<i64, Status> {
        Ok(StockClient::new(self.stock.next()).reserve(reserve).await?.into_inner().cents)
    }

    async fn sell(&self, order: &str) -> Result<(), Status> {
        StockClient::new(self.stock.next()).sell(Id { id: order.to_owned() }).await.map(drop)
    }

    async fn authorise(&self, authorise: Authorise) -> Result<(), Status> {
        PaymentsClient::new(self.payments.next()).authorise(authorise).await.map(drop)
    }

    async fn capture(&self, order: &str) -> Result<(), Status> {
        let order = Id { id: order.to_owned() };
        PaymentsClient::new(self.payments.next()).capture(order).await.map(drop)
    }

    async fn send(&self, mail: Mail) -> Result<(), Status> {
        NotificationsClient::new(self.notifications.next()).send(mail).await.map(drop)
    }
}

pub(in crate::order) async fn serve_service(
    name: &str,
    address: Address,
    all: &[Where],
    connections: usize,
    folder: &Path,
) -> anyhow::Result<()> {
    let mut server = Server::builder();
    let server = match name {
        "users" => server.add_service(UsersServer::new(Users::open(folder).await?)),
        "stock" => server.add_service(StockServer::new(Stock::open(folder).await?)),
        "payments" => server.add_service(PaymentsServer::new(Payments::open(folder).await?)),
        "notifications" => {
            server.add_service(NotificationsServer::new(Notifications::open(folder).await?))
        }
        _ => {
            let [users, stock, payments, notifications, ..] = all else {
                anyhow::bail!("orders call four services");
            };
            let others = Clients {
                users: Channels::to(&users.0, connections).await?,
                stock: Channels::to(&stock.0, connections).await?,
                payments: Channels::to(&payments.0, connections).await?,
                notifications: Channels::to(&notifications.0, connections).await?,
            };
            let orders = Arc::new(Orders::open(folder, others).await?);
            tokio::spawn(Arc::clone(&orders).work());
            server.add_service(OrdersServer::new(OrdersService(orders)))
        }
    };
    let sockets = TcpListenerStream::new(listen(address).await?).map(|socket| {
        let socket = socket?;
        socket.set_nodelay(true)?;
        Ok::<_, std::io::Error>(socket)
    });
    ready()?;
    server.serve_with_incoming(sockets).await.context(format!("the service {name}"))
}

/// The HTTP server in front of the services.
struct Front(Channels);

#[tonic::async_trait]
impl Place for Front {
    async fn place(&self, order: NewOrder) -> Result<Order, Status> {
        Ok(OrdersClient::new(self.0.next()).place(order).await?.into_inner())
    }
}

pub(in crate::order) async fn serve_front(
    address: Address,
    orders: &Address,
    connections: usize,
) -> anyhow::Result<()> {
    serve_http(address, Arc::new(Front(Channels::to(orders, connections).await?))).await
}
