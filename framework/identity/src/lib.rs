//! Who makes a request: bearer tokens, verified as a resource server does.
//!
//! A token is a signed JWT of an issuer that the application trusts. [`Identity::verify`] makes a
//! [`Principal`](monolift_call::Principal) of it, or says why not. What the token says about itself decides nothing but
//! which known key is looked up: the algorithm is that of the key.
//!
//! - `token` takes a token apart and checks its form; `key` checks a signature; `claims` reads what is signed.
//! - `verified` remembers tokens that were verified.
//! - `keys` has an issuer's keys and renews them; `fetch` gets a document.
//!
//! Signatures are checked by `ring`, which TLS between processes and to databases compiles already.

mod claims;
mod fetch;
mod issuer;
mod json;
mod key;
mod keys;
mod token;
mod verified;

pub use claims::Mapping;
pub use fetch::{Fetch, FetchError, Https, LONGEST_DOCUMENT};
pub use issuer::{ConfigError, Identity, IssuerConfig};
pub use keys::Pace;
pub use token::{Invalid, LONGEST_TOKEN};

/// Why a token makes no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The token is not one that counts here.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No key of the issuer is known yet, because it could not be reached.
    #[error("the keys of the issuer are not known yet")]
    Unavailable,
}
