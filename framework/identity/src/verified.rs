//! Tokens that were verified already: a client sends the same one with each request, and a signature costs more than the
//! rest of a small request.
//!
//! A token that is found here is still refused once it has expired, or once its issuer's keys are not those that it was
//! verified with. What is kept is bounded in bytes. Only tokens with a valid signature are kept, so an attacker cannot
//! push out those of others.

use crate::key::Key;
use monolift_call::Principal;
use ring::digest::{SHA256, digest};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The bytes of one generation: some ten thousand tokens of users with a few roles.
const MOST_BYTES: usize = 4 << 20;
/// What a token costs beside its principal's texts.
const ENTRY_BYTES: usize = 256;
/// What each text of a principal costs beside its letters.
const TEXT_BYTES: usize = 32;

/// What stands for a token: the token itself is a secret, and longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }
}

/// The times since 1970 between which a token counts, with the leeway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Validity {
    pub(crate) from: f64,
    pub(crate) until: f64,
}

impl Validity {
    fn holds(self, now: Duration) -> bool {
        let now = now.as_secs_f64();
        self.from <= now && now < self.until
    }
}

/// A token that was verified.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) principal: Principal,
    pub(crate) validity: Validity,
    /// The place of its issuer among those that are trusted.
    pub(crate) issuer: usize,
    pub(crate) key_id: Option<String>,
    pub(crate) key: Arc<Key>,
}

impl Verified {
    fn bytes(&self) -> usize {
        let key_id = self.key_id.as_ref().map_or(0, String::len);
        ENTRY_BYTES + key_id + self.principal.size(TEXT_BYTES)
    }
}

/// Verified tokens in two generations. When the younger one is full, the older one goes; a token that is used moves to
/// the younger one.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<[Generation; 2]>);

#[derive(Debug, Default)]
struct Generation {
    tokens: HashMap<Fingerprint, Arc<Verified>>,
    bytes: usize,
}

impl Remembered {
    /// A token that was verified, if it counts at this time. Its issuer's keys are still to be looked at.
    pub(crate) fn find(&self, token: &Fingerprint, now: Duration) -> Option<Arc<Verified>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if let Some(found) = young.tokens.get(token) {
            return found.validity.holds(now).then(|| Arc::clone(found));
        }
        let found = old.take(token).filter(|found| found.validity.holds(now))?;
        keep(&mut generations, *token, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn keep(&self, token: Fingerprint, verified: Verified) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keep(&mut generations, token, Arc::new(verified));
    }
}

impl Generation {
    fn take(&mut self, token: &Fingerprint) -> Option<Arc<Verified>> {
        let taken = self.tokens.remove(token)?;
        self.bytes -= taken.bytes();
        Some(taken)
    }
}

fn keep(generations: &mut [Generation; 2], token: Fingerprint, verified: Arc<Verified>) {
    let bytes = verified.bytes();
    if generations[0].bytes + bytes > MOST_BYTES {
        generations.swap(0, 1);
        generations[0] = Generation::default();
    }
    let young = &mut generations[0];
    young.take(&token);
    young.bytes += bytes;
    young.tokens.insert(token, verified);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verified(subject: &str) -> Verified {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43) });
        let key = Key::read(jwk.as_object().unwrap()).unwrap();
        let validity = Validity { from: 10.0, until: 20.0 };
        let principal = Principal::user(subject);
        Verified { principal, validity, issuer: 0, key_id: None, key: Arc::new(key) }
    }

    #[test]
    fn a_token_is_found_while_it_counts() {
        let (remembered, token) = (Remembered::default(), Fingerprint::of("token"));
        remembered.keep(token, verified("ada"));
        let found = |token, at| {
            let found = remembered.find(&token, Duration::from_secs(at));
            found.map(|found| found.principal.subject.clone())
        };
        assert_eq!((found(token, 10), found(token, 19)), (Some("ada".into()), Some("ada".into())));
        assert_eq!((found(token, 9), found(token, 20)), (None, None));
        assert_eq!(found(Fingerprint::of("other"), 15), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_used_stays() {
        let (remembered, used) = (Remembered::default(), Fingerprint::of("used"));
        remembered.keep(used, verified("ada"));
        let long = "x".repeat(Principal::LONGEST - 100);
        for number in 0..5_000 {
            remembered.keep(Fingerprint::of(&number.to_string()), verified(&long));
            assert!(remembered.find(&used, Duration::from_secs(15)).is_some(), "{number}");
        }
        let generations = remembered.0.lock().unwrap();
        for generation in &*generations {
            let bytes: usize = generation.tokens.values().map(|token| token.bytes()).sum();
            assert!(generation.bytes == bytes && bytes <= MOST_BYTES, "{bytes}");
        }
        drop(generations);
        assert!(remembered.find(&Fingerprint::of("0"), Duration::from_secs(15)).is_none());
    }
}
