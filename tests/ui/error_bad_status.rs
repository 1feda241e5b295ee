use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    #[error("no product {0}")]
    #[status(200)]
    Unknown(String),
    #[error(transparent)]
    Call(CallError),
}

fn main() {}
