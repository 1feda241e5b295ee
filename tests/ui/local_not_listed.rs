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
    #[local]
    async fn reserve_in(&self, tx: LocalTx<'_>, order: u64) -> Result<(), StockError>;
}

// The package lists `Ledger::book`.
#[monolift::interface(module = "ledger")]
pub trait Ledger {
    async fn book(&self, order: u64) -> Result<(), StockError>;
}

fn main() {}
