//! What is done about an order after it was written down: to its end, whoever dies in between.
//!
//! An order is decided once, by one conditional update: placed or refused. Each decision enqueues
//! what follows from it in the same transaction. Stock and payments take each step once for each
//! order, and close it for good when it is undone; so these may run twice, at once, and late.

use monolift::{Circuit, Piece, Retry};
use serde::{Deserialize, Serialize};
use shop_types::OrderId;
use std::time::Duration;

/// Orders are waited for: tried often, and for hours before they are parked.
const RETRY: Retry =
    Retry { first: Duration::from_millis(500), most: Duration::from_secs(5), attempts: 5_000 };

/// Decides about an order whose caller went away, or died: it is placed if it has been paid.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settle {
    /// Which order.
    pub order: OrderId,
}

/// Refuses an order that could not be placed in time. It calls no other module, so that orders are
/// decided while one fails.
#[derive(Debug, Serialize, Deserialize)]
pub struct GiveUp {
    /// Which order.
    pub order: OrderId,
}

/// Takes the payment of an order that is placed, and sells its units.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fulfil {
    /// Which order.
    pub order: OrderId,
}

/// Gives everything back of an order that is refused or cancelled.
#[derive(Debug, Serialize, Deserialize)]
pub struct Undo {
    /// Which order.
    pub order: OrderId,
}

impl Piece for Settle {
    const NAME: &'static str = "settle";
    const RETRY: Retry = RETRY;
    const DEADLINE: Duration = Duration::from_secs(10);
}

impl Piece for GiveUp {
    const NAME: &'static str = "give-up";
    const RETRY: Retry = RETRY;
    const DEADLINE: Duration = Duration::from_secs(10);
}

impl Piece for Fulfil {
    const NAME: &'static str = "fulfil";
    const RETRY: Retry = RETRY;
    const DEADLINE: Duration = Duration::from_secs(10);
}

impl Piece for Undo {
    const NAME: &'static str = "undo";
    const RETRY: Retry = RETRY;
    // Nobody waits for it: the module that comes back serves those who do.
    const CIRCUIT: Circuit = Circuit { release: Duration::from_secs(60), ..Circuit::DEFAULT };
    const DEADLINE: Duration = Duration::from_secs(10);
}
