//! One request that asks four modules: a page of the shop, with what it is, what it costs, what is on
//! the shelf and what people say. No database, so that only the ways between them count.

mod by_hand;
mod ours;

use crate::process::Where;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One process of the fan-out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// A process of the Monolift application with this manifest.
    Ours {
        /// The manifest.
        manifest: String,
        /// Which process of it.
        process: String,
    },
    /// One axum program, by hand.
    Axum(Where),
    /// One of the four as a tonic service, by hand.
    Service(String, Where),
    /// axum before four tonic services, by hand: with so many connections to each.
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
    /// What it is.
    pub title: Title,
    /// What it costs.
    pub price: Price,
    /// What is there.
    pub shelf: Shelf,
    /// What people say.
    pub stars: Stars,
}

/// Of which product.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Which {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// What it is.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Title {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// What it costs.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// In cents.
    #[prost(int64, tag = "1")]
    pub cents: i64,
}

/// What is there.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Shelf {
    /// Units.
    #[prost(uint32, tag = "1")]
    pub units: u32,
}

/// What people say.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, JsonSchema)]
pub struct Stars {
    /// The mean, in tenths.
    #[prost(uint32, tag = "1")]
    pub tenths: u32,
    /// The last words.
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
