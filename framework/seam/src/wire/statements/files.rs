//! Keys of statements that stand in files, for an application whose processes have no certificates of their own.
//!
//! The gateways have the private key, and all processes the public one. Both are PEM, as OpenSSL writes them.

use super::Doubt;
use crate::{
    call::{Signer, SignerId, Statement},
    wire::{
        introduced::signer_of,
        signature::{is_verified, sign},
        tls::SignedBy,
    },
};
use bytes::Bytes;
use std::{fmt, fs, path::Path, sync::Arc};
use tokio_rustls::rustls::{
    crypto::{
        WebPkiSupportedAlgorithms,
        ring::{default_provider, sign::any_supported_type},
    },
    pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject},
    sign::SigningKey,
};
use webpki::RawPublicKeyEntity;

/// The keys of statements, read from files.
pub struct StatementFiles {
    own: Option<(Arc<dyn SigningKey>, Arc<Signer>)>,
    public: Vec<(SignerId, SubjectPublicKeyInfoDer<'static>)>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StatementFilesError(String);

impl fmt::Debug for StatementFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatementFiles({} public keys)", self.public.len())
    }
}

impl StatementFiles {
    /// Reads the public keys that are believed, and the private key of a gateway.
    pub fn read(public: &Path, own: Option<&Path>) -> Result<Self, StatementFilesError> {
        let wrong = |file: &Path, why: &dyn fmt::Display| {
            StatementFilesError(format!("{}: {why}", file.display()))
        };
        let text = |file: &Path| {
            fs::read(file).map_err(|error| wrong(file, &format!("cannot be read: {error}")))
        };
        let believed: Result<Vec<_>, _> =
            SubjectPublicKeyInfoDer::pem_slice_iter(&text(public)?).collect();
        let believed = believed.map_err(|error| wrong(public, &error))?;
        if believed.is_empty() {
            return Err(wrong(public, &"holds no public key"));
        }
        let own = own.map(|file| {
            let key = PrivateKeyDer::from_pem_slice(&text(file)?)
                .map_err(|error| wrong(file, &format!("holds no key: {error}")))?;
            let key = any_supported_type(&key).map_err(|error| wrong(file, &error))?;
            let public_half = key.public_key().map(SubjectPublicKeyInfoDer::into_owned);
            let id = public_half.as_ref().map(id_of);
            // A process would sign what none believes.
            let believed = believed.iter().find(|public| Some(id_of(public)) == id);
            let public = believed.ok_or_else(|| {
                wrong(file, &format!("its public half is not in {}", public.display()))
            })?;
            // Each process has the key already, so that nothing has to be shown.
            let signer = Signer { id: id_of(public), chain: Bytes::new() };
            Ok((key, Arc::new(signer)))
        });
        Ok(Self {
            own: own.transpose()?,
            public: believed.into_iter().map(|public| (id_of(&public), public)).collect(),
            algorithms: default_provider().signature_verification_algorithms,
        })
    }

    pub(super) fn can_sign(&self) -> bool {
        self.own.is_some()
    }

    pub(super) fn has_signed(&self, statement: &Statement) -> bool {
        self.own.as_ref().map(|(_, signer)| signer) == statement.signer.as_ref()
    }

    pub(super) fn sign(&self, message: impl FnOnce(&Signer) -> Vec<u8>) -> Option<SignedBy> {
        let (key, signer) = self.own.as_ref()?;
        let (scheme, signature) = sign(&**key, &self.algorithms, &message(signer))?;
        Some(SignedBy { signer: Arc::clone(signer), scheme, signature })
    }

    pub(super) fn verify(
        &self,
        signer: &SignerId,
        message: &[u8],
        scheme: u16,
        signature: &[u8],
    ) -> Result<(), Doubt> {
        let public = self.public.iter().find(|(id, _)| id == signer);
        let (_, public) = public.ok_or(Doubt::UnknownSigner)?;
        let key = RawPublicKeyEntity::try_from(public).map_err(|_| Doubt::Signature)?;
        let is_signed = is_verified(&self.algorithms, scheme, |one| {
            key.verify_signature(one, message, signature).is_ok()
        });
        if is_signed { Ok(()) } else { Err(Doubt::Signature) }
    }
}

fn id_of(public: &SubjectPublicKeyInfoDer<'_>) -> SignerId {
    signer_of(Bytes::copy_from_slice(public)).id
}
