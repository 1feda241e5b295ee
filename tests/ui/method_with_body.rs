use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    #[error(transparent)]
    Call(CallError),
}

#[monolift::interface(module = "stock")]
pub trait Stock {
    async fn level(&self, sku: String) -> Result<u32, StockError> {
        Ok(0)
    }
}

fn main() {}
