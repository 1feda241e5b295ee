//! The messages over HTTP and between the services.

use serde::{Deserialize, Serialize};

/// A new order.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct NewOrder {
    #[prost(string, tag = "1")]
    pub user: String,
    #[prost(message, repeated, tag = "2")]
    pub lines: Vec<Line>,
}

/// A number of units of a product.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Line {
    #[prost(string, tag = "1")]
    pub sku: String,
    #[prost(uint32, tag = "2")]
    pub quantity: u32,
}

/// A placed order.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Order {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub user: String,
    #[prost(message, repeated, tag = "3")]
    pub lines: Vec<Line>,
    #[prost(string, tag = "4")]
    pub state: String,
    #[prost(int64, tag = "5")]
    pub total: i64,
    #[prost(int64, tag = "6")]
    pub made_at_ms: i64,
}

/// The id of a customer or an order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Id {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// Some text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Text {
    #[prost(string, tag = "1")]
    pub text: String,
}

/// A reservation of units.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Reserve {
    #[prost(string, tag = "1")]
    pub order: String,
    #[prost(message, repeated, tag = "2")]
    pub lines: Vec<Line>,
}

/// What it costs.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Amount {
    #[prost(int64, tag = "1")]
    pub cents: i64,
}

/// A payment to authorise.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Authorise {
    #[prost(string, tag = "1")]
    pub order: String,
    #[prost(int64, tag = "2")]
    pub cents: i64,
}

/// A mail to send.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Mail {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub user: String,
    #[prost(string, tag = "3")]
    pub email: String,
    #[prost(string, tag = "4")]
    pub subject: String,
}

/// An empty message.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Done {}
