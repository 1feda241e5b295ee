//! What every peer is asked for: one product, of a size that the caller chooses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A product. One type for all peers, so that only the way differs that it goes.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its name in the shop's books.
    #[prost(string, tag = "2")]
    pub sku: String,
    /// Its name in the shop's window.
    #[prost(string, tag = "3")]
    pub title: String,
    /// What it costs.
    #[prost(int64, tag = "4")]
    pub price_cents: i64,
    /// Units on hand.
    #[prost(uint32, tag = "5")]
    pub on_hand: u32,
    /// As much text as it takes to be of the size that was asked for.
    #[prost(string, tag = "6")]
    pub note: String,
}

/// What the numbers and names of an item come to, nearly.
const LEAST: usize = 40;

impl Item {
    /// The item of this number, of about `size` bytes.
    pub fn of(id: u64, size: u32) -> Self {
        Self {
            id,
            sku: format!("tea-{id:06}"),
            title: "Green tea, loose".to_owned(),
            price_cents: 450,
            on_hand: 17,
            note: "n".repeat((size as usize).saturating_sub(LEAST)),
        }
    }
}

/// What is asked of a peer.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// The item's number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its size.
    #[prost(uint32, tag = "2")]
    pub size: u32,
}

/// Works for a millisecond, without a pause.
pub fn burn() {
    let until = std::time::Instant::now() + SLOW;
    while std::time::Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// How long a slow call takes.
pub const SLOW: std::time::Duration = std::time::Duration::from_millis(1);

/// Nothing to say.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Nothing {}
