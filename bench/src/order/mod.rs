//! The shop's order, end to end: by the shop itself, and by hand in three ways.

mod by_hand;
mod ours;

pub use by_hand::SERVICES;
pub use ours::MODULES;

use crate::process::Where;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One process of it. Each has its databases in a folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// A process of the shop with this manifest.
    Ours {
        /// The manifest.
        manifest: String,
        /// Which process of it.
        process: String,
        /// Where the databases are.
        folder: PathBuf,
    },
    /// One axum program, by hand: the modules' tables and transactions, and functions between them.
    Axum(Where, PathBuf),
    /// The same with one database, and one transaction for all of an order.
    OneTransaction(Where, PathBuf),
    /// One of five tonic services, by hand, and where the others are, with so many connections to
    /// each.
    Service(String, Where, Vec<Where>, usize, PathBuf),
    /// axum before them.
    Front(Where, Where, usize),
}

/// Plays one of the parts.
///
/// # Errors
///
/// When it cannot.
pub async fn play(part: Part) -> anyhow::Result<()> {
    match part {
        Part::Ours { manifest, process, folder } => ours::serve(manifest, process, folder).await,
        Part::Axum(at, folder) => by_hand::serve(at.0, &folder).await,
        Part::OneTransaction(at, folder) => by_hand::serve_one_transaction(at.0, &folder).await,
        Part::Service(name, at, all, connections, folder) => {
            by_hand::serve_service(&name, at.0, &all, connections, &folder).await
        }
        Part::Front(at, orders, connections) => {
            by_hand::serve_front(at.0, &orders.0, connections).await
        }
    }
}
