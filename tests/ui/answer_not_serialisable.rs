use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    #[error(transparent)]
    Call(CallError),
}

pub struct Level(u32);

#[monolift::interface(module = "stock")]
pub trait Stock {
    async fn level(&self, sku: String) -> Result<Level, StockError>;
}

fn main() {}
