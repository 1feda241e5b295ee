//! A public key of an issuer, and the one algorithm that it is for.

use crate::token::Invalid;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use serde_json::{Map, Value};

/// Members of a key that belong to its secret half. An issuer that shows them has lost the key.
const SECRET: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

/// A key with its algorithm, which a token cannot choose.
#[derive(Debug)]
pub(crate) struct Key {
    algorithm: &'static str,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { parameters: &'static RsaParameters, modulus: Vec<u8>, exponent: Vec<u8> },
    Point { algorithm: &'static dyn VerificationAlgorithm, bytes: Vec<u8> },
}

impl Key {
    /// Reads a JWK. `None` if it is not a key that signatures of a known algorithm are checked with.
    pub(crate) fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        let is_for_signatures = jwk.get("use").is_none_or(|purpose| purpose == "sig")
            && jwk.get("key_ops").is_none_or(|uses| {
                uses.as_array().is_some_and(|uses| uses.iter().any(|one| one == "verify"))
            });
        let states_algorithm = jwk.get("alg").is_none_or(Value::is_string);
        let is_public = !SECRET.iter().any(|member| jwk.contains_key(*member));
        if !is_for_signatures || !states_algorithm || !is_public {
            return None;
        }
        let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (algorithm, material) = match (text("kty")?, text("crv"), text("alg")) {
            ("RSA", None, stated) => {
                let (algorithm, parameters): (_, &RsaParameters) = match stated {
                    // Most issuers mean this one, and say nothing.
                    None | Some("RS256") => ("RS256", &RSA_PKCS1_2048_8192_SHA256),
                    Some("PS256") => ("PS256", &RSA_PSS_2048_8192_SHA256),
                    Some(_) => return None,
                };
                let (modulus, exponent) = (bytes("n")?, bytes("e")?);
                (algorithm, Material::Rsa { parameters, modulus, exponent })
            }
            ("EC", Some("P-256"), None | Some("ES256")) => {
                let bytes = point(&bytes("x")?, &bytes("y")?, 32)?;
                ("ES256", Material::Point { algorithm: &ECDSA_P256_SHA256_FIXED, bytes })
            }
            ("EC", Some("P-384"), None | Some("ES384")) => {
                let bytes = point(&bytes("x")?, &bytes("y")?, 48)?;
                ("ES384", Material::Point { algorithm: &ECDSA_P384_SHA384_FIXED, bytes })
            }
            ("OKP", Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) => {
                let bytes = bytes("x").filter(|bytes| bytes.len() == 32)?;
                ("EdDSA", Material::Point { algorithm: &ED25519, bytes })
            }
            _ => return None,
        };
        Some(Self { algorithm, material })
    }

    /// Checks the signature of `signed`. `algorithm` is what the token says of itself.
    pub(crate) fn verify(
        &self,
        algorithm: &str,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), Invalid> {
        let is_its_own =
            algorithm == self.algorithm || (self.algorithm == "EdDSA" && algorithm == "Ed25519");
        if !is_its_own {
            return Err(Invalid::Algorithm);
        }
        let checked = match &self.material {
            Material::Rsa { parameters, modulus, exponent } => {
                RsaPublicKeyComponents { n: modulus, e: exponent }
                    .verify(parameters, signed, signature)
            }
            Material::Point { algorithm, bytes } => {
                UnparsedPublicKey::new(*algorithm, bytes).verify(signed, signature)
            }
        };
        checked.map_err(|_| Invalid::Signature)
    }
}

/// A point of a curve as it is encoded, uncompressed. Whether it is on the curve is checked with each signature.
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat())
}
