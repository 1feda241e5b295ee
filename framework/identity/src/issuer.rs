//! The issuers that an application trusts, and the whole way from a token to a principal.

use crate::{
    Refused,
    claims::{Expected, Mapping, principal},
    fetch::{Fetch, is_trusted},
    keys::{Found, Keys, Pace, Source},
    token::{Invalid, LONGEST_TOKEN, Token},
    verified::{Fingerprint, Remembered, Verified},
};
use monolift_call::Principal;
use serde_json::Value;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// An issuer that is trusted.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// Its URL, as it stands in `iss`.
    pub issuer: String,
    /// What stands in `aud`: the application.
    pub audience: String,
    /// Where its keys are, if its own description at `/.well-known/openid-configuration` is not to be asked. A path such as
    /// `/keys` is for a [`Fetch`] that knows what it is a path of.
    pub jwks: Option<String>,
    /// Where a principal's parts are in its claims.
    pub mapping: Mapping,
    /// How often its keys are fetched.
    pub pace: Pace,
}

/// Why an issuer cannot be trusted as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says what it is in its text")]
pub enum ConfigError {
    #[error("`{0}` is described twice")]
    Twice(String),
    #[error(
        "`{0}`: expected a URL that begins with `https://`; `http://` is for this machine only"
    )]
    Url(String),
    #[error("the audience of `{0}` is empty")]
    Audience(String),
}

/// Who makes requests, as the trusted issuers say.
pub struct Identity {
    issuers: Vec<Issuer>,
    leeway: Duration,
    verified: Remembered,
}

struct Issuer {
    config: IssuerConfig,
    keys: Arc<Keys>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.issuers.iter().map(|issuer| &issuer.config.issuer)).finish()
    }
}

impl Identity {
    /// Begins to fetch the keys of `issuers`, and renews them until this is dropped. It waits for none of them.
    /// `leeway` is how far the clocks of issuers may be off.
    pub fn start(
        issuers: Vec<IssuerConfig>,
        leeway: Duration,
        fetch: Arc<dyn Fetch>,
    ) -> Result<Self, ConfigError> {
        let mut known: Vec<Issuer> = Vec::new();
        for config in issuers {
            let name = &config.issuer;
            if known.iter().any(|other| other.config.issuer == *name) {
                return Err(ConfigError::Twice(name.clone()));
            }
            let keys = config.jwks.as_ref().filter(|keys| !keys.starts_with('/'));
            let wrong = [Some(name), keys].into_iter().flatten().find(|url| !is_trusted(url));
            if let Some(url) = wrong {
                return Err(ConfigError::Url(url.clone()));
            }
            if config.audience.is_empty() {
                return Err(ConfigError::Audience(name.clone()));
            }
            let source = match &config.jwks {
                Some(url) => Source::At(url.clone()),
                None => Source::Discovered { issuer: name.clone() },
            };
            let keys = Keys::new(source, Arc::clone(&fetch), config.pace);
            known.push(Issuer { config, keys });
        }
        known.iter().for_each(|issuer| issuer.keys.keep_fresh());
        Ok(Self { issuers: known, leeway, verified: Remembered::default() })
    }

    /// The principal that a token is for.
    pub async fn verify(&self, token: &str) -> Result<Principal, Refused> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.verify_at(token, now).await
    }

    /// The same, at this time since 1970.
    pub async fn verify_at(&self, token: &str, now: Duration) -> Result<Principal, Refused> {
        if token.len() > LONGEST_TOKEN {
            return Err(Invalid::TooLong.into());
        }
        let fingerprint = Fingerprint::of(token);
        if let Some(known) = self.verified.find(&fingerprint, now)
            && self.issuers[known.issuer].keys.has(known.key_id.as_deref(), &known.key)
        {
            return Ok(known.principal.clone());
        }
        let verified = self.verify_anew(token, now).await?;
        let principal = verified.principal.clone();
        self.verified.keep(fingerprint, verified);
        Ok(principal)
    }

    async fn verify_anew(&self, token: &str, now: Duration) -> Result<Verified, Refused> {
        let token = Token::read(token)?;
        // Whose keys are to be looked at. That it is this issuer's follows from the signature, and is checked after it.
        let named = token.claims.get("iss").and_then(Value::as_str);
        let place = self.issuers.iter().position(|known| Some(&*known.config.issuer) == named);
        let place = place.ok_or(Invalid::Issuer)?;
        let Issuer { config, keys } = &self.issuers[place];
        let key = match keys.find(token.key_id.as_deref()).await {
            Found::Key(key) => key,
            Found::Unknown => return Err(Invalid::Key.into()),
            Found::NoneYet => return Err(Refused::Unavailable),
        };
        key.verify(&token.algorithm, token.signed, &token.signature)?;
        let IssuerConfig { issuer, audience, mapping, .. } = config;
        let expected = Expected { issuer, audience, now, leeway: self.leeway };
        let (principal, validity) = principal(&token.claims, &expected, mapping)?;
        Ok(Verified { principal, validity, issuer: place, key_id: token.key_id, key })
    }
}
