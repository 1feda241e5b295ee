//! Signatures by a key as TLS uses it, whatever its kind.

use tokio_rustls::rustls::{
    SignatureScheme, crypto::WebPkiSupportedAlgorithms, pki_types::SignatureVerificationAlgorithm,
    sign::SigningKey,
};

/// Signs `message`. The result has the scheme, as TLS numbers it.
pub(super) fn sign(
    key: &dyn SigningKey,
    algorithms: &WebPkiSupportedAlgorithms,
    message: &[u8],
) -> Option<(u16, Vec<u8>)> {
    let key = key.choose_scheme(&algorithms.supported_schemes())?;
    Some((key.scheme().into(), key.sign(message).ok()?))
}

/// Whether one of the algorithms of a scheme `verifies`. A scheme does not always say the curve.
pub(super) fn is_verified(
    algorithms: &WebPkiSupportedAlgorithms,
    scheme: u16,
    verifies: impl Fn(&dyn SignatureVerificationAlgorithm) -> bool,
) -> bool {
    let scheme = SignatureScheme::from(scheme);
    let known = algorithms.mapping.iter().find(|(known, _)| *known == scheme);
    known.is_some_and(|(_, all)| all.iter().any(|one| verifies(*one)))
}
