//! A module's own start and stop.

use async_trait::async_trait;
use std::error::Error;

/// Work that a module does of its own, beside answering calls: `#[module(…, lifecycle)]`.
///
/// Work that goes on is spawned on [`super::Tasks`]. When the module's copy in this process is not
/// the one that its callers use, neither method is called.
#[async_trait]
pub trait Lifecycle: Send + Sync + 'static {
    /// Called when the module, and every module that it calls here, has been made. An error stops
    /// the process.
    async fn start(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    /// Called when no call is in flight any more, in reverse order of the start.
    async fn stop(&self) {}
}
