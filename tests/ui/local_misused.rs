use monolift::{CallError, InterfaceError, LocalTx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum StockError {
    #[error(transparent)]
    Call(CallError),
}

#[monolift::interface(module = "stock")]
pub trait Stock {
    async fn no_attribute(&self, tx: LocalTx<'_>) -> Result<(), StockError>;

    #[local]
    async fn no_transaction(&self, order: u64) -> Result<(), StockError>;

    #[local]
    async fn two(&self, tx: LocalTx<'_>, other: LocalTx<'_>) -> Result<(), StockError>;

    #[local]
    #[http(POST, "/reservations")]
    async fn routed(&self, tx: LocalTx<'_>) -> Result<(), StockError>;

    #[local]
    #[idempotent]
    #[limit(4)]
    async fn sent(&self, tx: LocalTx<'_>) -> Result<(), StockError>;
}

fn main() {}
