//! The shop's order from end to end: the shop itself, and three versions written by hand.

mod by_hand;
mod ours;

pub use by_hand::SERVICES;
pub use ours::MODULES;

use crate::process::Where;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One process. Its databases are in a folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// A process of the shop.
    Ours {
        /// The manifest.
        manifest: String,
        /// The name of the process in the manifest.
        process: String,
        /// The folder of the databases.
        folder: PathBuf,
    },
    /// One axum program, written by hand, with the modules' tables and transactions and with
    /// function calls between them.
    Axum(Where, PathBuf),
    /// One axum program with one database, and one transaction for all of an order.
    OneTransaction(Where, PathBuf),
    /// One of five tonic services, written by hand, with the addresses of the others and the number
    /// of connections to each.
    Service(String, Where, Vec<Where>, usize, PathBuf),
    /// axum in front of the services.
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
