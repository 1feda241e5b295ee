//! The interface of the module `stock`.

use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::{Cents, Line, OrderId, Sku};
use thiserror::Error;

/// Stock levels and reservations.
#[monolift::interface]
pub trait Stock {
    /// Units on hand for one product.
    #[http(GET, "/products/{sku}/stock")]
    #[idempotent]
    async fn level(&self, sku: Sku) -> Result<Level, StockError>;

    /// Holds units for an order. Repeating it changes nothing: the order id is the key.
    #[idempotent]
    async fn reserve(&self, order: OrderId, lines: Vec<Line>) -> Result<Reservation, StockError>;

    /// Puts back what was held for an order. Repeating it changes nothing.
    #[idempotent]
    async fn release(&self, order: OrderId) -> Result<(), StockError>;
}

/// What there is of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Level {
    /// Which product.
    pub sku: Sku,
    /// Its name.
    pub name: String,
    /// Units that nobody holds.
    pub on_hand: u32,
    /// What one costs.
    pub price: Cents,
}

/// Units that are held for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reservation {
    /// Which order.
    pub order: OrderId,
    /// What the held units cost together.
    pub total: Cents,
}

/// How a call of [`Stock`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    /// There is no such product.
    #[error("no product {0}")]
    #[status(404)]
    UnknownProduct(Sku),
    /// There are fewer units than were asked for.
    #[error("{0} is sold out")]
    #[status(409)]
    SoldOut(Sku),
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
