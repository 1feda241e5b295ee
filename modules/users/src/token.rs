//! What proves who a customer is: a signed JWT, which says it for a while.

use crate::keys::Key;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

/// The algorithm of every key.
pub(crate) const ALGORITHM: &str = "EdDSA";

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// What a token says. Times are seconds since 1970.
#[derive(Serialize)]
pub(crate) struct Claims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) aud: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) roles: Vec<&'a str>,
}

impl Claims<'_> {
    pub(crate) fn signed(&self, key: &Key) -> serde_json::Result<String> {
        let header = Header { alg: ALGORITHM, typ: "JWT", kid: &key.name };
        let (header, claims) = (serde_json::to_vec(&header)?, serde_json::to_vec(self)?);
        let mut token = format!("{}.{}", base64url(&header), base64url(&claims));
        let signature = base64url(&key.sign(token.as_bytes()));
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
