//! The request and the answer of every peer: one product, in a size that the caller chooses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A product. All peers use this type, so that only their transports differ.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The product's number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The product's stock keeping unit.
    #[prost(string, tag = "2")]
    pub sku: String,
    /// The product's name.
    #[prost(string, tag = "3")]
    pub title: String,
    /// The price in cents.
    #[prost(int64, tag = "4")]
    pub price_cents: i64,
    /// Units on hand.
    #[prost(uint32, tag = "5")]
    pub on_hand: u32,
    /// Filler text to reach the requested size.
    #[prost(string, tag = "6")]
    pub note: String,
}

/// The approximate size of an item without its note, in bytes.
const LEAST: usize = 40;

impl Item {
    /// The item with this number and about `size` bytes.
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

/// A request for an item.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// The item's number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The requested size, in bytes.
    #[prost(uint32, tag = "2")]
    pub size: u32,
}

/// Keeps the CPU busy for a millisecond.
pub fn burn() {
    let until = std::time::Instant::now() + SLOW;
    while std::time::Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// How long a slow call takes.
pub const SLOW: std::time::Duration = std::time::Duration::from_millis(1);

/// An empty message.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Nothing {}
