//! The interface of the module `prices`.

use monolift_call::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What things cost.
#[monolift_call::interface]
pub trait Prices {
    /// The price of one thing.
    #[http(GET, "/prices/{sku}")]
    #[idempotent]
    async fn price(&self, sku: String) -> Result<Price, PricesError>;
}

/// A price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Of one, in the currency's smallest unit.
    pub cents: i32,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// How a call of [`Prices`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum PricesError {
    /// There is no such thing, or it is not sold now.
    #[error("no price for {0}")]
    #[status(404)]
    Unknown(String),
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
