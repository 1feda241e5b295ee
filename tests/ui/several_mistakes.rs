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
    fn level(&mut self, sku: Option<&str>) -> u32;
    
    #[idempotent]
    #[http(GET, "products")]
    async fn list<T>(&self) -> Result<Vec<T>, StockError>;
}

fn main() {}
