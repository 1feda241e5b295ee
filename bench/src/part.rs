//! The roles that this program plays in processes of its own.

use crate::{
    fan_out,
    measured::Asked,
    order,
    process::{Where, say},
    remote::{self, Kind},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The role of a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// Serves items. If there is a folder with certificates, over mutual TLS.
    Serve(Kind, Where, Option<PathBuf>),
    /// Calls a server of items, whose process id is given, over this number of connections.
    Call(Kind, Where, Option<PathBuf>, u32, Option<usize>, Asked),
    /// One process of the fan-out.
    FanOut(fan_out::Part),
    /// One process of the shop's order.
    Order(order::Part),
}

/// Plays a role. A server ends with the process that started it.
///
/// # Errors
///
/// If it fails.
pub async fn play(part: &str) -> anyhow::Result<()> {
    std::thread::spawn(|| {
        // Returns when the parent process ends, because standard input is closed then.
        let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        std::process::exit(0);
    });
    match serde_json::from_str(part)? {
        Part::Serve(kind, at, tls) => remote::serve(kind, at.0, tls.as_deref()).await,
        Part::Call(kind, at, tls, server, connections, asked) => {
            let tls = tls.as_deref();
            say(&remote::call(kind, at.0, tls, connections, asked, server).await?)?;
            // Exits without closing the connections, because the server may not answer any more.
            std::process::exit(0);
        }
        Part::FanOut(part) => fan_out::play(part).await,
        Part::Order(part) => order::play(part).await,
    }
}
