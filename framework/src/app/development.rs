//! Certificates for development: what processes on one machine prove their names with, where the manifest says nothing of TLS.
//!
//! `cargo monolift up` makes them, in the folder `tls` beside the embedded databases, and nothing else does. So a machine that
//! only runs programs, such as a container, has none.

use super::App;
use crate::module::StartError;
use monolift_manifest::{Manifest, TlsFiles};
use std::path::{Path, PathBuf};

/// The folder of certificates for development, in that of an application's data.
pub fn folder(data: &Path) -> PathBuf {
    data.join("tls")
}

/// The files in such a folder.
pub fn files(folder: &Path) -> TlsFiles {
    let file = |name: &str| folder.join(name).display().to_string();
    TlsFiles {
        authority: folder.join("authority.pem"),
        certificate: file("{process}.pem"),
        key: file("{process}.key"),
    }
}

/// Whether processes use such certificates if there are any: the manifest and the settings say nothing of TLS.
pub fn are_used(manifest: &Manifest) -> bool {
    manifest.tls.is_none() && !manifest.mesh && !manifest.insecure
}

impl App {
    /// Uses the certificates for development, if they are there and nothing else is said.
    pub(super) fn with_development_certificates(mut self) -> Result<Self, StartError> {
        let folder = folder(&self.data);
        let files = files(&folder);
        if !are_used(&self.place.manifest) || !files.authority.exists() {
            return Ok(self);
        }
        let process = &self.place.process;
        if !files.certificate_of(process).exists() {
            return Err(StartError::new(format!(
                "{} has certificates for development, and none for the process `{process}`: `cargo monolift certs --manifest {} \
                 --out {0}` makes one. Without that folder processes do not encrypt their calls",
                folder.display(),
                self.place.manifest.file.display(),
            )));
        }
        tracing::info!(
            folder = %folder.display(),
            "calls between processes are encrypted, with certificates for development"
        );
        self.place.manifest.tls = Some(files);
        Ok(self)
    }
}
