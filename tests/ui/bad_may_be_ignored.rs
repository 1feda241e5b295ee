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
    #[may_be_ignored]
    async fn level(&self, sku: String) -> Result<u32, StockError>;

    async fn find(
        &self,
        #[may_be_ignored = true] text: String,
        #[may_be_ignored]
        #[may_be_ignored]
        language: Option<String>,
        #[may_be_dropped] most: Option<u32>,
    ) -> Result<u32, StockError>;
}

fn main() {}
