//! The interface of the module `reports`.

use monolift_call::{CallError, InterfaceError, Page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::{Cents, OrderId, Sku, UserId};
use thiserror::Error;

/// What was sold, and what each customer bought.
#[monolift_call::interface]
pub trait Reports {
    /// The units sold on a day, by product. Cancelled orders do not count.
    #[http(GET, "/reports/sales")]
    #[idempotent]
    #[auth(role = "staff")]
    async fn sales(
        &self,
        #[schemars(length(max = 10))] day: String,
        #[serde(default)]
        #[schemars(length(max = 200))]
        after: Option<String>,
        #[serde(default)]
        #[schemars(range(min = 1, max = 100))]
        limit: Option<u32>,
    ) -> Result<Page<Sale>, ReportsError>;

    /// What a customer bought, by the numbers of the orders, with the names of the products. For themselves.
    #[http(GET, "/reports/history")]
    #[idempotent]
    #[auth(user)]
    async fn history(
        &self,
        user: UserId,
        #[serde(default)]
        #[schemars(length(max = 200))]
        after: Option<String>,
        #[serde(default)]
        #[schemars(range(min = 1, max = 100))]
        limit: Option<u32>,
    ) -> Result<Page<Purchase>, ReportsError>;
}

/// The units of a product that were sold on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sale {
    /// Which product.
    pub sku: Sku,
    /// Its name, when it was sold last.
    pub name: String,
    /// How many were sold.
    pub units: i64,
}

/// An order of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Purchase {
    /// Which order.
    pub order: OrderId,
    /// The day on which it was made, in UTC: `2026-11-27`.
    pub day: String,
    /// What it cost.
    pub total: Cents,
    /// Whether it was cancelled, or could not be fulfilled.
    pub cancelled: bool,
    /// What was bought.
    pub lines: Vec<Bought>,
}

/// Some units of a product, with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bought {
    /// Which product.
    pub sku: Sku,
    /// Its name.
    pub name: String,
    /// How many.
    pub quantity: u32,
}

/// How a call of [`Reports`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ReportsError {
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
