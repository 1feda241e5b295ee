//! The interface of the module `orders`.

use monolift_call::{CallError, InterfaceError, Page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::{Cents, Line, OrderId, Sku, UserId};
use thiserror::Error;

/// Placing orders, looking at them, and cancelling them. A customer has their own; for others there are none.
#[monolift_call::interface]
#[auth(user)]
pub trait Orders {
    /// Places an order: the units are held, and the payment is authorised, or nothing is.
    ///
    /// Under one `Idempotency-Key` a customer has one order, however often it is sent.
    #[http(POST, "/orders", body = order, created = "/orders/{id}", idempotency_key)]
    async fn place(&self, order: NewOrder) -> Result<Order, OrdersError>;

    /// One order.
    #[http(GET, "/orders/{id}")]
    #[idempotent]
    #[errors(UnknownOrder)]
    async fn get(&self, id: OrderId) -> Result<Order, OrdersError>;

    /// The orders of the customer who has logged in, by their numbers.
    #[http(GET, "/orders")]
    #[idempotent]
    #[errors()]
    async fn list(
        &self,
        user: UserId,
        #[serde(default)]
        #[schemars(length(max = 200))]
        after: Option<String>,
        #[serde(default)]
        #[schemars(range(min = 1, max = 100))]
        limit: Option<u32>,
    ) -> Result<Page<Order>, OrdersError>;

    /// Cancels an order: its units go back on the shelf, and its payment is given back.
    #[http(POST, "/orders/{id}/cancel")]
    #[idempotent]
    #[errors(UnknownOrder, NotPlaced)]
    async fn cancel(&self, id: OrderId) -> Result<Order, OrdersError>;
}

/// What a customer asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewOrder {
    /// Who orders: the customer who has logged in.
    pub user: UserId,
    /// What is bought.
    #[schemars(length(max = 100))]
    pub lines: Vec<Line>,
    /// The card that pays, as the payment provider knows it. Orders keep its last four characters.
    #[serde(default = "any_card")]
    #[schemars(length(max = 200))]
    pub card: String,
}

fn any_card() -> String {
    "card".to_owned()
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Its number.
    pub id: OrderId,
    /// Who ordered.
    pub user: UserId,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// How far it has come.
    pub state: OrderState,
    /// What it costs; 0 until that is known.
    pub total: Cents,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    /// It is being placed.
    Placing,
    /// It is placed.
    Placed,
    /// It was refused, and nothing is held or paid for it.
    Refused,
    /// It was cancelled by the customer.
    Cancelled,
}

/// An order was placed, or it was and is not any more: its customer has cancelled it, or it could not be fulfilled.
///
/// It is kept for ten years, so that a read model can be built anew from all orders.
#[monolift_call::event(key = order, subject = user, keep = "3650d")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderChanged {
    /// Which order.
    pub order: OrderId,
    /// Whose it is.
    pub user: UserId,
    /// What it is now: placed, cancelled or refused.
    pub state: OrderState,
    /// What was ordered. Earlier releases did not tell, nor what follows.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// What it costs.
    #[serde(default = "nothing")]
    pub total: Cents,
    /// When it was made, in milliseconds since 1970.
    #[serde(default)]
    pub made_at_ms: i64,
}

fn nothing() -> Cents {
    Cents(0)
}

/// How a call of [`Orders`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum OrdersError {
    /// There is no such order.
    #[error("no order {0}")]
    #[status(404)]
    UnknownOrder(OrderId),
    /// An order has lines, not too many, and at least one unit on each.
    #[error("an order has between 1 and {0} lines, and units on each")]
    WrongLines(usize),
    /// This key was used for another order.
    #[error("this idempotency key was used for another order")]
    #[status(409)]
    KeyReused,
    /// There is no such customer.
    #[error("no user {0}")]
    UnknownUser(UserId),
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
    /// It could not be placed in time, and nothing is held or paid for it.
    #[error("the order could not be placed in time")]
    #[status(409)]
    TookTooLong,
    /// Only an order that is placed can be cancelled.
    #[error("order {0} is not placed, and cannot be cancelled")]
    #[status(409)]
    NotPlaced(OrderId),
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use monolift_call::carry::codec;

    /// No customer can write orders that cannot be listed afterwards.
    #[test]
    fn the_longest_page_fits_into_a_frame() {
        // Four bytes a character are the most of UTF-8.
        let text = |characters: usize| "𝔵".repeat(characters);
        let line = Line { sku: Sku(text(64)), quantity: u32::MAX };
        let order = Order {
            id: OrderId(text(64)),
            user: UserId(text(64)),
            lines: vec![line; 100],
            state: OrderState::Cancelled,
            total: Cents(i64::MAX),
            made_at_ms: i64::MAX,
        };
        let most = Page::<Order>::MOST as usize;
        let page = Page { items: vec![order; most], next: Some(text(64)) };
        codec::encode(&page, codec::Bounds::default(), &mut Vec::new()).unwrap();
    }
}
