//! Certificates for development: an authority in a folder, and what it has signed.

use monolift::app::development;
use monolift_manifest::{Manifest, TlsFiles};
use monolift_seam::wire::{Tls, spiffe_id};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use std::{
    collections::BTreeSet,
    error::Error,
    fs::{self, File, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority is valid.
const AUTHORITY_DAYS: u32 = 3650;
/// How long ago certificates have become valid, for machines whose clocks differ.
const BEFORE: Duration = Duration::from_secs(60 * 60);

/// A folder with an authority and certificates, which git ignores.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    app: String,
    /// Others that make certificates here wait until this is dropped.
    _lock: File,
}

/// The authority of a folder.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// The processes of a manifest, and its modules: each can be served on its own.
pub fn processes(manifest: &Manifest) -> BTreeSet<String> {
    let modules = manifest.modules.iter().map(|placed| placed.module.as_str());
    manifest.all_processes().chain(modules).map(str::to_owned).collect()
}

impl Folder {
    /// The folder for the certificates of an application, which is made if it is not there.
    pub fn open(path: &Path, app: &str) -> Result<Self, Box<dyn Error>> {
        let is_new = !path.exists();
        fs::create_dir_all(path)
            .map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        if is_new {
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
        }
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n")?;
        }
        let lock = File::open(path)?;
        lock.lock()?;
        Ok(Self { path: path.to_owned(), app: app.to_owned(), _lock: lock })
    }

    /// The files of each process.
    pub fn files(&self) -> TlsFiles {
        development::files(&self.path)
    }

    fn authority_key(&self) -> PathBuf {
        self.path.join("authority.key")
    }

    /// The authority. One that is there is never replaced: running processes trust it.
    pub fn authority(&self) -> Result<Authority, Box<dyn Error>> {
        let (file, key_file) = (self.files().authority, self.authority_key());
        let mut params = CertificateParams::default();
        let name = format!("{} development authority", self.app);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_for(&mut params, AUTHORITY_DAYS);
        match (file.exists(), key_file.exists()) {
            (true, true) => {
                let key = KeyPair::from_pem(&fs::read_to_string(&key_file)?)
                    .map_err(|error| format!("{}: {error}", key_file.display()))?;
                Ok(Authority { issuer: Issuer::new(params, key), is_new: false })
            }
            (false, false) => {
                let key = KeyPair::generate()?;
                let certificate = params.self_signed(&key)?;
                make(&key_file, &key.serialize_pem())?;
                make(&file, &certificate.pem())?;
                Ok(Authority { issuer: Issuer::new(params, key), is_new: true })
            }
            (is_there, _) => {
                let (there, missing) =
                    if is_there { (&file, &key_file) } else { (&key_file, &file) };
                Err(format!(
                    "{} is there and {} is not: an authority is not overwritten, so remove it or name another folder by `--out`",
                    there.display(),
                    missing.display()
                )
                .into())
            }
        }
    }

    /// Makes a key and a certificate for a process. Returns the certificate's file.
    pub fn sign(
        &self,
        authority: &Authority,
        process: &str,
        days: u32,
    ) -> Result<PathBuf, Box<dyn Error>> {
        let files = self.files();
        let key = KeyPair::generate()?;
        let certificate = params(&self.app, process, days)?.signed_by(&key, &authority.issuer)?;
        let (file, key_file) = (files.certificate_of(process), files.key_of(process));
        write(&key_file, &key.serialize_pem())?;
        write(&file, &certificate.pem())?;
        // As the process will read them.
        let read = Tls::read(&files, &self.app, process)?;
        if !read.is_trusted_in(Duration::ZERO) {
            return Err(format!(
                "{} is not the certificate of the key in {}: remove both, and all certificates are made anew",
                files.authority.display(),
                self.authority_key().display(),
            )
            .into());
        }
        Ok(file)
    }

    /// Whether a process has a certificate of this authority that is valid for as many days from now.
    pub fn has(&self, process: &str, days: u32) -> bool {
        let read = Tls::read(&self.files(), &self.app, process);
        read.is_ok_and(|read| read.is_trusted_in(DAY * days))
    }
}

fn params(app: &str, process: &str, days: u32) -> Result<CertificateParams, Box<dyn Error>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, process);
    params.subject_alt_names = vec![SanType::URI(spiffe_id(app, process).try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, days);
    Ok(params)
}

fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = |since: Duration| date_time_ymd(1970, 1, 1) + since;
    params.not_before = at(now.saturating_sub(BEFORE));
    params.not_after = at(now + DAY * days);
}

/// Writes a new file that only its owner can read. One that is there is left as it is.
pub fn make(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    put(opened, file, text)
}

/// Writes a file, also in place of one that is there. A process never reads half of it.
fn write(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let opened =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
    put(opened, &beside, text)?;
    fs::rename(&beside, file)
        .map_err(|error| format!("{} cannot be written: {error}", file.display()).into())
}

fn put(opened: std::io::Result<File>, file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| format!("{} cannot be written: {error}", file.display()).into())
}
