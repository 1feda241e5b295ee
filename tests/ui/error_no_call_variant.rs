use monolift::InterfaceError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    #[error("no product {0}")]
    Unknown(String),
}

fn main() {}
