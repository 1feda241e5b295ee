//! Certificates for the measurements over mutual TLS. All frameworks use the same.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use std::{fs, path::Path};

/// The names of the server and of the caller.
pub const NAMES: [&str; 2] = ["items", "caller"];

/// Writes `authority.pem`, and a certificate and a key for each name.
///
/// # Errors
///
/// If they cannot be made or written.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    fs::write(folder.join("authority.pem"), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    for name in NAMES {
        let key = KeyPair::generate()?;
        // Monolift goes by the URI, and the others by the name of a host.
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        let uri = format!("spiffe://bench/{name}");
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        let certificate = params.signed_by(&key, &issuer)?;
        fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
