//! The interface of the module `carts`.

use monolift_call::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What customers are about to buy.
#[monolift_call::interface]
pub trait Carts {
    /// Puts some of one thing into a cart; the answer is what the cart costs then.
    #[http(POST, "/carts/{cart}")]
    async fn put(&self, cart: String, sku: String, quantity: i32) -> Result<i64, CartsError>;
}

/// How a call of [`Carts`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum CartsError {
    /// There is no such thing.
    #[error("{0} is not sold")]
    NotSold(String),
    /// A cart has at least one of each thing.
    #[error("at least one")]
    TooFew,
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
