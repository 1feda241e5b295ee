//! The shop's order as a team would write it without Monolift: with the same tables and
//! transactions, and with functions or tonic calls between the parts of the shop.

mod book;
mod messages;
mod one_transaction;
mod orders;
mod parts;
mod services;

use self::{
    messages::{NewOrder, Order},
    orders::Orders,
    parts::Parts,
};
use crate::process::ready;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
    serve::ListenerExt,
};
use monolift_manifest::Address;
use std::{path::Path, sync::Arc};
use tokio::net::TcpListener;
use tonic::{Code, Status};

pub use services::SERVICES;
pub(super) use services::{serve_front, serve_service};

async fn listen(address: Address) -> anyhow::Result<TcpListener> {
    let Address::Tcp(address) = address else { anyhow::bail!("the shop is over TCP") };
    Ok(TcpListener::bind(address).await?)
}

/// Places an order.
#[tonic::async_trait]
trait Place: Send + Sync + 'static {
    async fn place(&self, order: NewOrder) -> Result<Order, Status>;
}

async fn post_order(
    State(shop): State<Arc<dyn Place>>,
    Json(order): Json<NewOrder>,
) -> Result<Json<Order>, Response> {
    shop.place(order).await.map(Json).map_err(|status| {
        let code = match status.code() {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::FailedPrecondition => StatusCode::CONFLICT,
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (code, status.message().to_owned()).into_response()
    })
}

async fn serve_http(address: Address, shop: Arc<dyn Place>) -> anyhow::Result<()> {
    let listener = listen(address).await?.tap_io(|socket| {
        // If the socket is closed already, the next read reports it.
        let _ = socket.set_nodelay(true);
    });
    let routes = Router::new().route("/orders", post(post_order)).with_state(shop);
    ready()?;
    Ok(axum::serve(listener, routes).await?)
}

/// One program with all parts.
pub(super) async fn serve(address: Address, folder: &Path) -> anyhow::Result<()> {
    let orders = Arc::new(Orders::open(folder, Parts::open(folder).await?).await?);
    tokio::spawn(Arc::clone(&orders).work());
    serve_http(address, orders).await
}

/// One program with one database and one transaction for each order.
pub(super) async fn serve_one_transaction(address: Address, folder: &Path) -> anyhow::Result<()> {
    serve_http(address, Arc::new(one_transaction::Shop::open(folder).await?)).await
}
