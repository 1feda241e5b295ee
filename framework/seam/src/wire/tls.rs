//! Mutual TLS between processes: each process proves its name with a certificate.
//!
//! The certificate lists the process's name, as in the manifest, among its subject names. It is
//! signed by an authority that all processes of the application share. Certificates of other
//! authorities are refused, and a process cannot use a name that its certificate does not have.

use monolift_manifest::TlsFiles;
use std::{error::Error, fmt, fs, io, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor, TlsConnector, TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};
use webpki::EndEntityCert;

/// This process's certificate, and the authority that it trusts.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Why the TLS files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

impl Tls {
    /// Reads the files of this process.
    pub fn read(files: &TlsFiles, process: &str) -> Result<Self, TlsError> {
        let authority = certificates(&files.authority)?;
        let file = files.certificate_of(process);
        let chain = certificates(&file)?;
        let own = chain.first().filter(|own| is_of(own, process));
        if own.is_none() {
            return Err(TlsError(format!(
                "the certificate in {} is not for the name `{process}`, which is this process's",
                file.display()
            )));
        }
        let key_file = files.key_of(process);
        let key = PrivateKeyDer::from_pem_slice(&read(&key_file)?)
            .map_err(|error| TlsError(format!("{} holds no key: {error}", key_file.display())))?;
        let mut roots = RootCertStore::empty();
        for certificate in authority {
            roots
                .add(certificate)
                .map_err(|error| TlsError(format!("{}: {error}", files.authority.display())))?;
        }
        configured(Arc::new(roots), chain, key).map_err(|error| {
            let (file, key_file) = (file.display(), key_file.display());
            TlsError(format!("{file} and {key_file} cannot be used: {error}"))
        })
    }

    /// Connects as a client. The server must have the certificate of `process`.
    pub(super) async fn connect(
        &self,
        socket: TcpStream,
        process: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(process.to_owned()).map_err(io::Error::other)?;
        Ok(self.connector.connect(name, socket).await?.into())
    }

    /// Accepts a connection as the server.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        Ok(self.acceptor.accept(socket).await?.into())
    }
}

fn configured(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Tls, Box<dyn Error>> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(&roots))
        .with_client_auth_cert(chain.clone(), key.clone_key())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(chain, key)?;
    Ok(Tls { connector: Arc::new(client).into(), acceptor: Arc::new(server).into() })
}

/// Whether a certificate, which has been verified already, is for the name of `process`.
pub(super) fn is_of(certificate: &CertificateDer<'_>, process: &str) -> bool {
    let (Ok(certificate), Ok(name)) =
        (EndEntityCert::try_from(certificate), ServerName::try_from(process))
    else {
        return false;
    };
    certificate.verify_is_valid_for_subject_name(&name).is_ok()
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError(format!("{} cannot be read: {error}", file.display())))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(TlsError(format!("{} holds no certificate", file.display()))),
        Err(error) => Err(TlsError(format!("{} holds no certificate: {error}", file.display()))),
    }
}
