use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    #[error(transparent)]
    Call(#[from] CallError),
}

fn main() {}
