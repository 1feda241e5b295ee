//! The name of a process in its certificate.

use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Before the application's name.
const SCHEME: &str = "spiffe://";

/// The name of a process as its certificate has it.
pub fn spiffe_id(app: &str, process: &str) -> String {
    format!("{SCHEME}{app}/{process}")
}

/// The process of `app` that a certificate is for. `None` unless it has one URI among its names, and that is of a process of
/// this application. The certificate has been verified already.
pub(in crate::wire) fn process_of(certificate: &CertificateDer<'_>, app: &str) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let mut uris = certificate.valid_uri_names();
    let (uri, more) = (uris.next()?, uris.next());
    let process = uri.strip_prefix(SCHEME)?.strip_prefix(app)?.strip_prefix('/')?;
    let is_one = more.is_none() && !process.is_empty() && !process.contains('/');
    is_one.then(|| process.to_owned())
}

/// Whether a certificate, which has been verified already, is that of `process`.
pub(in crate::wire) fn is_of(certificate: &CertificateDer<'_>, app: &str, process: &str) -> bool {
    process_of(certificate, app).as_deref() == Some(process)
}
