//! A token that a request brings.

use crate::{runtime::block_on, steps::Steps};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use monolift_identity::{
    Fetch, FetchError, Identity, IssuerConfig, LONGEST_TOKEN, Mapping, Pace, Refused,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::{pin::Pin, sync::Arc, time::Duration};

const ISSUER: &str = "https://id.example.org";
const AUDIENCE: &str = "desk";
/// A time at which a token of the corpus is valid.
const NOW: Duration = Duration::from_secs(2_000_000_000);

thread_local! {
    static VERIFIER: (Identity, Ed25519KeyPair) = block_on(verifier());
}

/// Has the issuer's keys.
struct Keys(Bytes);

impl Fetch for Keys {
    fn get<'a>(
        &'a self,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

async fn verifier() -> (Identity, Ed25519KeyPair) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed has 32 bytes");
    let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let keys = serde_json::json!({
        "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig", "x": public }]
    });
    let issuer = IssuerConfig {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks: Some(format!("{ISSUER}/keys")),
        mapping: Mapping {
            roles: "realm_access.roles".to_owned(),
            scopes: "scope".to_owned(),
            tenant: Some("tenant".to_owned()),
            claims: vec!["email".to_owned(), "address.country".to_owned()],
        },
        pace: Pace::default(),
    };
    let fetch = Arc::new(Keys(keys.to_string().into()));
    let identity = Identity::start(vec![issuer], Duration::from_secs(30), fetch);
    // Its keys are fetched in the background.
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
    (identity.expect("the issuer can be trusted"), pair)
}

/// The bytes are a token, or its parts: a header and claims that are put together, and signed if the first byte says so.
pub(crate) fn token(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let is_signed = first % 3 == 2;
    let token = match first % 3 {
        0 => match std::str::from_utf8(rest) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
        _ => {
            let mut steps = Steps(rest);
            let header = steps.bytes().unwrap_or(&[]);
            let [header, claims] = [header, steps.0].map(|part| URL_SAFE_NO_PAD.encode(part));
            let signed = format!("{header}.{claims}");
            let signature = VERIFIER.with(|(_, pair)| pair.sign(signed.as_bytes()));
            let signature = if is_signed { signature.as_ref() } else { &[0; 64] };
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    };
    let verified =
        VERIFIER.with(|(identity, _)| block_on(async { identity.verify_at(&token, NOW).await }));
    match verified {
        Ok(principal) => {
            assert!(is_signed, "a token that nobody has signed is taken");
            assert!(token.len() <= LONGEST_TOKEN && !principal.subject.is_empty());
        }
        Err(Refused::Invalid(why)) => drop(why.to_string()),
        Err(Refused::Unavailable) => {}
    }
}
