//! Tokens, and the extractors that read them.
//!
//! A token is `<user>.<expires>.<signature>`: the signature is the HMAC-SHA256 of what is before it, in hex.

use crate::{AppState, error::AppError};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{header::AUTHORIZATION, request::Parts},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub struct Tokens {
    key: Hmac<Sha256>,
    lifetime: Duration,
}

impl Tokens {
    pub fn new(secret: &str, lifetime: Duration) -> Self {
        let key = Hmac::new_from_slice(secret.as_bytes()).expect("any length is a key");
        Self { key, lifetime }
    }

    pub fn issue(&self, user: i64) -> String {
        let expires = now() + self.lifetime.as_secs();
        let claims = format!("{user}.{expires}");
        let signature = self.key.clone().chain_update(&claims).finalize().into_bytes();
        format!("{claims}.{}", hex::encode(signature))
    }

    /// The user of a token that is valid now.
    pub fn user_of(&self, token: &str) -> Option<i64> {
        let (claims, signature) = token.rsplit_once('.')?;
        let signature = hex::decode(signature).ok()?;
        self.key.clone().chain_update(claims).verify_slice(&signature).ok()?;
        let (user, expires) = claims.split_once('.')?;
        let expires: u64 = expires.parse().ok()?;
        if expires > now() { user.parse().ok() } else { None }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The user who makes the request. The account is still there.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn(pub i64);

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let header = parts.headers.get(AUTHORIZATION).ok_or(AppError::Unauthorized)?;
        let token = header.to_str().ok().and_then(|header| header.strip_prefix("Token "));
        let user = token.and_then(|token| state.tokens.user_of(token));
        let user = user.ok_or(AppError::Unauthorized)?;
        let found: Option<(i64,)> = sqlx::query_as("SELECT id FROM users WHERE id = $1")
            .bind(user)
            .fetch_optional(&state.pool)
            .await?;
        found.map(|(user,)| Self(user)).ok_or(AppError::Unauthorized)
    }
}

/// `Option<SignedIn>`: a request may have no token. If it has one, the token must be valid.
impl OptionalFromRequestParts<AppState> for SignedIn {
    type Rejection = AppError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Option<Self>, AppError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        let signed_in = <Self as FromRequestParts<AppState>>::from_request_parts(parts, state);
        signed_in.await.map(Some)
    }
}

/// The user's number, or NULL.
pub fn id(viewer: Option<SignedIn>) -> Option<i64> {
    viewer.map(|SignedIn(user)| user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_as_issued_and_not_otherwise() {
        let tokens = Tokens::new("a secret of sixteen", Duration::from_secs(60));
        let token = tokens.issue(7);
        assert_eq!(tokens.user_of(&token), Some(7));
        assert_eq!(tokens.user_of(&token.replacen('7', "8", 1)), None);
        assert_eq!(tokens.user_of(&token[..token.len() - 2]), None);
        assert_eq!(Tokens::new("another secret!!", Duration::ZERO).user_of(&token), None);
        let expired = Tokens::new("a secret of sixteen", Duration::ZERO).issue(7);
        assert_eq!(tokens.user_of(&expired), None);
    }
}
