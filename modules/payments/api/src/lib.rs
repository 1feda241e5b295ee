//! The interface of the module `payments`.

use monolift_call::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::{Cents, OrderId};
use thiserror::Error;

/// Payments for orders. The order is the key of each: repeating a call changes nothing.
///
/// Orders call them on behalf of a customer, and in work of their own. A payment belongs to the customer on whose behalf it
/// was authorised; for others there is none.
#[monolift_call::interface]
#[auth(user)]
#[auth(service)]
pub trait Payments {
    /// Has the provider set an amount aside on a card.
    ///
    /// The pretend provider declines the card `decline` and amounts above a setting, and takes its
    /// time with the card `slow`.
    #[idempotent]
    #[deadline("30s")]
    async fn authorise(
        &self,
        order: OrderId,
        amount: Cents,
        #[schemars(length(max = 200))] card: String,
    ) -> Result<Payment, PaymentsError>;

    /// Takes what was set aside.
    #[idempotent]
    #[deadline("30s")]
    async fn capture(&self, order: OrderId) -> Result<Payment, PaymentsError>;

    /// Gives back what was taken or set aside, and takes nothing for this order any more: also when
    /// it comes before the authorisation that it undoes.
    #[idempotent]
    #[deadline("30s")]
    async fn refund(&self, order: OrderId) -> Result<(), PaymentsError>;

    /// How the payment for an order stands.
    #[http(GET, "/payments/{order}")]
    #[idempotent]
    #[errors(UnknownPayment)]
    async fn payment(&self, order: OrderId) -> Result<Payment, PaymentsError>;
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    /// For which order.
    pub order: OrderId,
    /// How much.
    pub amount: Cents,
    /// How far it has come.
    pub state: PaymentState,
}

/// How far a payment has come. It goes only forwards.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PaymentState {
    /// The amount is set aside.
    Authorised,
    /// It was taken.
    Captured,
    /// It was given back, or will never be taken.
    Refunded,
}

/// How a call of [`Payments`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum PaymentsError {
    /// The provider does not take it.
    #[error("the payment of {0} was declined")]
    #[status(402)]
    Declined(Cents),
    /// There is no payment for this order.
    #[error("no payment for order {0}")]
    #[status(404)]
    UnknownPayment(OrderId),
    /// The payment was given back: nothing is taken for this order any more.
    #[error("the payment for order {0} is closed")]
    #[status(409)]
    Closed(OrderId),
    /// Another amount is set aside for this order.
    #[error("another amount is set aside for order {0}")]
    #[status(409)]
    OtherAmount(OrderId),
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
