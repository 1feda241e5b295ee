//! What a gateway holds every request to, beside the limits of its connections.

use crate::{proxies::Proxies, rates::Rates, refused::RefusedRequests};
use std::{sync::Arc, time::Duration};

/// The part of a gateway that all requests pass.
#[derive(Debug)]
pub struct Front {
    /// How often one caller may ask.
    pub rates: Rates,
    /// Whose word is taken for who a client is.
    pub proxies: Proxies,
    /// How long the body of a request for a method's route may take.
    pub body_time: Duration,
    /// What was refused.
    pub refused: Arc<RefusedRequests>,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            proxies: Proxies::default(),
            body_time: Duration::from_secs(30),
            refused: Arc::default(),
        }
    }
}
