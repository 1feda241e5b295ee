//! The parts that this program plays for itself, each in a process.

use crate::{
    fan_out,
    measured::Asked,
    order,
    process::{Where, say},
    remote::{self, Kind},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a process is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// Serves items; over mutual TLS where there is a folder with certificates.
    Serve(Kind, Where, Option<PathBuf>),
    /// Calls who serves items, whose process is named, on so many connections.
    Call(Kind, Where, Option<PathBuf>, u32, Option<usize>, Asked),
    /// One process of the fan-out.
    FanOut(fan_out::Part),
    /// One process of the shop's order.
    Order(order::Part),
}

/// Plays a part. One that serves ends with the process that started it.
///
/// # Errors
///
/// When it cannot.
pub async fn play(part: &str) -> anyhow::Result<()> {
    std::thread::spawn(|| {
        // Ready when it ends, whichever way.
        let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        std::process::exit(0);
    });
    match serde_json::from_str(part)? {
        Part::Serve(kind, at, tls) => remote::serve(kind, at.0, tls.as_deref()).await,
        Part::Call(kind, at, tls, server, connections, asked) => {
            let tls = tls.as_deref();
            say(&remote::call(kind, at.0, tls, connections, asked, server).await?)?;
            // What was called is still there, and has nothing more to say.
            std::process::exit(0);
        }
        Part::FanOut(part) => fan_out::play(part).await,
        Part::Order(part) => order::play(part).await,
    }
}
