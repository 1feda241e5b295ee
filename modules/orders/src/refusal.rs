//! Why an order is refused: kept with it, and said again when the same request comes again.

use orders_api::OrdersError;
use payments_api::PaymentsError;
use serde::{Deserialize, Serialize};
use shop_types::{Sku, UserId};
use stock_api::StockError;
use users_api::UsersError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    UnknownUser(UserId),
    UnknownProduct(Sku),
    SoldOut(Sku),
    Declined,
    TookTooLong,
}

/// What one step of an order ends with, when it does not succeed.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The order is refused, whoever asks again.
    Refused(Refusal),
    /// Nobody knows yet: it is tried again.
    Unknown(OrdersError),
}

impl From<Refusal> for OrdersError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownUser(user) => Self::UnknownUser(user),
            Refusal::UnknownProduct(sku) => Self::UnknownProduct(sku),
            Refusal::SoldOut(sku) => Self::SoldOut(sku),
            Refusal::Declined => Self::Declined,
            Refusal::TookTooLong => Self::TookTooLong,
        }
    }
}

impl From<UsersError> for Stop {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::UnknownUser(user) => Self::Refused(Refusal::UnknownUser(user)),
            UsersError::Call(error) => Self::Unknown(error.into()),
            error => Self::Unknown(unexpected(&error)),
        }
    }
}

impl From<StockError> for Stop {
    fn from(error: StockError) -> Self {
        match error {
            StockError::UnknownProduct(sku) => Self::Refused(Refusal::UnknownProduct(sku)),
            StockError::SoldOut(sku) => Self::Refused(Refusal::SoldOut(sku)),
            // It was held for too long, or somebody has undone the order.
            StockError::Closed(_) => Self::Refused(Refusal::TookTooLong),
            StockError::Call(error) => Self::Unknown(error.into()),
            error => Self::Unknown(unexpected(&error)),
        }
    }
}

impl From<PaymentsError> for Stop {
    fn from(error: PaymentsError) -> Self {
        match error {
            PaymentsError::Declined(_) => Self::Refused(Refusal::Declined),
            PaymentsError::Closed(_) => Self::Refused(Refusal::TookTooLong),
            PaymentsError::Call(error) => Self::Unknown(error.into()),
            error => Self::Unknown(unexpected(&error)),
        }
    }
}

/// What a module should not say to what it was asked.
fn unexpected(error: &dyn std::error::Error) -> OrdersError {
    std::io::Error::other(error.to_string()).into()
}
