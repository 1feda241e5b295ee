//! The fan-out as a team would write it without Monolift: as one axum program, and as axum in front
//! of four tonic services.

use super::{Page, Price, Shelf, Stars, Title, Which};
use crate::{
    process::{Where, ready},
    remote::tonic_channels,
};
use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
    serve::ListenerExt,
};
use monolift_manifest::Address;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::net::TcpListener;
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server},
};

#[allow(missing_docs, clippy::all, rust_2018_idioms, reason = "it is generated")]
mod glue {
    include!(concat!(env!("OUT_DIR"), "/bench.Titles.rs"));
    include!(concat!(env!("OUT_DIR"), "/bench.Prices.rs"));
    include!(concat!(env!("OUT_DIR"), "/bench.Shelves.rs"));
    include!(concat!(env!("OUT_DIR"), "/bench.Ratings.rs"));
}

use glue::{
    prices_client::PricesClient, prices_server, ratings_client::RatingsClient, ratings_server,
    shelves_client::ShelvesClient, shelves_server, titles_client::TitlesClient, titles_server,
};

struct Service;

/// Implements one of the services.
macro_rules! service {
    ($module:ident :: $trait:ident, $answer:ty) => {
        #[tonic::async_trait]
        impl $module::$trait for Service {
            async fn of(&self, which: Request<Which>) -> Result<Response<$answer>, Status> {
                Ok(Response::new(<$answer>::of(which.into_inner().id)))
            }
        }
    };
}

service!(titles_server::Titles, Title);
service!(prices_server::Prices, Price);
service!(shelves_server::Shelves, Shelf);
service!(ratings_server::Ratings, Stars);

async fn listen(address: Address) -> anyhow::Result<TcpListener> {
    let Address::Tcp(address) = address else { anyhow::bail!("the fan-out is over TCP") };
    Ok(TcpListener::bind(address).await?)
}

async fn serve_http(address: Address, routes: Router) -> anyhow::Result<()> {
    let listener = listen(address).await?.tap_io(|socket| {
        // If the socket is closed already, the next read reports it.
        let _ = socket.set_nodelay(true);
    });
    ready()?;
    Ok(axum::serve(listener, routes).await?)
}

/// One program that calls all four as functions.
pub(super) async fn serve(address: Address) -> anyhow::Result<()> {
    let page = |Path(id): Path<u64>| async move {
        Json(Page {
            title: Title::of(id),
            price: Price::of(id),
            shelf: Shelf::of(id),
            stars: Stars::of(id),
        })
    };
    serve_http(address, Router::new().route("/pages/{id}", get(page))).await
}

/// One of the four as a service.
pub(super) async fn serve_one(module: &str, address: Address) -> anyhow::Result<()> {
    let mut server = Server::builder();
    let server = match module {
        "titles" => server.add_service(titles_server::TitlesServer::new(Service)),
        "prices" => server.add_service(prices_server::PricesServer::new(Service)),
        "shelf" => server.add_service(shelves_server::ShelvesServer::new(Service)),
        _ => server.add_service(ratings_server::RatingsServer::new(Service)),
    };
    let sockets = TcpListenerStream::new(listen(address).await?).map(|socket| {
        let socket = socket?;
        socket.set_nodelay(true)?;
        Ok::<_, std::io::Error>(socket)
    });
    ready()?;
    Ok(server.serve_with_incoming(sockets).await?)
}

/// Clients of all four services.
#[derive(Clone)]
struct Clients {
    titles: TitlesClient<Channel>,
    prices: PricesClient<Channel>,
    shelf: ShelvesClient<Channel>,
    stars: RatingsClient<Channel>,
}

struct Front {
    clients: Vec<Clients>,
    next: AtomicUsize,
}

async fn page(
    State(front): State<Arc<Front>>,
    Path(id): Path<u64>,
) -> Result<Json<Page>, StatusCode> {
    let number = front.next.fetch_add(1, Relaxed) % front.clients.len();
    let Clients { mut titles, mut prices, mut shelf, mut stars } = front.clients[number].clone();
    let which = Which { id };
    let all =
        tokio::try_join!(titles.of(which), prices.of(which), shelf.of(which), stars.of(which));
    let (title, price, shelf, stars) = all.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(Json(Page {
        title: title.into_inner(),
        price: price.into_inner(),
        shelf: shelf.into_inner(),
        stars: stars.into_inner(),
    }))
}

/// The HTTP server in front of the four services.
pub(super) async fn serve_front(
    address: Address,
    services: &[Where],
    connections: usize,
) -> anyhow::Result<()> {
    let mut channels = Vec::new();
    for service in services {
        channels.push(tonic_channels(&service.0, connections, None).await?.into_iter());
    }
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut next = |at: usize| channels[at].next().context("a channel for each");
        clients.push(Clients {
            titles: TitlesClient::new(next(0)?),
            prices: PricesClient::new(next(1)?),
            shelf: ShelvesClient::new(next(2)?),
            stars: RatingsClient::new(next(3)?),
        });
    }
    let front = Front { clients, next: AtomicUsize::new(0) };
    serve_http(address, Router::new().route("/pages/{id}", get(page)).with_state(Arc::new(front)))
        .await
}
