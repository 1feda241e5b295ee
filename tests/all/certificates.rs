//! Certificates for tests: good ones, and ones that no process should take.

use monolift_manifest::TlsFiles;
use monolift_seam::wire::{Tls, spiffe_id};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

/// The application of these tests.
pub const APP: &str = "test";
const HOUR: Duration = Duration::from_secs(3600);

/// What a certificate says.
pub struct Wanted {
    pub uris: Vec<String>,
    pub dns: Vec<String>,
    /// When it begins and ends to be valid, before and after now.
    pub since: Duration,
    pub until: Duration,
    /// Whether it has ended, or begins later, instead.
    pub shifted: Option<Shift>,
}

#[derive(Clone, Copy)]
pub enum Shift {
    Over,
    NotYet,
}

impl Wanted {
    /// That of a process.
    pub fn of(process: &str) -> Self {
        Self::uris(&[&spiffe_id(APP, process)])
    }

    pub fn uris(uris: &[&str]) -> Self {
        let uris = uris.iter().map(|&uri| uri.to_owned()).collect();
        Self { uris, dns: Vec::new(), since: HOUR, until: HOUR, shifted: None }
    }
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// An authority, and the folder in which it has put what it signed.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    pub folder: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("monolift-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        fs::write(folder.join("authority.pem"), &pem).unwrap();
        Self { issuer: Issuer::new(params, key), pem, folder }
    }

    /// A certificate that it signs.
    pub fn pair(&self, wanted: &Wanted) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(wanted.dns.clone()).unwrap();
        let uris = wanted.uris.iter().map(|uri| SanType::URI(uri.clone().try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let (from, to) = match wanted.shifted {
            None => (now - wanted.since, now + wanted.until),
            Some(Shift::Over) => (now - 2 * HOUR, now - HOUR),
            Some(Shift::NotYet) => (now + HOUR, now + 2 * HOUR),
        };
        params.not_before = date_time_ymd(1970, 1, 1) + from;
        params.not_after = date_time_ymd(1970, 1, 1) + to;
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// Signs a certificate for a process, and puts it where that one looks.
    pub fn sign(&self, file: &str, process: &str) {
        self.put(file, &Wanted::of(process));
    }

    /// Signs a certificate, and puts it where a process of this name looks.
    pub fn put(&self, file: &str, wanted: &Wanted) {
        let Pair { certificate, key } = self.pair(wanted);
        fs::write(self.folder.join(format!("{file}.pem")), certificate).unwrap();
        fs::write(self.folder.join(format!("{file}.key")), key).unwrap();
    }

    pub fn files(&self) -> TlsFiles {
        let file = |name: &str| self.folder.join(name).display().to_string();
        TlsFiles {
            authority: self.folder.join("authority.pem"),
            certificate: file("{process}.pem"),
            key: file("{process}.key"),
        }
    }

    pub fn tls(&self, process: &str) -> Tls {
        self.sign(process, process);
        Tls::read(&self.files(), APP, process).unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
