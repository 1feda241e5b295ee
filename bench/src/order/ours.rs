//! The shop's own modules, as `app-monolith` and `app-split` have them.

use crate::process::ready;
use monolift::app::{App, Kind, Linked};
use std::path::PathBuf;

// What links them, with all that they register.
use notifications as _;
use orders as _;
use payments as _;
use stock as _;
use users as _;

/// The shop's modules, those that are called before those that call.
pub const MODULES: [&str; 5] = ["users", "stock", "payments", "notifications", "orders"];

/// Serves as one process of the manifest.
pub(super) async fn serve(
    manifest: String,
    process: String,
    folder: PathBuf,
) -> anyhow::Result<()> {
    // A program has one for as long as it runs.
    let (manifest, process): (&str, &str) = (manifest.leak(), process.leak());
    let app = App::new(Linked {
        manifest,
        file: "the benchmark's manifest",
        root: folder.to_string_lossy().into_owned().leak(),
        kind: Kind::Process(process),
        modules: &MODULES,
        calls: &[
            ("orders", &["users", "stock", "payments", "notifications"]),
            ("users", &[]),
            ("stock", &[]),
            ("payments", &[]),
            ("notifications", &[]),
        ],
        host_calls: &[],
        circles: &[],
    })?;
    let app = app.share("notifications", mailer::Mailer::new("shop@example.org"));
    let running = app.start().await?;
    running.ready().await;
    ready()?;
    std::future::pending().await
}
