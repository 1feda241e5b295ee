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
    #[limit(0)]
    async fn none(&self) -> Result<u32, StockError>;

    #[limit(4294967296)]
    async fn too_many(&self) -> Result<u32, StockError>;

    #[limit("4")]
    async fn no_number(&self) -> Result<u32, StockError>;

    #[limits(4)]
    async fn misspelt(&self) -> Result<u32, StockError>;
}

fn main() {}
