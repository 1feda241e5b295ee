//! A program without the feature `sqlite`: it opens no file.

use crate::{Backend, Location, OpenError};
use std::fs::File;

/// There is nothing to prepare: a server has the database.
pub(super) async fn prepare(_: &Location, _: Backend) -> Result<Option<File>, OpenError> {
    Ok(None)
}
