//! A program without the feature `data`: it has no database, so a job has nothing to apply.

use super::{App, log::Log};
use crate::module::StartErrors;

/// Checks what a start checks, and applies nothing.
pub(super) async fn migrate(app: App, log: &Log) -> Result<(), StartErrors> {
    app.checked_entries()?;
    log.say(
        "no module has a database: this program is built without the feature `data` of `monolift`",
    );
    Ok(())
}
