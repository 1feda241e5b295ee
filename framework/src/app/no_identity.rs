//! A program without the feature `identity`: its gateway takes no tokens.

use super::linked::ThisProcess;
use crate::module::StartError;
#[cfg(feature = "http")]
use crate::remote::Readiness;
#[cfg(feature = "http")]
use tokio::sync::watch;

/// None.
#[derive(Clone, Default)]
pub(super) struct Users;

impl Users {
    /// Refuses issuers that this program cannot ask.
    pub(super) fn start(place: &ThisProcess) -> Result<Self, StartError> {
        if place.manifest.identity.issuers.is_empty() || !place.takes_requests() {
            return Ok(Self);
        }
        Err(StartError::new(
            "`[identity.issuers]` names issuers of tokens, and this program is built without: turn on the feature \
             `identity` of `monolift` in its Cargo.toml",
        ))
    }

    /// No issuer is asked.
    #[cfg(feature = "http")]
    pub(super) fn found_in(&self, _: &axum::Router, _: watch::Receiver<Readiness>) {}

    /// `router` as it is.
    #[cfg(feature = "http")]
    pub(super) fn known_in(
        &self,
        router: axum::Router,
        _: &std::sync::Arc<crate::gateway::Front>,
    ) -> axum::Router {
        router
    }
}
