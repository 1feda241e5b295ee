//! A program without the feature `data`: it has no database, so a job has nothing to apply.

use super::App;
use crate::module::StartErrors;

/// Checks what a start checks, and applies nothing.
pub(super) async fn migrate(app: App) -> Result<(), StartErrors> {
    app.checked_entries()?;
    println!(
        "no module has a database: this program is built without the feature `data` of `monolift`"
    );
    Ok(())
}
