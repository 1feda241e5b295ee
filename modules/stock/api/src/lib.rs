//! The interface of the module `stock`.

use monolift_call::{CallError, InterfaceError, Page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::{Cents, Line, OrderId, Sku};
use thiserror::Error;

/// Products, what there is of them, and what is held for orders.
#[monolift_call::interface]
pub trait Stock {
    /// The products, by their numbers.
    #[http(GET, "/products")]
    #[idempotent]
    #[auth(public)]
    async fn products(
        &self,
        #[serde(default)]
        #[schemars(length(max = 200))]
        after: Option<String>,
        #[serde(default)]
        #[schemars(range(min = 1, max = 100))]
        limit: Option<u32>,
    ) -> Result<Page<Product>, StockError>;

    /// One product.
    #[http(GET, "/products/{sku}")]
    #[idempotent]
    #[auth(public)]
    async fn product(&self, sku: Sku) -> Result<Product, StockError>;

    /// Puts a product on the shelf.
    #[http(POST, "/products", body = product, created = "/products/{sku}")]
    #[auth(role = "staff")]
    async fn add(&self, product: Product) -> Result<Product, StockError>;

    /// Units that nobody holds, of one product.
    #[http(GET, "/products/{sku}/stock")]
    #[idempotent]
    #[auth(public)]
    async fn level(&self, sku: Sku) -> Result<Level, StockError>;

    /// Adds units of a product to the shelf.
    #[http(POST, "/products/{sku}/stock")]
    #[auth(role = "staff")]
    async fn restock(&self, sku: Sku, quantity: u32) -> Result<Level, StockError>;

    /// Holds units for an order, for a while. Repeating it changes nothing: the order is the key.
    #[idempotent]
    #[auth(user)]
    #[auth(service)]
    async fn reserve(
        &self,
        order: OrderId,
        #[schemars(length(max = 100))] lines: Vec<Line>,
    ) -> Result<Reservation, StockError>;

    /// Sells what is held for an order. Repeating it changes nothing.
    #[idempotent]
    #[auth(user)]
    #[auth(service)]
    async fn sell(&self, order: OrderId) -> Result<(), StockError>;

    /// Puts back what was held for an order, or sold to it, and holds nothing for it any more: also
    /// when it comes before the reservation that it undoes. Repeating it changes nothing.
    #[idempotent]
    #[auth(user)]
    #[auth(service)]
    async fn release(&self, order: OrderId) -> Result<(), StockError>;
}

/// Something that is sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// Its number.
    pub sku: Sku,
    /// Its name.
    #[schemars(length(max = 200))]
    pub name: String,
    /// What one costs.
    pub price: Cents,
    /// Units that nobody holds.
    pub on_hand: u32,
}

/// What there is of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Level {
    /// Which product.
    pub sku: Sku,
    /// Units that nobody holds.
    pub on_hand: u32,
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
    /// There is such a product already.
    #[error("there is a product {0} already")]
    #[status(409)]
    ProductExists(Sku),
    /// A product has a number, a name and a price, and no product has more units than can be counted.
    #[error("{0}")]
    WrongProduct(String),
    /// There are fewer units than were asked for.
    #[error("{0} is sold out")]
    #[status(409)]
    SoldOut(Sku),
    /// What was held for the order was released, or for too long: nothing can be held for it now.
    #[error("nothing is held for order {0} any more")]
    #[status(409)]
    Closed(OrderId),
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
