//! The form of a token: three parts, a header that asks for nothing unusual, and a signature.

use crate::json;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// The longest token that is looked at, in bytes.
pub const LONGEST_TOKEN: usize = 8 * 1024;

/// Members of a header that would have the token say what it is to be checked with, or that change how it is read. One that
/// is there is refused, whatever it says.
const REFUSED_MEMBERS: [&str; 9] = ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"];
/// What a header may say that the token is.
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// Why a token does not count. It is for the log of the application; a client is told that its token is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says what it is in its text")]
pub enum Invalid {
    #[error("the token is longer than {LONGEST_TOKEN} bytes")]
    TooLong,
    #[error("the token is not three parts in base64url without padding")]
    Form,
    #[error("the token's header is no object of JSON, or has a member twice")]
    Header,
    #[error("the token's header has a member that is not allowed")]
    Member,
    #[error("the token is of another type than JWT")]
    Type,
    #[error("the token's claims are no object of JSON, or have a member twice")]
    Claims,
    #[error("the token is of no issuer that is known")]
    Issuer,
    #[error("the token's key is not among those of its issuer")]
    Key,
    #[error("the token's algorithm is not that of its key")]
    Algorithm,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has expired, or does not say when it does")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token does not say who its subject is")]
    Subject,
    #[error("the token says more of its subject than a call can carry")]
    TooMuch,
}

/// A token, taken apart. Nothing of it is known to be true.
pub(crate) struct Token<'a> {
    /// What is signed: the first two parts.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
    pub(crate) algorithm: String,
    pub(crate) key_id: Option<String>,
    /// The claims, to be believed once the signature has been checked.
    pub(crate) claims: Map<String, Value>,
}

impl<'a> Token<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Invalid> {
        if text.len() > LONGEST_TOKEN {
            return Err(Invalid::TooLong);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Invalid::Form);
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Form);
        let signature = decode(signature)?;
        if signature.is_empty() {
            return Err(Invalid::Form);
        }
        let mut header = json::object(&decode(header)?).ok_or(Invalid::Header)?;
        if REFUSED_MEMBERS.iter().any(|member| header.contains_key(*member)) {
            return Err(Invalid::Member);
        }
        if let Some(kind) = header.get("typ") {
            let kind = kind.as_str().ok_or(Invalid::Type)?.to_ascii_lowercase();
            if !TYPES.contains(&&*kind) {
                return Err(Invalid::Type);
            }
        }
        let mut text_of = |name| match header.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Invalid::Header),
        };
        let algorithm = text_of("alg")?.ok_or(Invalid::Header)?;
        let key_id = text_of("kid")?;
        let signed = text.rsplit_once('.').ok_or(Invalid::Form)?.0.as_bytes();
        let claims = json::object(&decode(claims)?).ok_or(Invalid::Claims)?;
        Ok(Self { signed, signature, algorithm, key_id, claims })
    }
}
