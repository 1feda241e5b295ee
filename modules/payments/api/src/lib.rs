//! The interface of the module `payments`.

use monolift::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::{Cents, OrderId};
use thiserror::Error;

/// Charges for orders.
#[monolift::interface]
pub trait Payments {
    /// Charges an order once. Repeating it changes nothing: the order id is the key.
    #[idempotent]
    #[deadline("30s")]
    async fn charge(&self, order: OrderId, amount: Cents) -> Result<Receipt, PaymentsError>;
}

/// A charge that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// For which order.
    pub order: OrderId,
    /// How much.
    pub amount: Cents,
}

/// How a call of [`Payments`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum PaymentsError {
    /// The provider does not take it.
    #[error("the payment of {} cents was declined", .0.0)]
    #[status(402)]
    Declined(Cents),
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
