//! A program without the feature `otlp`: its traces stay in it.

use super::{ThisProcess, admin::Observed};
use crate::module::StartError;
use tokio::time::Instant;

/// There is none.
#[derive(Debug)]
pub(super) enum Exporting {}

impl Exporting {
    pub(super) fn start(place: &ThisProcess, _: &Observed) -> Result<Option<Self>, StartError> {
        match place.manifest.otlp.endpoint {
            None => Ok(None),
            Some(_) => Err(StartError::new(
                "`observe.otlp.endpoint` is set, and this program is built without it: turn on the feature `otlp` of \
                 `monolift` in its Cargo.toml",
            )),
        }
    }

    pub(super) async fn stop(self, _: Instant) {
        match self {}
    }
}
