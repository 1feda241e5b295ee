//! What the files of one process hold, ready for use.

use super::{TlsError, is_of, process_of, spiffe_id};
use crate::{
    call::Signer,
    wire::{
        introduced::{LONGEST_CHAIN, signer_of},
        signature::{is_verified, sign},
    },
};
use bytes::{BufMut, Bytes, BytesMut};
use monolift_manifest::TlsFiles;
use std::{error::Error, fs, path::Path, sync::Arc};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
        client::{
            Resumption,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_cert_signed_by_trust_anchor,
        },
        crypto::{
            CryptoProvider, WebPkiSupportedAlgorithms, ring::default_provider,
            verify_tls13_signature,
        },
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
        server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier},
        sign::{CertifiedKey, SigningKey, SingleCertAndKey},
        version::TLS13,
    },
};
use webpki::{EndEntityCert, KeyUsage};

/// The files, as they were read.
#[derive(PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) authority: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Texts {
    pub(super) fn read(files: &TlsFiles, process: &str) -> Result<Self, TlsError> {
        Ok(Self {
            authority: read(&files.authority)?,
            certificate: read(&files.certificate_of(process))?,
            key: read(&files.key_of(process))?,
        })
    }
}

/// What they hold.
pub(super) struct Loaded {
    pub(super) texts: Texts,
    pub(super) connector: TlsConnector,
    pub(super) acceptor: TlsAcceptor,
    pub(super) signer: Option<Arc<Signer>>,
    /// How often the roots had changed when these were read.
    pub(super) changes_of_roots: u64,
    roots: Arc<RootCertStore>,
    key: Arc<dyn SigningKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A signature, and by whose key.
pub(in crate::wire) struct SignedBy {
    pub(in crate::wire) signer: Arc<Signer>,
    pub(in crate::wire) scheme: u16,
    pub(in crate::wire) signature: Vec<u8>,
}

impl Loaded {
    pub(super) fn of(
        texts: Texts,
        files: &TlsFiles,
        app: &str,
        process: &str,
    ) -> Result<Self, TlsError> {
        let (file, key_file) = (files.certificate_of(process), files.key_of(process));
        let chain = certificates(&texts.certificate, &file)?;
        if !chain.first().is_some_and(|own| is_of(own, app, process)) {
            return Err(TlsError(format!(
                "the certificate in {} is not for this process: its only URI must be `{}`",
                file.display(),
                spiffe_id(app, process)
            )));
        }
        let key = PrivateKeyDer::from_pem_slice(&texts.key)
            .map_err(|error| TlsError(format!("{} holds no key: {error}", key_file.display())))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&texts.authority, &files.authority)? {
            roots
                .add(certificate)
                .map_err(|error| TlsError(format!("{}: {error}", files.authority.display())))?;
        }
        let signer = encoded(&chain).map(|chain| Arc::new(signer_of(chain)));
        configured(roots, chain, key, app)
            .map(|ready| Self {
                texts,
                connector: ready.connector,
                acceptor: ready.acceptor,
                signer,
                changes_of_roots: 0,
                roots: ready.roots,
                key: ready.key,
                algorithms: ready.algorithms,
            })
            .map_err(|error| {
                let (file, key_file) = (file.display(), key_file.display());
                TlsError(format!("{file} and {key_file} cannot be used: {error}"))
            })
    }

