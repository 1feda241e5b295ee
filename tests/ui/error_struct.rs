use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
#[error("it failed")]
pub struct StockError(CallError);

fn main() {}
