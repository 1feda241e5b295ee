//! One request that calls four modules: a page of the shop with the title, the price, the stock and
//! the ratings of a product. There is no database, so only the calls between the modules are
//! measured.

mod by_hand;
mod ours;

use crate::process::Where;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One process of the fan-out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// A process of the Monolift application.
    Ours {
        /// The manifest.
        manifest: String,
        /// The name of the process in the manifest.
        process: String,
    },
    /// One axum program, written by hand.
    Axum(Where),
    /// One of the four as a tonic service, written by hand.
    Service(String, Where),
    /// axum in front of four tonic services, written by hand, with this number of connections to
    /// each.
    Front(Where, Vec<Where>, usize),
}

/// The four modules.
pub const MODULES: [&str; 4] = ["titles", "prices", "shelf", "stars"];

/// Plays one of the parts.
///
/// # Errors
///
/// When it cannot.
pub async fn play(part: Part) -> anyhow::Result<()> {
    match part {
        Part::Ours { manifest, process } => ours::serve(manifest, process).await,
        Part::Axum(at) => by_hand::serve(at.0).await,
        Part::Service(module, at) => by_hand::serve_one(&module, at.0).await,
        Part::Front(at, services, connections) => {
            by_hand::serve_front(at.0, &services, connections).await
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    /// The title.
    pub title: Title,
    /// The price.
    pub price: Price,
    /// The stock.
    pub shelf: Shelf,
    /// The ratings.
    pub stars: Stars,
}

/// The product that a page is about.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Which {
    /// The product's number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// A product's title.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Title {
    /// The product's number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The product's name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// A product's price.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// The price in cents.
    #[prost(int64, tag = "1")]
    pub cents: i64,
}

/// A product's stock.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Shelf {
    /// The units in stock.
    #[prost(uint32, tag = "1")]
    pub units: u32,
}

/// A product's ratings.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Stars {
    /// The mean rating, in tenths.
    #[prost(uint32, tag = "1")]
    pub tenths: u32,
    /// The latest review.
    #[prost(string, tag = "2")]
    pub words: String,
}

impl Title {
    fn of(id: u64) -> Self {
        Self { id, name: format!("Green tea, loose, number {id}") }
    }
}

impl Price {
    fn of(id: u64) -> Self {
        Self { cents: 400 + (id % 100) as i64 }
    }
}

impl Shelf {
    fn of(id: u64) -> Self {
        Self { units: (id % 50) as u32 }
    }
}

impl Stars {
    fn of(id: u64) -> Self {
        Self { tenths: 30 + (id % 20) as u32, words: "It is good tea.".to_owned() }
    }
}
