//! The shop's own modules, as in `app-monolith` and `app-split`.

use crate::process::ready;
use monolift::app::{App, Linked, Program};
use std::path::PathBuf;

// These imports link the modules and their registrations.
use notifications as _;
use orders as _;
use payments as _;
use stock as _;
use users as _;

/// The shop's modules. A module comes after those that it calls or listens to: their processes start in this order, and
/// each has to be ready first.
pub const MODULES: [&str; 5] = ["users", "stock", "payments", "orders", "notifications"];

/// Runs one process of the manifest.
pub(super) async fn serve(
    manifest: String,
    process: String,
    folder: PathBuf,
) -> anyhow::Result<()> {
    // Leaked once, because `Linked` needs `'static` text.
    let (manifest, process): (&str, &str) = (manifest.leak(), process.leak());
    let app = App::new(Linked {
        manifest,
        file: "the benchmark's manifest",
        root: folder.to_string_lossy().into_owned().leak(),
        kind: Program::Process(process),
        modules: &MODULES,
        calls: &[
            ("orders", &["users", "stock", "payments"]),
            ("users", &[]),
            ("stock", &[]),
            ("payments", &[]),
            ("notifications", &["orders", "users"]),
        ],
        host_calls: &[],
        circles: &[],
        local_calls: &[],
    })?;
    let app = app.share("notifications", mailer::Mailer::new("shop@example.org"));
    let running = app.start().await?;
    running.ready().await;
    ready()?;
    std::future::pending().await
}
