//! The interface of the module `orders`.

use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::{Cents, Line, OrderId, Sku};
use thiserror::Error;

/// Placing orders and looking at them.
#[monolift::interface]
pub trait Orders {
    /// Places an order. Under one `Idempotency-Key` there is one order, however often it is sent.
    #[http(POST, "/orders", body = order)]
    async fn place(&self, order: NewOrder) -> Result<Order, OrdersError>;

    /// One order.
    #[http(GET, "/orders/{id}")]
    #[idempotent]
    async fn get(&self, id: OrderId) -> Result<Order, OrdersError>;

    /// The orders that this process placed last, newest first.
    #[http(GET, "/orders")]
    #[idempotent]
    async fn recent(
        &self,
        #[serde(default)] most: Option<u32>,
    ) -> Result<Vec<OrderId>, OrdersError>;
}

/// What a customer asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewOrder {
    /// Where the confirmation goes.
    pub email: String,
    /// What is bought.
    pub lines: Vec<Line>,
}

/// An order that was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Its number.
    pub id: OrderId,
    /// What it costs.
    pub total: Cents,
    /// When it was placed, in milliseconds since 1970.
    pub placed_at_ms: i64,
}

/// How a call of [`Orders`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum OrdersError {
    /// There is no such order.
    #[error("no order {0}")]
    #[status(404)]
    UnknownOrder(OrderId),
    /// An order has lines, and not too many.
    #[error("an order has between 1 and {0} lines")]
    WrongSize(usize),
    /// There is no such product.
    #[error("no product {0}")]
    UnknownProduct(Sku),
    /// There are fewer units than were asked for.
    #[error("{0} is sold out")]
    #[status(409)]
    SoldOut(Sku),
    /// The payment was declined, and nothing is held for the order.
    #[error("the payment was declined")]
    #[status(402)]
    Declined,
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