    /// Whether certificates lead to a root.
    pub(super) fn verified(
        &self,
        chain: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<(), webpki::Error> {
        let (own, others) = chain.split_first().ok_or(webpki::Error::BadDer)?;
        let own = EndEntityCert::try_from(own)?;
        let (all, roots) = (self.algorithms.all, &self.roots.roots);
        own.verify_for_usage(all, roots, others, at, KeyUsage::client_auth(), None, None)?;
        Ok(())
    }

    /// Whether its own certificates lead to a root.
    pub(super) fn is_verified_itself(&self, at: UnixTime) -> bool {
        let own = self.signer.as_ref().and_then(|signer| decoded(&signer.chain));
        own.is_some_and(|own| self.verified(&own, at).is_ok())
    }

    pub(super) fn sign(&self, message: impl FnOnce(&Signer) -> Vec<u8>) -> Option<SignedBy> {
        let signer = Arc::clone(self.signer.as_ref()?);
        let (scheme, signature) = sign(&*self.key, &self.algorithms, &message(&signer))?;
        Some(SignedBy { signer, scheme, signature })
    }

    pub(super) fn signed(
        &self,
        signer: &Signer,
        at: UnixTime,
        message: &[u8],
        scheme: u16,
        signature: &[u8],
        app: &str,
    ) -> Option<String> {
        let chain = decoded(&signer.chain)?;
        self.verified(&chain, at).ok()?;
        let own = chain.first()?;
        let process = process_of(own, app)?;
        let own = EndEntityCert::try_from(own).ok()?;
        let is_signed = is_verified(&self.algorithms, scheme, |one| {
            own.verify_signature(one, message, signature).is_ok()
        });
        is_signed.then_some(process)
    }
}

struct Configured {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    roots: Arc<RootCertStore>,
    key: Arc<dyn SigningKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

fn configured(
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    app: &str,
) -> Result<Configured, Box<dyn Error>> {
    let provider: Arc<CryptoProvider> = Arc::new(default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let roots = Arc::new(roots);
    let own = Arc::new(CertifiedKey::from_der(chain, key, &provider)?);
    let key = Arc::clone(&own.key);
    let resolver = Arc::new(SingleCertAndKey::from(own));
    let server_names = ProcessNames { roots: Arc::clone(&roots), app: app.to_owned(), algorithms };
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(server_names))
        .with_client_cert_resolver(Arc::<SingleCertAndKey>::clone(&resolver));
    client.resumption = Resumption::disabled();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier.build()?)
        .with_cert_resolver(resolver);
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let (connector, acceptor) = (Arc::new(client).into(), Arc::new(server).into());
    Ok(Configured { connector, acceptor, roots, key, algorithms })
}

/// Verifies servers' certificates: signed by the authority, and for the process that is called.
#[derive(Debug)]
struct ProcessNames {
    roots: Arc<RootCertStore>,
    app: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ProcessNames {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(own)?;
        let all = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, now, all)?;
        let process = name.to_str();
        if is_of(own, &self.app, &process) {
            return Ok(ServerCertVerified::assertion());
        }
        let expected = spiffe_id(&self.app, &process);
        Err(rustls::Error::General(format!("its certificate is not for `{expected}` alone")))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Certificates as one piece, each behind its length; `None` if they are too long.
fn encoded(chain: &[CertificateDer<'_>]) -> Option<Bytes> {
    let mut out = BytesMut::new();
    for certificate in chain {
        out.put_u32_le(u32::try_from(certificate.len()).ok()?);
        out.put_slice(certificate);
    }
    (out.len() <= LONGEST_CHAIN).then(|| out.freeze())
}

fn decoded(mut encoded: &[u8]) -> Option<Vec<CertificateDer<'_>>> {
    let mut chain = Vec::new();
    while !encoded.is_empty() {
        let (length, rest) = encoded.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (certificate, rest) = rest.split_at_checked(length)?;
        chain.push(CertificateDer::from(certificate));
        encoded = rest;
    }
    Some(chain)
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError(format!("{} cannot be read: {error}", file.display())))
}

fn certificates(text: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(TlsError(format!("{} holds no certificate", file.display()))),
        Err(error) => Err(TlsError(format!("{} holds no certificate: {error}", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_decoded_as_they_were_encoded() {
        let chain = [vec![1; 300], vec![2], vec![3; 70]].map(CertificateDer::from);
        let whole = encoded(&chain).unwrap();
        assert_eq!(decoded(&whole).unwrap(), chain);
        for cut in 1..whole.len() {
            // Cut between two of them, some are left.
            let left = decoded(&whole[..cut]);
            assert!(left.is_none_or(|left| left.len() < 3));
        }
        assert!(encoded(&[CertificateDer::from(vec![0; LONGEST_CHAIN])]).is_none());
    }
}
