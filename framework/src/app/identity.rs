//! Who makes requests: the issuers of the manifest, whose tokens the gateway takes.

use super::linked::ThisProcess;
use crate::{
    Principal,
    gateway::{Authenticate, Front, Unproven, authenticated},
    module::StartError,
};
use futures_util::future::BoxFuture;
use monolift_identity::{Https, Identity, IssuerConfig, Mapping, Pace, Refused};
use monolift_manifest::IssuerKeys;
use std::sync::Arc;

/// The users that requests are made by. None where the manifest names no issuer.
#[derive(Clone, Default)]
pub(super) struct Users(Option<Arc<dyn Authenticate>>);

struct Tokens(Identity);

impl Authenticate for Tokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Principal, Unproven>> {
        Box::pin(async move {
            self.0.verify(token).await.map_err(|refused| match refused {
                Refused::Invalid(why) => Unproven::Invalid(why.to_string()),
                Refused::Unavailable => Unproven::Unavailable(refused.to_string()),
            })
        })
    }
}

impl Users {
    /// Begins to fetch the keys of the issuers, where requests come in.
    pub(super) fn start(place: &ThisProcess) -> Result<Self, StartError> {
        let identity = &place.manifest.identity;
        if identity.issuers.is_empty() || !place.takes_requests() {
            return Ok(Self::default());
        }
        let issuers = identity.issuers.iter().map(|(name, keys)| {
            issuer(keys).ok_or_else(|| {
                StartError::new(format!(
                    "`identity.issuers.{name}` does not say `issuer` and `audience`"
                ))
            })
        });
        let issuers = issuers.collect::<Result<_, _>>()?;
        let started = Identity::start(issuers, identity.keys.leeway, Arc::new(Https::default()));
        let identity = started.map_err(|error| {
            StartError::new("the issuers of `[identity]` cannot be trusted").because(error)
        })?;
        Ok(Self(Some(Arc::new(Tokens(identity)))))
    }

    /// `router`, with the user of each request's token.
    pub(super) fn known_in(&self, router: axum::Router, front: &Arc<Front>) -> axum::Router {
        match &self.0 {
            Some(tokens) => authenticated(router, Arc::clone(tokens), Arc::clone(front)),
            None => router,
        }
    }
}

fn issuer(keys: &IssuerKeys) -> Option<IssuerConfig> {
    let claims = keys.claims.iter().flat_map(|claims| claims.split_whitespace());
    Some(IssuerConfig {
        issuer: keys.issuer.clone()?,
        audience: keys.audience.clone()?,
        jwks: keys.jwks.clone(),
        mapping: Mapping {
            roles: keys.roles.clone(),
            scopes: keys.scopes.clone(),
            tenant: keys.tenant.clone(),
            claims: claims.map(str::to_owned).collect(),
        },
        pace: Pace::default(),
    })
}
