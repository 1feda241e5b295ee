use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    #[error("no product {0}")]
    #[status(44)]
    Unknown(String),
    #[error(transparent)]
    Call(CallError),
}

#[monolift::interface(module = "stock")]
pub trait Stock {
    async fn level(&self, sku: String) -> Result<u32, StockError>;
}

fn main() {}
